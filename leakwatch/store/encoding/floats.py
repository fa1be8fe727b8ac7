"""The levels of blocks as bytes: floats that are nearly always whole bytes or halves of one (a median of two)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from operator import add, sub

from leakwatch.store.encoding.integers import Bytes, PayloadError, column, read_column

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
