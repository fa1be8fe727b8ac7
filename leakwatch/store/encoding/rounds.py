"""What comes in one after another, by round: the samples of one scrape, the blocks completed with it, as one payload.

One row a round is what makes storing cheap: rows of (scrape, series, value) are 19 bytes a sample on the disk, and
SQLite writes each page twice. ``sealing`` turns rounds into chunks, one a series, which are smaller still.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from leakwatch.store.encoding import payload
from leakwatch.store.encoding.floats import read_floats, write_floats
from leakwatch.store.encoding.integers import (
    Bytes,
    PayloadError,
    column,
    one_of,
    plain_column,
    read_column,
    read_runs,
    runs,
    take_column,
)

BlockRow = tuple[int, float, float, float, float, int]
"""n, minimum, median, maximum, last, segment_ms"""


class Round(NamedTuple):
    """The samples of one scrape."""

    series: array[int]
    """Numbers of the series, rising."""
    values: array[int]
    estimated: bytes
    """One byte a sample, 1 where the value was estimated; empty where none was."""


class BlockColumns(NamedTuple):
    """Blocks, column by column."""

    n: Sequence[int]
    minimum: Sequence[float]
    median: Sequence[float]
    maximum: Sequence[float]
    last: Sequence[float]
    segment_ms: Sequence[int]


def encode_round(samples: Mapping[int, tuple[int, bool]]) -> bytes:
    """Return the samples of one scrape, (value, whether estimated) by the series' number."""
    numbers = sorted(samples)
    taken = [samples[number] for number in numbers]
    marks = bytes(estimated for _, estimated in taken)
    body = column(numbers) + plain_column([value for value, _ in taken]) + (runs(marks) if any(marks) else b"")
    return payload.pack(body, once=True)


def decode_round(packed: bytes, count: int) -> Round:
    """Return the samples of one scrape. Raises PayloadError."""
    data = payload.unpack(packed)
    series, values = read_column(data, count), read_column(data, count)
    marks = b"" if data.at_end() else read_runs(data, count)
    check_end(data)
    return Round(series, values, marks)


def encode_block_round(blocks: Mapping[int, BlockRow]) -> bytes:
    """Return blocks of one time, by the series' number."""
    numbers = sorted(blocks)
    columns = BlockColumns(*zip(*(blocks[number] for number in numbers), strict=True))
    return payload.pack(column(numbers) + block_columns(columns, plain=True), once=True)


def decode_block_round(packed: bytes, count: int) -> tuple[array[int], BlockColumns]:
    """Return the numbers of the series and their blocks. Raises PayloadError."""
    data = payload.unpack(packed)
    series = read_column(data, count)
    columns = read_block_columns(data, count)
    check_end(data)
    return series, columns


def _series(numbers: Sequence[int]) -> bytes:
    return column(numbers)


class Lookup:
    """Looks one series up in round after round: where it stands changes only when a series comes or goes."""

    def __init__(self, series: int) -> None:
        self._series = series
        self._known = b"", 0
        self._at: int | None = None

    def find(self, packed: bytes, count: int) -> tuple[int, bool] | None:
        """Return the value and whether it was estimated, None where there is none. Raises PayloadError."""
        data = payload.unpack(packed)
        written = take_column(data, count)
        if (written, count) != self._known:  # the same bytes are 1, 2, 3 and 1, 2, 3, 4
            numbers = read_column(Bytes(written), count)
            self._at = numbers.index(self._series) if self._series in numbers else None
            self._known = written, count
        if self._at is None:
            return None
        value = one_of(data, count, self._at)
        return value, not data.at_end() and bool(read_runs(data, count)[self._at])


def check_end(data: Bytes) -> None:
    """Raise PayloadError where something is left to read."""
    if not data.at_end():
        raise PayloadError("there is more in it than should be")


def block_columns(blocks: BlockColumns, *, plain: bool = False) -> bytes:
    """Return blocks column by column; ``plain`` where they are of different series."""
    write = plain_column if plain else column
    levels = (blocks.minimum, blocks.median, blocks.maximum, blocks.last)
    return write(blocks.n) + column(blocks.segment_ms) + write_floats(levels, write)


def read_block_columns(data: Bytes, count: int) -> BlockColumns:
    """Return ``count`` blocks. Raises PayloadError."""
    n, segment_ms = read_column(data, count), read_column(data, count)
    minimum, median, maximum, last = read_floats(data, count)
    return BlockColumns(n, minimum, median, maximum, last, segment_ms)
