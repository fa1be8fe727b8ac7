"""Tidy CSV: ``time,series,value``, one row a sample; the exchange format for captured series.

Times are seconds since 1970 or ISO 8601 with an offset, values are bytes; a name says what its series is (see
``analysis.replay.series_name``). The order of rows is the order of sampling and is kept: a time that goes back is a
clock that was set. Columns may stand in any order, others are ignored, and a header that is repeated is passed over.
"""

from __future__ import annotations

import csv
import re
from array import array
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from leakwatch.analysis.replay.capture import Capture, in_elapsed_time
from leakwatch.analysis.replay.series_name import Subject, subject_of
from leakwatch.clock import END_S
from leakwatch.errors import CaptureError
from leakwatch.importers import moments
from leakwatch.importers.scales import ACCEPTED, factor_of, factor_of_series, split_header, split_value
from leakwatch.text.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WANTED = ("time", "series", "value")
UNITS = ("unit", "units")
MOST_BYTES = 2.0**63
LONGEST_LINE = 1 << 20
"""A line longer than this is no row of times and numbers; without an end, a disk's image would be held as one line."""
MOST_LINES = 30_000_000
"""Half a GiB of samples. Some megabytes may unpack to any number."""
MOST_NAMES = 1_000_000
MOST_NAME_CHARS = 128 << 20
_MOST_TIMES = 1 << 16
"""Different times held; a file that has one a row begins anew after so many."""
_SHOWN = 40
"""Characters of what is wrong that a message shows."""
_BOM = b"\xef\xbb\xbf"
_FIELD = r'(?:(?:"(?:[^"]+|"")*"|[^,\n]*),)'
"""A field and the comma behind it, as the csv module has split it."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WITH_UNIT = re.compile(r"[+-]?[\d.,]+\s*[A-Za-z%].*", re.ASCII)


def read_csv(blocks: Iterable[bytes], file: str, factor: int | None = None) -> list[Capture]:
    """Return the series of a file, which comes in blocks of any size, in the order in which they first come.

    ``file`` names it in errors; ``factor`` is the bytes of the unit its values are said to have, None where only the
    file itself tells. Raises CaptureError with the line and column of the first thing that is wrong.
    """
    return _Reading(blocks, file, factor).captures()


class _WrongError(Exception):
    """What is wrong with a row, and what to do."""

    def __init__(self, text: str, column: int = 0) -> None:
        super().__init__(text)
        self.column = column
        """Index of the field it is about."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """A file's header."""

    width: int
    """Columns in all."""
    time: int
    series: int
    value: int
    unit: int | None
    """The column that tells each value's unit, if there is one."""
    names: dict[int, str]
    """Of these columns, as they are compared."""
    factor: int | None
    """What the header, or who gave the file, says a value is to be multiplied by; None where neither does."""


@dataclass(slots=True)
class _Series:
    """One series while it is read: 16 bytes a sample."""

    name: str
    subject: Subject
    factor: int | None
    """By what all its values are to be multiplied; None where each row may tell."""
    times_ms: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def capture(self) -> Capture:
        """Return what was read: of samples that follow each other at the same millisecond the last, known last."""
        times_ms, values = np.frombuffer(self.times_ms, np.int64), np.frombuffer(self.values, np.float64)
        kept = np.append(times_ms[1:] != times_ms[:-1], True)
        in_bytes = values[kept] * float(self.factor or 1) + 0.0  # of -0.0 makes 0.0
        return Capture(self.name, self.subject, in_elapsed_time(times_ms[kept]), in_bytes)


class _Times(dict[str, int]):
    """UTC milliseconds by text, each read once: the samples of a scrape share one. A wrong one is a ValueError."""

    def __missing__(self, text: str) -> int:
        if len(self) >= _MOST_TIMES:
            self.clear()
        found = self[text] = _time_ms(text.strip())
        return found


