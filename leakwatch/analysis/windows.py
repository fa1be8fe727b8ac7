"""Cuts the windows that are judged out of a series' blocks: many looks of one series at once, or one look of it.

All indices are absolute: fine block ``i`` begins ``i * plan.base_s`` seconds after 1970, coarse block ``c`` holds the
fine blocks ``12 c`` to ``12 c + 11``. Nothing here looks beyond the block a look ends with.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from leakwatch.analysis.measure import filled
from leakwatch.analysis.spans import BLOCKS, COARSE_OF, FINE_KEPT, FINE_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.analysis.spans import Plan, Span
    from leakwatch.analysis.trend import Floats

Ints: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Bools: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

MEDIAN_FROM_UNITS = 12.0
"""From here on windows are cut from medians too: a worker replaced every few hours leaves a dip in any trough, and no
trace in a median of an hour."""
SETTLING_UNITS = 2.0
"""Of a life, whose range says nothing of what follows: everything starts from nothing."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Windows, one a row."""

    y: Floats
    """(rows, 12) bytes, finite."""
    look: Ints
    """Which of the looks asked for."""
    span: Ints
    """Index in ``plan.spans``."""
    by_medians: Bools
    known: Floats
    """Highest trough before the window, -inf where nothing is known."""
    prior: Floats
    """Range of the troughs before the window, without the first two units of the life, 0 where unknown."""
    previous: Floats
    """Growth over the preceding stretch of the same length, NaN where there is none."""
    day_rise: Floats
    """Level now over that at the same time yesterday, NaN without a day of data."""
    age: Floats
    """Of the segment, in units."""
    newest: Floats
    """Rise of the fine blocks since the look before, NaN where one of the two has no data."""
    usual: Floats
    """Median of that rise over the last dozen looks, NaN where these are not all held."""


def join(parts: Sequence[Rows]) -> Rows:
    """Return all rows as one table."""
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))


def cut(blocks: Blocks, plan: Plan, ends: Ints, shortest_units: float = 0.0) -> Rows:
    """Return the windows that end with each of the fine blocks ``ends``, of at least ``shortest_units``."""
    context = _Context(blocks, plan, ends)
    parts = []
    for at, span in enumerate(plan.spans):
        if span.units < shortest_units:
            continue
        parts.append(_rows(context, at, span, by_medians=False))
        if span.units >= MEDIAN_FROM_UNITS:
            parts.append(_rows(context, at, span, by_medians=True))
    return join(parts) if parts else join([_rows(context, 0, plan.spans[0], by_medians=False)])


def _rows(context: _Context, at: int, span: Span, *, by_medians: bool) -> Rows:
    y, looks = context.windows(span, by_medians=by_medians)
    y, enough = filled(y)
    y, looks = y[enough], looks[enough]
    count = len(looks)
    return Rows(
        y=y,
        look=looks,
        span=np.full(count, at, dtype=np.int64),
        by_medians=np.full(count, by_medians),
        known=context.known(span, looks, by_medians=by_medians),
        prior=context.prior(span, looks),
        previous=context.previous(span, looks, by_medians=by_medians),
        day_rise=context.day_rise[looks],
        age=context.age[looks],
        newest=context.newest[looks],
        usual=context.usual[looks],
    )


