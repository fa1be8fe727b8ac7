"""Where the wanted columns are, and a wrong place in a file named: ``FILE:LINE:COLUMN``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from leakwatch.errors import CaptureError
from leakwatch.escape import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

WANTED = ("time", "series", "value")
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

    def is_header(self, fields: Sequence[str]) -> bool:
        """Return whether a row is the header again, as ``cat a.csv b.csv`` makes it."""
        return len(fields) == self.width and [normal(fields[c]) for c in self.columns] == list(WANTED)

    @property
    def columns(self) -> tuple[int, int, int]:
        """The indices of the wanted columns, in the order of WANTED."""
        return self.time, self.series, self.value


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


def layout_of(names: Sequence[str], place: Place) -> Layout:
    """Return the layout a header describes. Raises CaptureError."""
    found = [normal(name) for name in names]
    for wanted in WANTED:
        if found.count(wanted) > 1:
            place.fail(found.index(wanted), f"two columns are named {wanted!r}; name the other one differently")
    missing = [wanted for wanted in WANTED if wanted not in found]
    if missing:
        what = " and ".join(f'"{name}"' for name in missing)
        place.fail(0, f"no column {what}; the first line must name the columns, such as time,series,value")
    return Layout(len(found), *(found.index(wanted) for wanted in WANTED))


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
