"""What comes in one after another, by round: the samples of one scrape, the blocks completed with it, as one payload.

One row a round is what makes storing cheap: rows of (scrape, series, value) are 19 bytes a sample on the disk, and
SQLite writes each page twice. ``sealing`` turns rounds into chunks, one a series, which are smaller still.

The frame of every payload: which format it is, deflate, and a checksum, as SQLite has none of its own.

A payload is one byte, the version of the format, one byte, how the body is packed, the body, and four bytes, the CRC-32
of all before it, lowest first. Format 1 is that of ``integers``, ``rounds`` and ``chunks``. A later format gets another
number; what was written once is read for ever.

The levels of blocks as bytes: floats that are nearly always whole bytes or halves of one (a median of two).
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add, sub
from typing import NamedTuple

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

FORMAT = 1
STORED, DEFLATED = 0, 1
_LEVEL = 9
_FAST = 6
_RAW = -15
"""Deflate without zlib's header and checksum: six bytes that a chunk of a hundred would feel."""
_FRAME = 6
_MEMORY = 9
"""The most zlib takes (256 KiB, for a moment): a whole day of a series is then one run of codes."""


def pack(body: bytes, *, once: bool = False) -> bytes:
    """Return the body as a payload, packed as small as it gets; ``once`` is for what is soon packed otherwise."""
    packed = _deflate(body, _FAST if once else _LEVEL, zlib.Z_DEFAULT_STRATEGY)
    if not once:
        # Where changes come at random there are no repeats to find, and looking for them costs a fifth of the size.
        packed = min(packed, _deflate(body, _LEVEL, zlib.Z_HUFFMAN_ONLY), key=len)
    kind, packed = (DEFLATED, packed) if len(packed) < len(body) else (STORED, body)
    framed = bytes((FORMAT, kind)) + packed
    return framed + zlib.crc32(framed).to_bytes(4, "little")


def unpack(payload: bytes) -> Bytes:
    """Return the body of a payload. Raises PayloadError."""
    framed, checksum = payload[:-4], payload[-4:]
    if len(payload) < _FRAME or zlib.crc32(framed) != int.from_bytes(checksum, "little"):
        raise PayloadError("its checksum is wrong")
    if framed[0] != FORMAT:
        raise PayloadError(f"it has format {framed[0]}, this leakwatch knows {FORMAT}")
    if framed[1] == STORED:
        return Bytes(framed[2:])
    if framed[1] != DEFLATED:
        raise PayloadError("it is packed in an unknown way")
    try:
        return Bytes(zlib.decompress(framed[2:], _RAW))
    except zlib.error as error:
        raise PayloadError(str(error)) from None


def _deflate(body: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, _RAW, _MEMORY, strategy)
    return packer.compress(body) + packer.flush()


HALVES, BITS = 0, 1
"""How levels are written: as whole numbers of half bytes, or bit by bit as the integers that look the same."""
_LARGEST = 2.0**52
"""Half a byte can be told apart up to here."""

Levels = tuple["Sequence[float]", "Sequence[float]", "Sequence[float]", "Sequence[float]"]


def write_floats(levels: Levels, write: Callable[[Sequence[int]], bytes]) -> bytes:
    """Return minimum, median, maximum and last of some blocks: a byte how, then four columns.

    As halves, the others are written as their distance from the minimum or from each other: 0 in a quiet series.
    """
    halves = [_halves(level) for level in levels]
    if any(one is None for one in halves):
        return bytes([BITS]) + b"".join(column(_bits(level)) for level in levels)
    minimum, median, maximum, last = (one for one in halves if one is not None)
    above = (map(sub, median, minimum), map(sub, maximum, median), map(sub, last, minimum))
    return bytes([HALVES]) + write(minimum) + b"".join(write([*part]) for part in above)


def read_floats(data: Bytes, count: int) -> Levels:
    """Return what ``write_floats`` was given, to the bit. Raises PayloadError."""
    how = data.take(1)[0]
    first, second, third, fourth = (read_column(data, count) for _ in range(4))
    if how == BITS:
        return _from_bits(first), _from_bits(second), _from_bits(third), _from_bits(fourth)
    if how != HALVES:
        raise PayloadError("levels written in an unknown way")
    median = [*map(add, first, second)]
    return _whole(first), _whole(median), _whole(map(add, median, third)), _whole(map(add, first, fourth))


def _halves(level: Sequence[float]) -> list[int] | None:
    """Return twice the values as integers, None where that loses anything (a NaN, a sign of zero, finer parts)."""
    if not all(-_LARGEST < value < _LARGEST for value in level):
        return None
    doubled = [int(value * 2) for value in level]
    return doubled if array("d", _whole(doubled)).tobytes() == array("d", level).tobytes() else None


def _whole(halves: Iterable[int]) -> array[float]:
    return array("d", [half / 2 for half in halves])


def _bits(level: Sequence[float]) -> array[int]:
    return array("q", array("d", level).tobytes())


def _from_bits(bits: array[int]) -> array[float]:
    return array("d", bits.tobytes())


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
    return pack(body, once=True)


def decode_round(packed: bytes, count: int) -> Round:
    """Return the samples of one scrape. Raises PayloadError."""
    data = unpack(packed)
    series, values = read_column(data, count), read_column(data, count)
    marks = b"" if data.at_end() else read_runs(data, count)
    check_end(data)
    return Round(series, values, marks)


def encode_block_round(blocks: Mapping[int, BlockRow]) -> bytes:
    """Return blocks of one time, by the series' number."""
    numbers = sorted(blocks)
    columns = BlockColumns(*zip(*(blocks[number] for number in numbers), strict=True))
    return pack(column(numbers) + block_columns(columns, plain=True), once=True)


def decode_block_round(packed: bytes, count: int) -> tuple[array[int], BlockColumns]:
    """Return the numbers of the series and their blocks. Raises PayloadError."""
    data = unpack(packed)
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
        data = unpack(packed)
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