class _Context:
    """What all windows of one series share."""

    def __init__(self, blocks: Blocks, plan: Plan, ends: Ints) -> None:
        self.blocks, self.plan, self.ends = blocks, plan, ends
        self.age = (ends - blocks.first + 1) * plan.base_s / plan.unit_s
        self.day_rise = self._day_rise()
        self.newest, self.usual = self._newest()
        self._sums = {id(x): _sums(x) for x in (blocks.lows, blocks.medians, blocks.coarse_lows, blocks.coarse_medians)}

    def _series(self, *, coarse: bool, by_medians: bool) -> tuple[Floats, int]:
        b = self.blocks
        if coarse:
            return (b.coarse_medians if by_medians else b.coarse_lows), b.coarse_start
        return (b.medians if by_medians else b.lows), b.start

    def _last(self, *, coarse: bool) -> Ints:
        """Return the newest block of each look."""
        return (self.ends + 1) // COARSE_OF - 1 if coarse else self.ends

    def windows(self, span: Span, *, by_medians: bool) -> tuple[Floats, Ints]:
        """Return the windows of every look that has one, and the looks."""
        series, start = self._series(coarse=span.coarse, by_medians=by_medians)
        n = span.q * BLOCKS
        last = self._last(coarse=span.coarse)
        first = self._first(coarse=span.coarse)
        looks = np.flatnonzero((last - n + 1 >= first) & (last - n + 1 >= start) & (last < start + len(series)))
        at = (last[looks] - n + 1 - start)[:, None] + np.arange(n)
        window = series[at].reshape(len(looks), BLOCKS, span.q)
        if span.q == 1:
            return window[:, :, 0], looks
        if by_medians:
            return _nanmedian(window), looks
        low = np.where(np.isfinite(window), window, np.inf).min(axis=2)
        return np.where(np.isinf(low), np.nan, low), looks

    def _first(self, *, coarse: bool) -> int:
        return -(-self.blocks.first // COARSE_OF) if coarse else self.blocks.first

    def _before(self, span: Span, looks: Ints) -> Ints:
        """Return how many of the coarse blocks held lie wholly before each window."""
        n = span.q * BLOCKS * (COARSE_OF if span.coarse else 1)
        last = (self._last(coarse=True)[looks] + 1) * COARSE_OF - 1 if span.coarse else self.ends[looks]
        return np.clip((last - n + 1) // COARSE_OF - self.blocks.coarse_start, 0, len(self.blocks.coarse_lows))

    def known(self, span: Span, looks: Ints, *, by_medians: bool) -> Floats:
        """Return the highest trough before each window, of hours, or of the window's own blocks where these are longer.

        A sawtooth slower than an hour has its true troughs only in blocks as long as a tooth.
        """
        lows = self.blocks.coarse_medians if by_medians else self.blocks.coarse_lows
        if span.coarse and span.q > 1 and not by_medians:
            lows = rolling_min(lows, span.q)
        held = np.where(np.isfinite(lows), lows, -np.inf)
        return self._extreme(held, span, looks, self.blocks.top_before, np.maximum)

    def _extreme(self, x: Floats, span: Span, looks: Ints, initial: float, pick: np.ufunc) -> Floats:
        """Return the extreme of the coarse blocks before each window, of as many as a live series holds."""
        before = self._before(span, looks)
        kept = self.plan.coarse_kept
        if len(x) <= kept:
            prefix = np.concatenate([[initial], pick.accumulate(x)])
            out: Floats = pick(prefix[before], initial)
            return out
        newest = self._last(coarse=True)[looks] + 1 - self.blocks.coarse_start
        oldest = np.clip(newest - kept, 0, None)
        return np.array(
            [pick.reduce(x[a:b], initial=initial) if b > a else initial for a, b in zip(oldest, before, strict=True)]
        )

    def prior(self, span: Span, looks: Ints) -> Floats:
        """Return the range of troughs before each window."""
        lows = self.blocks.coarse_lows
        settled = self.blocks.first + self.plan.blocks_of(SETTLING_UNITS)
        held = np.isfinite(lows) & ((self.blocks.coarse_start + np.arange(len(lows))) * COARSE_OF >= settled)
        low = self._extreme(np.where(held, lows, np.inf), span, looks, np.inf, np.minimum)
        high = self._extreme(np.where(held, lows, -np.inf), span, looks, -np.inf, np.maximum)
        return np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0)

    def previous(self, span: Span, looks: Ints, *, by_medians: bool) -> Floats:
        """Return the growth over the stretch before each window: 1.5 times that from its first to its last third."""
        n = span.q * BLOCKS
        coarse = span.coarse or 2 * n > FINE_KEPT
        last = self._last(coarse=span.coarse)[looks]
        if coarse and not span.coarse:
            last, n = (last + 1) // COARSE_OF - 1, max(3, n // COARSE_OF)
        series, start = self._series(coarse=coarse, by_medians=by_medians)
        third = n // 3
        begin = last - 2 * n + 1
        out = np.full(len(looks), np.nan)
        has = (begin >= self._first(coarse=coarse)) & (begin >= start)
        if has.any():
            sums, counts = self._sums[id(series)]
            old, new = begin[has] - start, last[has] - n - third + 1 - start
            out[has] = 1.5 * (_mean(sums, counts, new, third) - _mean(sums, counts, old, third))
        return out

    def _day_rise(self) -> Floats:
        b, plan = self.blocks, self.plan
        hour, day = plan.blocks_of(1), plan.blocks_of(FINE_UNITS)
        out = np.full(len(self.ends), np.nan)
        oldest = self.ends - day - 2 * hour + 1
        has = (oldest >= b.first) & (oldest >= b.start) & (day + 2 * hour <= FINE_KEPT)
        if has.any():
            troughs = rolling_min(b.lows, hour)
            now = self.ends[has] - b.start
            around = (now - day - hour)[:, None] + np.arange(2 * hour + 1)
            out[has] = troughs[now] - _nanmedian(troughs[around][:, :, None].swapaxes(1, 2))[:, 0]
        return out

    def _newest(self) -> tuple[Floats, Floats]:
        b, every = self.blocks, self.plan.look_blocks
        newest, usual = np.full(len(self.ends), np.nan), np.full(len(self.ends), np.nan)
        now = self.ends - b.start
        has = (now - BLOCKS * every >= max(0, b.first - b.start)) & (now < len(b.lows))
        rises = -np.diff(b.lows[now[has][:, None] - every * np.arange(BLOCKS + 1)], axis=1)
        newest[has], usual[has] = rises[:, 0], np.median(rises, axis=1)
        return newest, usual


def rolling_min(x: Floats, length: int) -> Floats:
    """Return the lowest of each block and the ``length - 1`` before it, NaN where these are not all held or all NaN."""
    out = np.full(len(x), np.nan)
    if len(x) >= length:
        low = sliding_window_view(np.where(np.isfinite(x), x, np.inf), length).min(axis=1)
        out[length - 1 :] = np.where(np.isinf(low), np.nan, low)
    return out


def _nanmedian(x: Floats) -> Floats:
    """Return the medians along the last axis, NaN where all are NaN, without the warning."""
    ordered = np.sort(x, axis=-1)  # NaN last
    count = np.isfinite(x).sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)[..., 0]
    high = np.take_along_axis(ordered, (count // 2).clip(max=x.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    out: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return out


def _sums(x: Floats) -> tuple[Floats, Ints]:
    real = np.isfinite(x)
    return (
        np.concatenate([[0.0], np.cumsum(np.where(real, x, 0.0))]),
        np.concatenate([[0], np.cumsum(real)]).astype(np.int64),
    )


def _mean(sums: Floats, counts: Ints, at: Ints, length: int) -> Floats:
    count = counts[at + length] - counts[at]
    return np.where(count > 0, (sums[at + length] - sums[at]) / np.maximum(count, 1), np.nan)
