"""The blocks of many segments, one after another, and what is read off them at many places at once.

All indices are absolute: fine block ``i`` begins ``i * plan.base_s`` seconds after 1970, coarse block ``c`` holds the
fine blocks ``12 c`` to ``12 c + 11``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from leakwatch.analysis.time_plan import TimePlan
from leakwatch.analysis.windows.robust_rows import Floats

Ints: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Bools: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The blocks of one segment, NaN where no sample fell."""

    first: int
    """Fine block the segment began with."""
    start: int
    """Index of ``lows[0]``; older ones are not held any more."""
    lows: Floats
    medians: Floats
    coarse_start: int
    coarse_lows: Floats
    coarse_medians: Floats
    top_before: float = -np.inf
    """Highest trough of earlier segments of the same series."""


class Level:
    """The blocks of one size of many segments."""

    def __init__(self, starts: Sequence[int], lows: Sequence[Floats], medians: Sequence[Floats]) -> None:
        self.start = np.array(starts, dtype=np.int64)
        self.count = np.array([len(part) for part in lows], dtype=np.int64)
        self.offset = np.cumsum(self.count) - self.count
        self.lows, self.medians = np.concatenate(lows), np.concatenate(medians)
        self._sums: dict[bool, tuple[Floats, Floats]] = {}
        self._lowest: dict[int, Floats] = {}

    def series(self, *, by_medians: bool) -> Floats:
        """Return the lows or the medians."""
        return self.medians if by_medians else self.lows

    def lowest(self, length: int) -> Floats:
        """Return the lowest of each block and the ``length - 1`` before it, whosever they are; NaN for no data."""
        if length == 1:
            return self.lows
        if length not in self._lowest:
            low = rolling(np.where(np.isfinite(self.lows), self.lows, np.inf), length, np.minimum)
            self._lowest[length] = np.where(np.isinf(low), np.nan, low)
        return self._lowest[length]

    def inside(self) -> Ints:
        """Return for each block how many of the same segment are before it."""
        return np.arange(len(self.lows)) - np.repeat(self.offset, self.count)

    def running(self, x: Floats, pick: np.ufunc, initial: Floats) -> Floats:
        """Return for each segment ``initial`` and after it what ``pick`` makes of it and the blocks so far.

        One more than blocks: segment ``i`` begins at ``offset[i] + i``.
        """
        out = np.empty(len(x) + len(self.count))
        for count in np.unique(self.count).tolist():
            which = np.flatnonzero(self.count == count)
            table = np.empty((len(which), count + 1))
            table[:, 0] = initial[which]
            table[:, 1:] = x[self.offset[which][:, None] + np.arange(count)]
            out[(self.offset[which] + which)[:, None] + np.arange(count + 1)] = pick.accumulate(table, axis=1)
        return out

    def sums(self, *, by_medians: bool) -> tuple[Floats, Floats]:
        """Return running sums and counts of what has data."""
        if by_medians not in self._sums:
            x, nothing = self.series(by_medians=by_medians), np.zeros(len(self.count))
            real = np.isfinite(x)
            counts = self.running(real.astype(np.float64), np.add, nothing)
            self._sums[by_medians] = self.running(np.where(real, x, 0.0), np.add, nothing), counts
        return self._sums[by_medians]


class Table:
    """The blocks of many segments, one after another: windows of all of them can be cut at once.

    Segment ``i`` is the ``i``-th of those given; a checkpoint is a segment (``whose``) and the fine block it ends with.
    """

    def __init__(self, parts: Sequence[Blocks], plan: TimePlan) -> None:
        self.plan = plan
        self.first = np.array([part.first for part in parts], dtype=np.int64)
        self.top_before = np.array([part.top_before for part in parts])
        self.fine = Level(
            [part.start for part in parts], [part.lows for part in parts], [part.medians for part in parts]
        )
        self.extremes: dict[tuple[str, int], tuple[Floats, Floats]] = {}
        """What ``Context`` has worked out of the coarse blocks, each with its running extreme."""
        self.coarse = Level(
            [part.coarse_start for part in parts],
            [part.coarse_lows for part in parts],
            [part.coarse_medians for part in parts],
        )


def medians_at(x: Floats, at: Ints, length: int) -> Floats:
    """Return the medians of ``length`` blocks that end at each of ``at``; those that several windows share, once."""
    wanted = np.zeros(len(x), dtype=np.bool_)
    wanted[at] = True
    ends = np.flatnonzero(wanted)
    out = np.full(len(x), np.nan)
    out[ends] = nanmedian(x[(ends - length + 1)[:, None] + np.arange(length)])
    return out[at]


def rolling(x: Floats, length: int, pick: np.ufunc) -> Floats:
    """Return what ``pick`` makes of each value and the ``length - 1`` before it, or as many as there are."""
    have = 1
    while have < length:
        shift = min(have, length - have)
        x = np.concatenate([x[:shift], pick(x[shift:], x[:-shift])])
        have += shift
    return x


def nanmedian(x: Floats) -> Floats:
    """Return the medians along the last axis, NaN where all are NaN, without the warning."""
    ordered = np.sort(x, axis=-1)  # NaN last
    count = np.isfinite(x).sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)[..., 0]
    high = np.take_along_axis(ordered, (count // 2).clip(max=x.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    out: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return out


def mean(sums: Floats, counts: Floats, at: Ints, length: int) -> Floats:
    """Return the means of ``length`` blocks from each of ``at`` on, by ``Level.sums``; NaN where none has data."""
    count = counts[at + length] - counts[at]
    return np.where(count > 0, (sums[at + length] - sums[at]) / np.maximum(count, 1), np.nan)
