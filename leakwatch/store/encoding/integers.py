"""Columns of integers as bytes, and back: what payloads of the store are made of.

Everything here is plain Python whose loops run in C (slices, ``map``, ``accumulate``): it runs in the daemon, where
numpy is not loaded. Each encoding reads back exactly what was written, for any integers of 64 bits.

A *varint* is seven bits a byte, lowest first, the top bit set in all but the last (as in Protocol Buffers); a *zigzag*
number is one whose sign is its lowest bit. *Runs* are the lengths of alternating stretches of zeros and ones as
varints, zeros first. A *column* of ``count`` integers is one byte, its kind, and what that kind needs:

- 0 to 8, a width w: the first value (zigzag varint), the scale (varint), then the differences from each value to the
  next, divided by the scale, as zigzag numbers of w bytes, in w *planes*: all lowest bytes, then all second bytes and
  so on. The scale is their greatest common divisor: memory comes in pages, and a page more is then 1. Planes keep what
  hardly changes (the upper bytes) together, of which deflate makes next to nothing, and are cut and joined by slices.
- 9: the first value and the step to each next one (zigzag varints), as of the numbers of scrapes.
- 16 + w: the values themselves as zigzag numbers of w bytes, in planes, where neighbours are strangers to each other.
- 32 + w: the same of values of which none is below 0, as they are: the fastest to read.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain, repeat
from operator import sub

WORD = 8
STEADY = 9
PLAIN = 16
UNSIGNED = 32
_MASK = (1 << 64) - 1
_LOW, _HIGH = -(1 << 63), (1 << 63) - 1


class PayloadError(ValueError):
    """Bytes that no encoder of ours has written."""


class Bytes:
    """Bytes being read, from the front."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises PayloadError where there are fewer."""
        end = self._at + count
        if end > len(self._data):
            raise PayloadError("it ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def varint(self) -> int:
        """Return the next varint. Raises PayloadError."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def at_end(self) -> bool:
        """Return whether all has been read."""
        return self._at == len(self._data)


def varint(value: int) -> bytes:
    """Return a number of at least 0 as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def runs(bits: Sequence[int]) -> bytes:
    """Return a mask of zeros and ones as runs: their number, then their lengths."""
    lengths: list[int] = []
    text = bytes(bits)
    at, bit = 0, 0
    while at < len(text):
        end = text.find(1 - bit, at)
        end = len(text) if end < 0 else end
        lengths.append(end - at)
        at, bit = end, 1 - bit
    return varint(len(lengths)) + b"".join(map(varint, lengths))


def read_runs(data: Bytes, count: int) -> bytes:
    """Return the mask of ``count`` zeros and ones. Raises PayloadError."""
    lengths = [data.varint() for _ in range(data.varint())]
    if sum(lengths) != count:
        raise PayloadError("a mask of another length")
    return b"".join(map(bytes.__mul__, chain.from_iterable(repeat((b"\0", b"\1"), len(lengths))), lengths))


def column(values: Sequence[int]) -> bytes:
    """Return values of which each resembles the one before it."""
    if not values:
        return b""
    steps = [*map(sub, values[1:], values)]
    if len(steps) > 1 and steps[0] and steps.count(steps[0]) == len(steps):
        return bytes([STEADY]) + varint(_zigzag(values[0])) + varint(_zigzag(steps[0]))
    if steps and not (min(steps) >= _LOW and max(steps) <= _HIGH):
        steps, scale = [_wrapped(step) for step in steps], 1
    else:
        scale = math.gcd(*steps) or 1
    zigzags = [(step // scale << 1) ^ (step >> 63) for step in steps]
    width = _width(zigzags)
    head = bytes([width]) + varint(_zigzag(values[0])) + varint(scale)
    return head + _planes(zigzags, width)


def plain_column(values: Sequence[int]) -> bytes:
    """Return values that have nothing to do with their neighbours."""
    if not values:
        return b""
    if min(values) >= 0:
        return _written(UNSIGNED, values)
    return _written(PLAIN, [(value << 1) ^ (value >> 63) for value in values])


def _written(kind: int, words: Sequence[int]) -> bytes:
    width = _width(words)
    return bytes([kind + width]) + _planes(words, width)


def read_column(data: Bytes, count: int) -> array[int]:
    """Return the next column of ``count`` integers. Raises PayloadError."""
    if not count:
        return array("q")
    kind = data.take(1)[0]
    width = kind & (PLAIN - 1)
    if kind > UNSIGNED + WORD or (width > WORD and kind != STEADY):
        raise PayloadError("a column of an unknown kind")
    try:
        if kind >= UNSIGNED:
            return array("q", bytes(_read_words(data, count, width)))
        if kind >= PLAIN:
            return array("q", map(_unzigzag, _read_planes(data, count, width)))
        return _read_differences(data, count, kind)
    except OverflowError:
        raise PayloadError("a number of more than 64 bits") from None


def _read_differences(data: Bytes, count: int, kind: int) -> array[int]:
    first, scale = _unzigzag(data.varint()), data.varint()
    if kind == STEADY:
        step = _unzigzag(scale) or 1
        return array("q", range(first, first + step * count, step))
    if kind == 0:
        return array("q", [first]) * count
    zigzags = _read_planes(data, count - 1, kind)
    if kind == 1:
        steps: Sequence[int] = [*map(_table(scale).__getitem__, zigzags)]
    else:
        steps = [_unzigzag(zigzag) * scale for zigzag in zigzags]
    try:
        return array("q", accumulate(steps, initial=first))
    except OverflowError:
        return array("q", map(_wrapped, accumulate(steps, initial=first)))


@lru_cache(maxsize=16)
def _table(scale: int) -> list[int]:
    """Return the differences that the 256 zigzag numbers of a byte stand for: what most columns are made of."""
    return [_unzigzag(zigzag) * scale for zigzag in range(256)]


def take_column(data: Bytes, count: int) -> bytes:
    """Return the next column as it is written. Raises PayloadError."""
    if not count:
        return b""
    kind = data.take(1)
    width = kind[0] & (PLAIN - 1)
    if kind[0] >= PLAIN:
        return kind + data.take(count * width)
    head = varint(data.varint()) + varint(data.varint())
    return kind + head + (b"" if kind[0] == STEADY else data.take((count - 1) * width))


def one_of(data: Bytes, count: int, at: int) -> int:
    """Return one integer of the next column, which need not be read for it where it is plain. Raises PayloadError."""
    written = take_column(data, count)
    if written[0] < PLAIN:
        return read_column(Bytes(written), count)[at]
    value = int.from_bytes(written[1 + at :: count], "little")
    return value if written[0] >= UNSIGNED else _unzigzag(value)


def _zigzag(value: int) -> int:
    """Return the sign in the lowest bit; of any integer, not only of 64 bits."""
    return value << 1 if value >= 0 else ~value << 1 | 1


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _wrapped(value: int) -> int:
    """Return the integer of 64 bits that is the same modulo 2^64: a difference of two may need a bit more."""
    return ((value - _LOW) & _MASK) + _LOW


def _width(zigzags: Sequence[int]) -> int:
    return (max(zigzags, default=0).bit_length() + 7) // 8


def _planes(zigzags: Sequence[int], width: int) -> bytes:
    if width <= 1:
        return bytes(zigzags) if width else b""
    words = array("Q", zigzags).tobytes()
    return b"".join(words[at::WORD] for at in range(width))


def _read_planes(data: Bytes, count: int, width: int) -> Sequence[int]:
    return data.take(count) if width == 1 else array("Q", bytes(_read_words(data, count, width)))


def _read_words(data: Bytes, count: int, width: int) -> bytearray:
    words = bytearray(count * WORD)
    for at in range(width):
        words[at::WORD] = data.take(count)
    return words
