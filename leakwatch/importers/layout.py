"""Where the wanted columns are, and a wrong place in a file named: ``FILE:LINE:COLUMN``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from leakwatch.errors import CaptureError
from leakwatch.importers.scales import ACCEPTED, factor_of, split_header
from leakwatch.text.escape import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

WANTED = ("time", "series", "value")
UNITS = ("unit", "units")
_SHOWN = 40
"""Characters of what is wrong that a message shows."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's header."""

    width: int
    """Columns in all."""
    time: int
    series: int
    value: int
    names: tuple[str, ...] = WANTED
    """Of the wanted columns, as the header has them."""
    unit: int | None = None
    """The column that tells each value's unit, if there is one."""
    factor: int | None = None
    """What the header, or who gave the file, says a value is to be multiplied by; None where neither does."""

    def is_header(self, fields: Sequence[str]) -> bool:
        """Return whether a row is the header again, as ``cat a.csv b.csv`` makes it."""
        return len(fields) == self.width and tuple(normal(fields[c]) for c in self.columns) == self.names

    @property
    def columns(self) -> tuple[int, ...]:
        """The indices of the wanted columns, in the order of WANTED; that of units last, if there is one."""
        wanted = (self.time, self.series, self.value)
        return wanted if self.unit is None else (*wanted, self.unit)


@dataclass(frozen=True, slots=True)
class Place:
    """A row in a file."""

    file: str
    line: int
    """From 1."""
    raw: str = ""
    """The row as it is written, over several lines where a quoted field has line breaks."""

    def fail(self, field: int, text: str) -> NoReturn:
        """Raise CaptureError about the field with this index."""
        line, column = _position(self.raw, field)
        raise CaptureError(f"{printable(self.file)}:{self.line + line}:{column}: {text}")


def layout_of(names: Sequence[str], place: Place, factor: int | None = None) -> Layout:
    """Return the layout a header describes; ``factor`` is what else is known of the unit. Raises CaptureError."""
    found = [normal(name) for name in names]
    said, unit = _said(found, names, place), next((c for c, name in enumerate(found) if name in UNITS), None)
    header = found.copy()
    if said is not None:
        column, own = said
        found[column] = "value"
        if own != (factor or own):
            place.fail(column, f"{shown(names[column])} is of another unit than --unit says; leave --unit out")
        factor = own
    for wanted in WANTED:
        if found.count(wanted) > 1:
            place.fail(found.index(wanted), f"two columns are named {wanted!r}; name the other one differently")
    missing = [wanted for wanted in WANTED if wanted not in found]
    if missing:
        what = " and ".join(f'"{name}"' for name in missing)
        place.fail(0, f"no column {what}; the first line must name the columns, such as time,series,value")
    time, series, value = (found.index(wanted) for wanted in WANTED)
    columns = [time, series, value] if unit is None else [time, series, value, unit]
    return Layout(len(found), time, series, value, tuple(header[c] for c in columns), unit, factor)


def _said(found: Sequence[str], names: Sequence[str], place: Place) -> tuple[int, int] | None:
    """Return the column of values by a name that ends in a unit, such as ``rss_kb``, and its factor.

    None where a column is called value, or none has a unit.
    """
    if "value" in found:
        return None
    split = {c: parts for c, name in enumerate(names) if (parts := split_header(name.strip("\ufeff ")))}
    chosen = [c for c, (base, _) in split.items() if base == "value"]
    chosen = chosen or [c for c, (_, unit) in split.items() if factor_of(unit)]
    if len(chosen) > 1:
        listed = " and ".join(shown(names[c]) for c in chosen)
        place.fail(chosen[1], f"{listed} both look like the values; name the one that is meant value")
    if not chosen:
        return None
    factor = factor_of(split[chosen[0]][1])
    if factor is None:
        place.fail(chosen[0], f"{shown(split[chosen[0]][1])} is no unit that is known; {ACCEPTED}")
    return chosen[0], factor


def normal(name: str) -> str:
    """Return a column's name as it is compared."""
    return name.removeprefix("\ufeff").strip().lower()


def shown(text: str) -> str:
    """Return what was found as it is shown in a message."""
    return f"'{printable(text if len(text) <= _SHOWN else text[:_SHOWN] + '…')}'"


def _position(raw: str, field: int) -> tuple[int, int]:
    """Return the lines before a field within its row, and its first character's column from 1."""
    at, quoted, seen = 0, False, 0
    for at, char in enumerate(raw + "\n"):  # noqa: B007 - where it stopped is the answer; the last may be empty
        if seen == field:
            break
        if char == '"':
            quoted = not quoted
        seen += char == "," and not quoted
    before = raw[:at]
    return before.count("\n"), at - (before.rfind("\n") + 1) + 1