class _Reading:
    """One file being read."""

    def __init__(self, blocks: Iterable[bytes], file: str, factor: int | None) -> None:
        self._blocks = blocks
        self._file = file
        self._factor = factor
        self._line = 1
        """Number of the first line of the row that is being read."""
        self._lines = 0
        """How many lines the csv module was given so far, of which the last are held to find a field's column."""
        self._held = b""
        self._times = _Times()
        self._known: dict[str, _Series] = {}
        """By each text that names it, with blanks around it or without."""
        self._name_chars = 0
        self._found: list[_Series] = []

    def captures(self) -> list[Capture]:
        try:
            self._read()
        except csv.Error as error:
            self._fail(f"this row cannot be split into fields ({error}); is this CSV?")
        except _WrongError as error:
            self._fail(str(error), error.column)
        except CaptureError as error:  # the bytes cannot be unpacked any further
            self._fail(str(error))
        self._known.clear()
        self._found.reverse()
        return [self._found.pop().capture() for _ in range(len(self._found))]

    def _read(self) -> None:
        """Take all rows: the usual ones here, whatever else stands in a file, and every error, in ``_take``."""
        reader = csv.reader(chain.from_iterable(self._chunks()), strict=True)
        layout = _layout_of(next(reader, []), self._factor)
        width, pick = layout.width, itemgetter(layout.time, layout.series, layout.value)
        most = MOST_BYTES / (layout.factor or 1) if layout.unit is None else -1.0  # a row with a unit is none of these
        known, times = self._known, self._times
        self._line = reader.line_num + 1
        for fields in reader:
            try:
                time, name, value = pick(fields)
                series, time_ms, amount = known[name], times[time], float(value)
            except (IndexError, KeyError, ValueError):
                amount = -1.0
            # float reads underscores and the digits of all scripts as well
            if 0 <= amount <= most and len(fields) == width and "_" not in value and value.isascii():
                series.times_ms.append(time_ms)
                series.values.append(amount)
            else:
                self._take(fields, layout)
            self._line = reader.line_num + 1
        if not self._found:
            raise _WrongError("no sample follows the header; was anything captured?")

    def _take(self, fields: list[str], layout: _Layout) -> None:
        if _is_blank(fields):
            return
        if len(fields) != layout.width:
            number = f"{len(fields)} field{'s'[: len(fields) != 1]}"
            text = f"{number} where the header has {layout.width}; a name with a comma needs quotes"
            raise _WrongError(text, min(len(fields), layout.width) - 1)
        if all(_normal(fields[column]) == name for column, name in layout.names.items()):
            return  # the header again, as ``cat a.csv b.csv`` makes it
        series = self._series(fields[layout.series], layout)
        try:
            time_ms = self._times[fields[layout.time]]
        except ValueError as error:
            raise _WrongError(str(error), layout.time) from None
        series.values.append(_value(fields, layout, series))
        series.times_ms.append(time_ms)

    def _series(self, text: str, layout: _Layout) -> _Series:
        """Return the series a text names."""
        if text in self._known:
            return self._known[text]
        name = text.strip(" ")
        if not name or "\0" in name:
            what = "a name with a NUL byte; this is no text" if name else "no name of a series"
            raise _WrongError(what, layout.series)
        self._name_chars += len(text)
        series = self._known.get(name)
        if series is None:
            subject = subject_of(name)
            series = self._known[name] = _Series(name, subject, factor_of_series(name, subject, layout.factor))
            self._found.append(series)
        self._known[text] = series
        return series

    def _chunks(self) -> Iterator[Iterable[str]]:
        """Yield the lines of some MiB at a time. Bytes that are not UTF-8 become surrogate escapes."""
        rest = b""
        for block in self._blocks:
            cut = block.rfind(b"\n") + 1
            if cut:
                yield self._given(rest + block[:cut])
                rest = b""
            rest += block[cut:]
            if len(rest) > LONGEST_LINE:
                raise _WrongError(f"a line of more than {LONGEST_LINE} bytes; this is no CSV of samples")
        if rest:
            yield self._given(rest)

    def _given(self, chunk: bytes) -> Iterable[str]:
        if self._lines == 0:
            chunk = chunk.removeprefix(_BOM)
        if self._lines > MOST_LINES:
            raise _WrongError(f"more than {MOST_LINES:,} lines; give fewer series or a shorter time at once")
        if len(self._known) > MOST_NAMES or self._name_chars > MOST_NAME_CHARS:
            raise _WrongError(f"more than {MOST_NAMES:,} series, or their names are too long; give fewer at once")
        self._lines += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        self._held = self._held[-LONGEST_LINE:] + chunk
        return TextIOWrapper(BytesIO(chunk), "utf-8", "surrogateescape", newline="\n")

    def _fail(self, text: str, column: int = 0) -> NoReturn:
        """Raise CaptureError about a field of the row that is being read."""
        held = self._held.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
        first = len(held) - (self._lines - self._line + 1)
        found = re.match(rf"{_FIELD}{{{column}}}", "\n".join(held[first:]) if first >= 0 else "")
        before = found[0] if found else ""
        line, at = self._line + before.count("\n"), len(before) - before.rfind("\n")
        raise CaptureError(f"{printable(self._file)}:{line}:{at}: {text}") from None


