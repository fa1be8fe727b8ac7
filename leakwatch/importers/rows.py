"""One row after another by the rules of the csv module: what may be written in any way, and every error in words."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, NamedTuple

from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.clock import END_S
from leakwatch.importers import moments
from leakwatch.importers.layout import Place, shown
from leakwatch.importers.scales import ACCEPTED, factor_of, split_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from leakwatch.importers.layout import Layout

MOST_BYTES = 2.0**63
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WITH_UNIT = re.compile(r"[+-]?[\d.,]+\s*[A-Za-z%].*", re.ASCII)


class Row(NamedTuple):
    """A sample of one series."""

    time_ms: int
    name: bytes
    value: float


def text_rows(
    lines: Iterable[bytes], file: str, line: int, more: Callable[[], bytes] = bytes
) -> Iterator[tuple[Place, list[str]]]:
    """Yield each row's place and fields; ``line`` is the number of the first line. Raises CaptureError.

    A quoted field may hold line breaks: where the last row does not end in the lines, ``more`` is asked for further
    ones. Bytes that are not UTF-8 become surrogate escapes.
    """
    taken: list[str] = []
    reader = csv.reader(_decoded(lines, more, taken), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            Place(file, line, "".join(taken)).fail(0, f"this row cannot be split into fields ({error}); is this CSV?")
        if fields is None:
            return
        yield Place(file, line, "".join(taken)), fields
        line += len(taken)
        taken.clear()


def _decoded(lines: Iterable[bytes], more: Callable[[], bytes], taken: list[str]) -> Iterator[str]:
    """Yield lines as text and note them as taken; the reader asks for more than there are only within a row."""
    for raw in lines:
        taken.append(raw.decode("utf-8", "surrogateescape"))
        yield taken[-1]
    while taken and (raw := more()):
        taken.append(raw.decode("utf-8", "surrogateescape"))
        yield taken[-1]


def sample(place: Place, fields: list[str], layout: Layout) -> Row | None:
    """Return the sample a row holds, None for an empty row and a header that is repeated. Raises CaptureError."""
    if not any(field.strip() for field in fields) and len(fields) < 2:
        return None
    if len(fields) != layout.width:
        last = min(len(fields), layout.width) - 1
        place.fail(last, f"{_count(len(fields))} where the header has {layout.width}; a name with a comma needs quotes")
    if layout.is_header(fields):
        return None
    name = fields[layout.series].strip(" ")
    if not name or "\0" in name:
        place.fail(layout.series, "a name with a NUL byte; this is no text" if name else "no name of a series")
    return Row(
        _time_ms(place, fields[layout.time].strip(), layout.time),
        name.encode("utf-8", "surrogateescape"),
        _in_unit(place, fields, layout, name),
    )


def _count(number: int) -> str:
    return f"{number} field" if number == 1 else f"{number} fields"


def _time_ms(place: Place, text: str, column: int) -> int:
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if 0 <= seconds < END_S:
            return round(seconds * 1000)
        if seconds < 0:
            place.fail(column, f"{shown(text)} lies before 1970; times are seconds since then")
        place.fail(column, f"{shown(text)} lies beyond the year 9999; times are seconds since 1970, not milliseconds")
    try:
        found = moments.parse_time(text)
    except ValueError as error:
        place.fail(column, f"{shown(text)} {error}" if text else f"no time; {moments.ACCEPTED}")
    if found < 0:
        place.fail(column, f"{shown(text)} lies before 1970")
    return found


def _in_unit(place: Place, fields: list[str], layout: Layout, name: str) -> float:
    """Return the value by the unit in its row, of its column and behind the number, which must not differ."""
    text = fields[layout.value].strip()
    split = split_value(text)
    units = [] if layout.unit is None else [(layout.unit, fields[layout.unit].strip())]
    units += [(layout.value, split[1])] if split else []
    value = _bytes(place, split[0] if split else text, layout.value)
    if not units:
        _checked(place, value * (layout.factor or 1), text, layout.value)
        return value
    counts = bool(subject_of(name).count)
    said = layout.factor
    for column, unit in units:
        own = _factor(place, unit, column, counts=counts)
        if not counts and said not in (None, own):
            place.fail(column, f"{shown(unit)} differs from the unit in the header, its column or --unit")
        said = own
    scaled = _checked(place, value * float(said or 1), text, layout.value)
    return value if layout.factor is not None else scaled


def _factor(place: Place, unit: str, column: int, *, counts: bool) -> int:
    factor = 1 if counts and not unit else factor_of(unit)
    if factor is None:
        what = f"{shown(unit)} is no unit that is known" if unit else "no unit"
        place.fail(column, f"{what}; {ACCEPTED}")
    if counts and factor != 1:
        place.fail(column, f"{shown(unit)} is a unit of memory, and the series is a number")
    return factor


def _bytes(place: Place, text: str, column: int) -> float:
    if not _NUMBER.fullmatch(text):
        place.fail(column, _not_bytes(text))
    return _checked(place, float(text), text, column)


def _checked(place: Place, value: float, text: str, column: int) -> float:
    if value < 0:
        place.fail(column, f"{shown(text)} is negative; a use of memory is not")
    if value > MOST_BYTES:
        place.fail(column, f"{shown(text)} is more than any machine has; values are bytes")
    return value + 0.0  # of -0.0 makes 0.0


def _not_bytes(text: str) -> str:
    if not text:
        return "no value; leave out the rows of what was not read"
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return f"{shown(text)} is no number of bytes; leave out the rows of what was not read"
    if _WITH_UNIT.fullmatch(text):
        return f"{shown(text)} is no number with a unit that is known; {ACCEPTED}"
    return f"{shown(text)} is no number of bytes"
