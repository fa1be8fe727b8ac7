"""The numbers of series, by name: looked up for many rows at once, by comparing eight bytes at a time.

A table by a hash of the name says which known name it may be; the bytes are then compared, so the hash needs to be
quick, not good. What it does not find is looked up in a dict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leakwatch.importers.plain import Flags, Places

Words: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]

_WORD = 8
_WORDS = 8
LONGEST = _WORD * _WORDS
"""Bytes of a name that is looked up here; a longer one always takes the dict."""
_FIRST_ROOM = 1 << 10
_SPARE = 4
"""Places in the table a name."""
_PROBES = 8
"""Places looked at for a name, side by side; with three quarters of them free, one in a thousand needs the last."""
UNKNOWN = -1
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio, odd: spreads what differs in any bit over the upper ones (Knuth, TAOCP 3, 6.4)."""
_FOLD = np.uint64(29)
_MASKS = np.array([(1 << (8 * kept)) - 1 for kept in range(_WORD + 1)], np.uint64)
"""Of a little-endian word, the first so many bytes."""


class Names:
    """Every name that came, numbered in the order in which they first came."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self.size_bytes = 0
        """Of all names together."""
        self._hashes = np.zeros(_FIRST_ROOM, np.uint64)
        self._lengths = np.zeros(_FIRST_ROOM, np.int64)
        self._words = np.zeros((_FIRST_ROOM, _WORDS), np.uint64)
        self._bits = 0
        self._table = np.zeros(0, np.int32)
        self._make_table()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, name: bytes) -> int:
        """Return one name's number."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._numbers)
            self.size_bytes += len(name)
        return number

    def numbers(self, chunk: bytes, starts: Places, ends: Places) -> Places:
        """Return the numbers of the names that lie there in a chunk."""
        lengths = ends - starts
        words = _words(chunk, starts, lengths)
        hashes = _hashes(words, lengths)
        found = self._look_up(hashes, lengths, words)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            # The first row of each new name makes it known to the others, of which there may be thousands.
            first = unknown[np.unique(hashes[unknown], return_index=True)[1]]
            first = first[lengths[first] <= LONGEST]
            numbers = self._of_each(chunk, starts[first], ends[first])
            self._enter(numbers, lengths[first], hashes[first], [word[first] for word in words])
            found[unknown] = self._look_up(hashes[unknown], lengths[unknown], [word[unknown] for word in words])
        others = np.flatnonzero(found < 0)
        found[others] = self._of_each(chunk, starts[others], ends[others])
        return found

    def _of_each(self, chunk: bytes, starts: Places, ends: Places) -> Places:
        """Return the names' numbers by the dict, which knows them all."""
        texts = (chunk[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
        return np.array([self.number(text) for text in texts], np.int64)

    def _look_up(self, hashes: Words, lengths: Places, words: list[Words]) -> Places:
        """Return the numbers of known names, UNKNOWN for the others."""
        found = self._candidates(hashes, 0)
        same = self._is_same(found, lengths, words)
        missed = np.flatnonzero(~same & (found != UNKNOWN))
        found[~same] = UNKNOWN
        for probe in range(1, _PROBES):
            if not len(missed):
                break
            other = self._candidates(hashes[missed], probe)
            same = self._is_same(other, lengths[missed], [word[missed] for word in words])
            found[missed[same]] = other[same]
            missed = missed[~same & (other != UNKNOWN)]
        return found

    def _candidates(self, hashes: Words, probe: int) -> Places:
        return self._table[self._slots(hashes, probe)].astype(np.int64)

    def _slots(self, hashes: Words, probe: int) -> Places:
        """Return where in the table names of these hashes lie, at the first place, the second and so on."""
        slots = (hashes >> np.uint64(64 - self._bits)).astype(np.int64)
        return (slots + probe) & ((1 << self._bits) - 1) if probe else slots

    def _is_same(self, numbers: Places, lengths: Places, words: list[Words]) -> Flags:
        same: Flags = (numbers != UNKNOWN) & (self._lengths[numbers] == lengths)
        for at, word in enumerate(words):
            same &= self._words[numbers, at] == word
        return same

    def _enter(self, numbers: Places, lengths: Places, hashes: Words, words: list[Words]) -> None:
        """Put names where ``_look_up`` finds them."""
        if len(self._numbers) > len(self._hashes):
            self._grow(len(self._numbers))
        self._hashes[numbers], self._lengths[numbers] = hashes, lengths
        for at, word in enumerate(words):
            self._words[numbers, at] = word
        self._place(numbers)

    def _grow(self, names: int) -> None:
        more = 2 * names - len(self._hashes)
        self._hashes = np.append(self._hashes, np.zeros(more, np.uint64))
        self._lengths = np.append(self._lengths, np.zeros(more, np.int64))
        self._words = np.append(self._words, np.zeros((more, _WORDS), np.uint64), axis=0)
        self._make_table()

    def _make_table(self) -> None:
        self._bits = (_SPARE * len(self._hashes) - 1).bit_length()
        self._table = np.full(1 << self._bits, UNKNOWN, np.int32)
        self._place(np.flatnonzero(self._lengths))

    def _place(self, numbers: Places) -> None:
        """Put names into the table, each at the first of its places that is free; where none is, it is left out."""
        for probe in range(_PROBES):
            slots = self._slots(self._hashes[numbers], probe)
            free = self._table[slots] == UNKNOWN
            self._table[slots[free]] = numbers[free]
            numbers = numbers[self._table[slots] != numbers]
            if not len(numbers):
                break


def _words(chunk: bytes, starts: Places, lengths: Places) -> list[Words]:
    """Return each name's bytes as words filled up with zeros, as many as the longest that is looked up needs."""
    padded = chunk + bytes(LONGEST)
    everywhere = np.ndarray(len(padded) - _WORD + 1, "<u8", padded, strides=(1,))
    longest = min(LONGEST, int(lengths.max(initial=0)))
    return [everywhere[starts + at] & _MASKS[np.clip(lengths - at, 0, _WORD)] for at in range(0, longest, _WORD)]


def _hashes(words: list[Words], lengths: Places) -> Words:
    mixed = lengths.astype(np.uint64) * _FACTOR
    for at, word in enumerate(words):
        # Not by the words beyond its end: a name's hash must not depend on the longest beside it.
        mixed = np.where(lengths > at * _WORD, ((mixed ^ (mixed >> _FOLD)) + word) * _FACTOR, mixed)
    return mixed
