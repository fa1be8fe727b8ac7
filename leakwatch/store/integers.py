"""Columns of integers as bytes, and back: what payloads of the store are made of.

Everything here is plain Python whose loops run in C (slices, ``map``, ``accumulate``): it runs in the daemon, where
numpy is not loaded. Each encoding reads back exactly what was written, for any integers of 64 bits.

A *varint* is seven bits a byte, lowest first, the top bit set in all but the last (as in Protocol Buffers); a *zigzag*
number is one whose sign is its lowest bit. *Runs* are the lengths of alternating stretches of zeros and ones as
varints, zeros first. A *column* of ``count`` integers is one byte, its width w, and

- width 0 to 8: the first value (zigzag varint), the scale (varint), then the differences from each value to the next,
  divided by the scale, as zigzag numbers of w bytes, in w *planes*: all lowest bytes, then all second bytes and so on.
  The scale is their greatest common divisor: memory comes in pages, and a page more is then 1. Planes keep what hardly
  changes (the upper bytes) together, where deflate makes next to nothing of it, and can be cut and joined by slices.
- width 16 + w: the values themselves as zigzag numbers of w bytes, in planes, for columns whose neighbours are
  strangers to each other.
"""

from __future__ import annotations

import math
from array import array
from itertools import accumulate, chain, repeat
from operator import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLAIN = 16
"""Added to the width of a column of values rather than of differences."""
WORD = 8
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
    if steps and not (min(steps) >= _LOW and max(steps) <= _HIGH):
        steps, scale = [_wrapped(step) for step in steps], 1
    else:
        scale = math.gcd(*steps) or 1
    zigzags = [(step // scale << 1) ^ (step >> 63) for step in steps]
    width = _width(zigzags)
    head = bytes([width]) + varint(_zigzag(values[0])) + varint(scale)
    return head + _planes(zigzags, width)


def plain_column(values: Iterable[int]) -> bytes:
    """Return values that have nothing to do with their neighbours."""
    zigzags = [(value << 1) ^ (value >> 63) for value in values]
    if not zigzags:
        return b""
    width = _width(zigzags)
    return bytes([PLAIN + width]) + _planes(zigzags, width)


def read_column(data: Bytes, count: int) -> array[int]:
    """Return the next column of ``count`` integers. Raises PayloadError."""
    if not count:
        return array("q")
    width = data.take(1)[0]
    if width & ~PLAIN > WORD:
        raise PayloadError("a column of an unknown kind")
    if width & PLAIN:
        return array("q", map(_unzigzag, _read_planes(data, count, width - PLAIN)))
    first, scale = _unzigzag(data.varint()), data.varint()
    steps = _read_planes(data, count - 1, width) if width else ()
    if not width:
        return array("q", [first]) * count
    values = [*accumulate((((step >> 1) ^ -(step & 1)) * scale for step in steps), initial=first)]
    if min(values) < _LOW or max(values) > _HIGH:
        values = [_wrapped(value) for value in values]
    return array("q", values)


def take_column(data: Bytes, count: int) -> bytes:
    """Return the next column as it is written. Raises PayloadError."""
    if not count:
        return b""
    kind = data.take(1)
    if kind[0] & PLAIN:
        return kind + data.take(count * (kind[0] - PLAIN))
    head = varint(data.varint()) + varint(data.varint())
    return kind + head + data.take((count - 1) * kind[0])


def one_of(data: Bytes, count: int, at: int) -> int:
    """Return one integer of the next column, which need not be read for it where it is plain. Raises PayloadError."""
    written = take_column(data, count)
    if not written[0] & PLAIN:
        return read_column(Bytes(written), count)[at]
    return _unzigzag(int.from_bytes(written[1 + at :: count], "little"))


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


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


def _read_planes(data: Bytes, count: int, width: int) -> Iterable[int]:
    if width == 1:
        return data.take(count)
    words = bytearray(count * WORD)
    for at in range(width):
        words[at::WORD] = data.take(count)
    return array("Q", bytes(words))