def _layout_of(names: Sequence[str], factor: int | None) -> _Layout:
    """Return the layout a header describes; ``factor`` is what else is known of the unit."""
    if _is_blank(names):
        raise _WrongError("empty; the first line must name the columns, such as time,series,value")
    header = [_normal(name) for name in names]
    found, unit = header.copy(), next((c for c, name in enumerate(header) if name in UNITS), None)
    said = _said(header, names)
    if said is not None:
        column, own = said
        found[column] = "value"
        if own != (factor or own):
            raise _WrongError(f"{_shown(names[column])} is of another unit than --unit says; leave --unit out", column)
        factor = own
    for wanted in WANTED:
        if found.count(wanted) > 1:
            text = f"two columns are named {wanted!r}; name the other one differently"
            raise _WrongError(text, found.index(wanted))
    missing = " and ".join(f'"{wanted}"' for wanted in WANTED if wanted not in found)
    if missing:
        raise _WrongError(f"no column {missing}; the first line must name the columns, such as time,series,value")
    time, series, value = map(found.index, WANTED)
    names_of = {column: header[column] for column in (time, series, value, unit) if column is not None}
    return _Layout(len(found), time, series, value, unit, names_of, factor)


def _said(header: Sequence[str], names: Sequence[str]) -> tuple[int, int] | None:
    """Return the column of values by a name that ends in a unit, such as ``rss_kb``, and its factor.

    None where a column is called value, or none has a unit.
    """
    if "value" in header:
        return None
    split = {c: parts for c, name in enumerate(names) if (parts := split_header(name.strip("\ufeff ")))}
    chosen = [c for c, (base, _) in split.items() if base == "value"]
    chosen = chosen or [c for c, (_, unit) in split.items() if factor_of(unit)]
    if len(chosen) > 1:
        listed = " and ".join(_shown(names[c]) for c in chosen)
        raise _WrongError(f"{listed} both look like the values; name the one that is meant value", chosen[1])
    return (chosen[0], _factor(split[chosen[0]][1], chosen[0])) if chosen else None


def _is_blank(fields: Sequence[str]) -> bool:
    return len(fields) < 2 and not "".join(fields).strip()


def _normal(name: str) -> str:
    """Return a column's name as it is compared."""
    return name.removeprefix("\ufeff").strip().lower()


def _shown(text: str) -> str:
    """Return what was found as it is shown in a message."""
    return f"'{printable(text if len(text) <= _SHOWN else text[:_SHOWN] + '…')}'"


def _time_ms(text: str) -> int:
    """Return UTC milliseconds; raises ValueError with what is wrong."""
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if 0 <= seconds < END_S:
            return round(seconds * 1000)
        where = "beyond the year 9999; times are seconds since 1970, not milliseconds"
        where = where if seconds > 0 else "before 1970; times are seconds since then"
        raise ValueError(f"{_shown(text)} lies {where}")
    try:
        found = moments.parse_time(text)
    except ValueError as error:
        raise ValueError(f"{_shown(text)} {error}" if text else f"no time; {moments.ACCEPTED}") from None
    if found < 0:
        raise ValueError(f"{_shown(text)} lies before 1970")
    return found


def _value(fields: list[str], layout: _Layout, series: _Series) -> float:
    """Return a row's value, multiplied by its unit where not all of the series are.

    A unit stands in a column of its own or behind the number; where there are several they must not differ.
    """
    text = fields[layout.value].strip()
    number, behind = split_value(text) or (text, "")
    units = [] if layout.unit is None else [(layout.unit, fields[layout.unit].strip())]
    units += [(layout.value, behind)] if behind else []
    value = _number(number, layout.value)
    counts, said = bool(series.subject.count), series.factor
    for column, unit in units:
        own = 1 if counts and not unit else _factor(unit, column)
        if counts and own != 1:
            raise _WrongError(f"{_shown(unit)} is a unit of memory, and the series is a number", column)
        if said not in (None, own):
            differs = f"{_shown(unit)} differs from the unit in the header, its column, the series' name or --unit"
            raise _WrongError(differs, column)
        said = own
    scaled = value * float((said if units else layout.factor) or 1)
    if scaled < 0:
        raise _WrongError(f"{_shown(text)} is negative; a use of memory is not", layout.value)
    if scaled > MOST_BYTES:
        raise _WrongError(f"{_shown(text)} is more than any machine has; values are bytes", layout.value)
    return scaled if series.factor is None else value


def _factor(unit: str, column: int) -> int:
    factor = factor_of(unit)
    if factor is None:
        what = f"{_shown(unit)} is no unit that is known" if unit else "no unit"
        raise _WrongError(f"{what}; {ACCEPTED}", column)
    return factor


def _number(text: str, column: int) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if not text:
        raise _WrongError("no value; leave out the rows of what was not read", column)
    what = f"{_shown(text)} is no number"
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise _WrongError(f"{what} of bytes; leave out the rows of what was not read", column)
    if _WITH_UNIT.fullmatch(text):
        raise _WrongError(f"{what} with a unit that is known; {ACCEPTED}", column)
    raise _WrongError(f"{what} of bytes", column)
