"""Tidy CSV: ``time,series,value``, one row a sample, plain or gzip; the exchange format for captured series.

Times are seconds since 1970 or ISO 8601 with an offset, values are bytes; a name says what its series is (see
``analysis.subject``). The order of rows is the order of sampling and is kept: a time that goes back is a clock that
was set. Columns may stand in any order, others are ignored, and a header that is repeated is passed over.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from array import array
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.errors import CaptureNotFoundError, PermissionNeededError
from leakwatch.importers.gather import Gathering
from leakwatch.importers.layout import Layout, Place, layout_of
from leakwatch.importers.lines import Lines, StreamError
from leakwatch.importers.plain import cut, factors, properly_named, times_ms, values
from leakwatch.importers.rows import MOST_BYTES, sample, text_rows
from leakwatch.importers.stamps import Stamps
from leakwatch.text.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from leakwatch.analysis.replay.capture import Capture
    from leakwatch.importers.plain import Cut, Flags, Places

STDIN = "-"
NO_SAMPLE = -1
"""In the place of a series' number."""
MOSTLY = 0.5
"""Share of a chunk's lines that must be plain: of fewer, cutting them first only costs time."""


def read_captures(path: str, factor: int | None = None) -> list[Capture]:
    """Return the series of a file, or of standard input for ``-``, in the order in which they first come.

    ``factor`` is the bytes of the unit its values are said to have, None where only the file itself tells.
    Raises CaptureError with the line and column of the first thing that is wrong, CaptureNotFoundError and
    PermissionNeededError.
    """
    file = "stdin" if path == STDIN else path
    try:
        if path == STDIN:
            return read_stream(_stdin(), file, factor)
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a name, and blocks of our own size
            return read_stream(stream, file, factor)
    except PermissionError:
        raise PermissionNeededError(f"{printable(file)} may not be read; make it readable for this user") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        cause = getattr(error, "strerror", None) or str(error)
        raise CaptureNotFoundError(f"{printable(file)} cannot be read: {cause}; give the path of a file") from None


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


def read_stream(stream: BinaryIO, file: str, factor: int | None = None) -> list[Capture]:
    """Return the series of an open stream; ``file`` names it in errors. Raises CaptureError and OSError."""
    return _Reading(Lines(stream), file, factor).captures()


class _Reading:
    """One file being read."""

    def __init__(self, lines: Lines, file: str, factor: int | None) -> None:
        self._lines = lines
        self._factor = factor
        self._file = file
        self._line = 1
        """Number of the next line."""
        self._gathering = Gathering()
        self._stamps = Stamps()
        self._counts: list[bool] = []
        """Of each series by its number whether it is a number; known only where units stand in a column."""

    def captures(self) -> list[Capture]:
        with self._located():
            header = self._lines.line()
        layout = self._layout(header)
        self._gathering = Gathering(layout.factor)
        found = False
        while chunk := self._chunk():
            found = self._take(chunk, layout) or found
            if problem := self._gathering.too_much():
                Place(self._file, self._line).fail(0, problem)
        if not found:
            Place(self._file, self._line).fail(0, "no sample follows the header; was anything captured?")
        return self._gathering.captures()

    def _layout(self, header: bytes) -> Layout:
        if not header.strip():
            Place(self._file, 1).fail(0, "empty; the first line must name the columns, such as time,series,value")
        place, names = next(text_rows([header], self._file, 1))
        self._line += 1
        return layout_of(names, place, self._factor)

    def _chunk(self) -> bytes:
        with self._located():
            return self._lines.chunk()

    @contextlib.contextmanager
    def _located(self) -> Iterator[None]:
        """Say where it was that the stream could not be read on."""
        try:
            yield
        except StreamError as error:
            Place(self._file, self._line).fail(0, str(error))

    def _take(self, chunk: bytes, layout: Layout) -> bool:
        """Take a chunk's samples; return whether there were any."""
        fields = cut(chunk, layout)
        if fields is None or len(fields.plain) < MOSTLY * len(fields.line_starts):
            return self._take_rows(chunk, layout)
        return self._take_lines(chunk, layout, fields)

    def _take_lines(self, chunk: bytes, layout: Layout, fields: Cut) -> bool:
        """Take the plain lines all at once, then the others one by one, each in its place."""
        lines, names = len(fields.line_starts), self._gathering.names
        series, times, amounts = np.full(lines, NO_SAMPLE), np.zeros(lines, np.int64), np.zeros(lines)
        timed, times[fields.plain] = times_ms(chunk, fields, self._stamps)
        valued, amounts[fields.plain] = values(chunk, fields)
        scales = factors(chunk, fields, layout)
        good = timed & valued & properly_named(chunk, fields)
        good &= (amounts[fields.plain] * scales <= MOST_BYTES) & (scales == (layout.factor or scales))
        numbers = names.numbers(chunk, fields.starts[1][good], fields.ends[1][good])
        if layout.unit is not None:
            numbers[self._are_counts(numbers) & (scales[good] != 1)] = NO_SAMPLE  # only a row can say what is wrong
        series[fields.plain[good]] = numbers
        if layout.factor is None:
            amounts[fields.plain[good]] *= scales[good]
        for at in np.flatnonzero(series == NO_SAMPLE).tolist():
            raw = chunk[fields.line_starts[at] : fields.line_ends[at]]
            found = next((sample(*row, layout) for row in text_rows([raw], self._file, self._line + at)), None)
            if found is not None:
                series[at] = names.number(found.name)
                times[at], amounts[at] = found.time_ms, found.value
        self._line += lines
        kept = series != NO_SAMPLE
        self._gathering.add(series[kept], times[kept], amounts[kept])
        return bool(kept.any())

    def _are_counts(self, numbers: Places) -> Flags:
        """Return which of these series are numbers of something."""
        for raw in islice(self._gathering.names, len(self._counts), None):
            self._counts.append(bool(subject_of(raw.decode("utf-8", "surrogateescape")).count))
        found: Flags = np.array(self._counts, np.bool_)[numbers]
        return found

    def _take_rows(self, chunk: bytes, layout: Layout) -> bool:
        """Take a chunk row by row, reading on where its last row does not end in it."""
        series, times, amounts = array("q"), array("q"), array("d")
        for place, row in text_rows(BytesIO(chunk), self._file, self._line, self._next_line):
            found = sample(place, row, layout)
            if found is not None:
                series.append(self._gathering.names.number(found.name))
                times.append(found.time_ms)
                amounts.append(found.value)
            self._line = place.line + place.raw.count("\n")
        self._gathering.add(np.array(series), np.array(times), np.array(amounts))
        return bool(series)

    def _next_line(self) -> bytes:
        with self._located():
            return self._lines.line()
