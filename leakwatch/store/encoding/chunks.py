"""Sealed history: what one series had over a run of rounds, as one payload, and the run's own times.

A *seal* is a run of rounds put away together: its numbers (of scrapes, or of rounds of blocks) and times are stored
once. A *chunk* is one series' part in it. Of samples: in which rounds of the seal it has one, the values, and which
of them were estimated; of blocks the same with their columns. Chunks are found by their number alone, made of the
seal's and the series': no index has to be kept, and a seal's chunks lie side by side.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from leakwatch.store.encoding import rounds
from leakwatch.store.encoding.integers import Bytes, PayloadError, column, plain_column, read_column, read_runs, runs

SERIES_BITS = 32
"""Of a chunk's number; the seal's is above them."""
_ALL, _SOME = 0, 1
"""Whether a chunk has something in every round of its seal."""


class Course(NamedTuple):
    """One series' samples in a seal."""

    present: bytes
    """One byte a round of the seal, 1 where there is a sample."""
    values: array[int]
    estimated: bytes
    """One byte a sample, 1 where it was estimated; empty where none was."""


class BlockCourse(NamedTuple):
    """One series' blocks in a seal."""

    present: bytes
    columns: rounds.BlockColumns


def chunk_number(seal: int, series: int) -> int:
    """Return the number of a series' chunk in a seal."""
    return seal << SERIES_BITS | series


def chunk_range(seal: int) -> tuple[int, int]:
    """Return the lowest and the highest number a chunk of this seal can have."""
    return chunk_number(seal, 0), chunk_number(seal, (1 << SERIES_BITS) - 1)


def series_of(chunk: int) -> int:
    """Return the number of the series a chunk is of."""
    return chunk & (1 << SERIES_BITS) - 1


def seal_of(chunk: int) -> int:
    """Return the number of the seal a chunk is in."""
    return chunk >> SERIES_BITS


def encode_times(numbers: Sequence[int], times_ms: Sequence[int]) -> bytes:
    """Return the numbers of a seal's rounds and their UTC milliseconds, in the form that is fastest to read.

    A thousand series share them, and each that is read needs them.
    """
    return rounds.pack(column(numbers) + plain_column(times_ms))


def decode_times(packed: bytes, count: int) -> tuple[array[int], array[int]]:
    """Return the numbers and times of a seal's rounds. Raises PayloadError."""
    data = rounds.unpack(packed)
    numbers, times_ms = read_column(data, count), read_column(data, count)
    rounds.check_end(data)
    return numbers, times_ms


def encode_course(course: Course, *, once: bool = False) -> bytes:
    """Return one series' samples in a seal; ``once`` for one that is merged soon, see ``payload.pack``."""
    marks = runs(course.estimated) if any(course.estimated) else b""
    return rounds.pack(_presence(course.present) + column(course.values) + marks, once=once)


def decode_course(packed: bytes, scrapes: int) -> Course:
    """Return one series' samples in a seal of so many scrapes. Raises PayloadError."""
    data = rounds.unpack(packed)
    present = _read_presence(data, scrapes)
    count = present.count(1)
    values = read_column(data, count)
    marks = b"" if data.at_end() else read_runs(data, count)
    rounds.check_end(data)
    return Course(present, values, marks)


def encode_block_course(course: BlockCourse) -> bytes:
    """Return one series' blocks in a seal."""
    return rounds.pack(_presence(course.present) + rounds.block_columns(course.columns))


def decode_block_course(packed: bytes, starts: int) -> BlockCourse:
    """Return one series' blocks in a seal of so many starts. Raises PayloadError."""
    data = rounds.unpack(packed)
    present = _read_presence(data, starts)
    columns = rounds.read_block_columns(data, present.count(1))
    rounds.check_end(data)
    return BlockCourse(present, columns)


def _presence(present: bytes) -> bytes:
    return bytes([_SOME]) + runs(present) if 0 in present else bytes([_ALL])


def _read_presence(data: Bytes, count: int) -> bytes:
    kind = data.take(1)[0]
    if kind not in (_ALL, _SOME):
        raise PayloadError("a presence of an unknown kind")
    return read_runs(data, count) if kind == _SOME else b"\1" * count
