"""Cuts the windows that are judged out of blocks, and what lies before and around them: many checkpoints at once.

Nothing here reads a block after the one a checkpoint ends with.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_HOURS, FINE_KEPT, Span, TimePlan
from leakwatch.analysis.windows.block_table import Bools, Ints, Level, Table, mean, medians_at, nanmedian
from leakwatch.analysis.windows.features import WindowRows, filled, join
from leakwatch.analysis.windows.robust_rows import Floats, row_medians

SETTLING_HOURS = 2.0
"""Of a life, whose range says nothing of what follows: everything starts from nothing."""


class Track(IntEnum):
    """What a window's twelve values are."""

    LOWS = 0
    """The lowest of each twelfth."""
    MEDIANS = 1
    """The median of each twelfth."""
    CYCLES = 2
    """The lowest of each twelfth and the two before it: a wave of load has its trough in one of three."""


CYCLE_BLOCKS = 3
"""Twelfths a cycle may take. 2: as many leaks under waves found; one healthy series in 1700 more called a leak. 4: one
more in 156 healthy recordings of real programs, one leak in 72 fewer found."""
CYCLE_DEPTH = 0.25
"""How far the lows stand above the troughs of cycles, on average, as a share of what these range over: else there are
no cycles, and smoothing only hides that growth slows. A plain ramp has 0.18. Without: one more false leak in 277 public
real series; 0.4: four leaks in 72 fewer found."""


class Context:
    """What all windows of some checkpoints share."""

    def __init__(self, table: Table, series_of: Ints, ends: Ints) -> None:
        self.table, self.series_of, self.ends = table, series_of, ends
        self.plan: TimePlan = table.plan
        self.first = table.first[series_of]
        self.age = (ends - self.first + 1) * self.plan.base_s / self.plan.rule_hour_s
        self.day_rise = self._day_rise()
        self.newest, self.usual = self._newest()

    def _level(self, *, coarse: bool) -> Level:
        return self.table.coarse if coarse else self.table.fine

    def _last(self, *, coarse: bool) -> Ints:
        """Return the newest block of each checkpoint."""
        return (self.ends + 1) // COARSE_OF - 1 if coarse else self.ends

    def _first(self, *, coarse: bool) -> Ints:
        return -(-self.first // COARSE_OF) if coarse else self.first

    def _at(self, level: Level, block: Ints, checkpoints: Ints | slice = slice(None)) -> Ints:
        """Return where in a level's arrays a block of each checkpoint is."""
        series_of = self.series_of[checkpoints]
        return block - level.start[series_of] + level.offset[series_of]

    def windows(self, span: Span, track: Track) -> tuple[Floats, Ints]:
        """Return the windows of every checkpoint that has one, and the checkpoints."""
        reach = CYCLE_BLOCKS if track is Track.CYCLES else 1
        level = self._level(coarse=span.coarse)
        last = self._last(coarse=span.coarse)
        begin = last - span.q * BLOCKS + 1
        start = level.start[self.series_of]
        oldest = np.maximum(self._first(coarse=span.coarse), start)
        checkpoints = np.flatnonzero(
            (begin - (reach - 1) * span.q >= oldest) & (last < start + level.count[self.series_of])
        )
        if not len(checkpoints):
            return np.empty((0, BLOCKS)), checkpoints
        at = self._at(level, last[checkpoints], checkpoints)[:, None] - span.q * np.arange(BLOCKS - 1, -1, -1)
        if track is Track.MEDIANS:
            return (level.medians[at] if span.q == 1 else medians_at(level.medians, at, span.q)), checkpoints
        if track is Track.LOWS:
            return level.lowest(span.q)[at], checkpoints
        troughs = level.lowest(reach * span.q)[at]
        above = _nanmean(level.lowest(span.q)[at] - troughs)
        cycles = above >= CYCLE_DEPTH * (np.fmax.reduce(troughs, axis=1) - np.fmin.reduce(troughs, axis=1))
        return troughs[cycles], checkpoints[cycles]

    def _before(self, span: Span, checkpoints: Ints) -> Ints:
        """Return how many of the coarse blocks held lie wholly before each window."""
        n = span.q * BLOCKS * (COARSE_OF if span.coarse else 1)
        last = (self._last(coarse=True)[checkpoints] + 1) * COARSE_OF - 1 if span.coarse else self.ends[checkpoints]
        coarse, series_of = self.table.coarse, self.series_of[checkpoints]
        before: Ints = np.clip((last - n + 1) // COARSE_OF - coarse.start[series_of], 0, coarse.count[series_of])
        return before

    def known(self, span: Span, checkpoints: Ints, track: Track) -> Floats:
        """Return the highest trough before each window, of hours, or of the window's own blocks where these are longer.

        A sawtooth slower than an hour has its true troughs only in blocks as long as a tooth.
        """
        by_medians = track is Track.MEDIANS
        q = span.q if span.coarse and not by_medians else 1
        if track is Track.CYCLES:
            q = max(1, CYCLE_BLOCKS * span.q // (1 if span.coarse else COARSE_OF))

        def held() -> Floats:
            coarse = self.table.coarse
            lows = coarse.series(by_medians=by_medians)
            if q > 1:
                lows = np.where(coarse.inside() >= q - 1, coarse.lowest(q), np.nan)
            return np.where(np.isfinite(lows), lows, -np.inf)

        name = "medians" if by_medians else "lows"
        return self._extreme((name, q), held, span, checkpoints, self.table.top_before, np.maximum)

    def _extreme(
        self,
        name: tuple[str, int],
        made: Callable[[], Floats],
        span: Span,
        checkpoints: Ints,
        initial: Floats,
        pick: np.ufunc,
    ) -> Floats:
        """Return the extreme of the coarse blocks before each window, of as many as a live series holds."""
        coarse, series_of, kept = self.table.coarse, self.series_of[checkpoints], self.plan.coarse_kept
        if name not in self.table.extremes:
            x = made()
            self.table.extremes[name] = x, coarse.running(x, pick, initial)
        x, running = self.table.extremes[name]
        before = self._before(span, checkpoints)
        out: Floats = running[coarse.offset[series_of] + series_of + before]
        newest = self._last(coarse=True)[checkpoints] + 1 - coarse.start[series_of]
        for i in np.flatnonzero(coarse.count[series_of] > kept).tolist():
            dropped = int(newest[i]) - kept
            first = dropped + name[1] - 1 if dropped > 0 else 0  # a trough of several blocks needs them all
            part = x[coarse.offset[series_of[i]] :][first : int(before[i])]
            out[i] = pick.reduce(part, initial=initial[series_of[i]])
        return out

    def prior(self, span: Span, checkpoints: Ints) -> Floats:
        """Return the range of troughs before each window."""
        nothing = np.full(len(self.table.first), np.inf)
        low = self._extreme(("prior low", 1), lambda: self._settled(np.inf), span, checkpoints, nothing, np.minimum)
        high = self._extreme(("prior high", 1), lambda: self._settled(-np.inf), span, checkpoints, -nothing, np.maximum)
        return np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0)

    def _settled(self, otherwise: float) -> Floats:
        """Return the lows after the first two rule hours of a life, ``otherwise`` before."""
        coarse = self.table.coarse
        settled = self.table.first + self.plan.blocks_of(SETTLING_HOURS)
        begins = (np.repeat(coarse.start, coarse.count) + coarse.inside()) * COARSE_OF
        held = np.isfinite(coarse.lows) & (begins >= np.repeat(settled, coarse.count))
        return np.where(held, coarse.lows, otherwise)

    def previous(self, span: Span, checkpoints: Ints, *, by_medians: bool) -> Floats:
        """Return the growth over the stretch before each window: 1.5 times that from its first to its last third."""
        n = span.q * BLOCKS
        coarse = span.coarse or 2 * n > FINE_KEPT
        last = self._last(coarse=span.coarse)[checkpoints]
        if coarse and not span.coarse:
            last, n = (last + 1) // COARSE_OF - 1, max(3, n // COARSE_OF)
        level, series_of = self._level(coarse=coarse), self.series_of[checkpoints]
        third = n // 3
        begin = last - 2 * n + 1
        out = np.full(len(checkpoints), np.nan)
        has = (begin >= self._first(coarse=coarse)[checkpoints]) & (begin >= level.start[series_of])
        if has.any():
            sums, counts = level.sums(by_medians=by_medians)
            shift = (level.offset[series_of] + series_of - level.start[series_of])[has]
            old, new = begin[has] + shift, last[has] - n - third + 1 + shift
            out[has] = 1.5 * (mean(sums, counts, new, third) - mean(sums, counts, old, third))
        return out

    def _day_rise(self) -> Floats:
        plan, fine = self.plan, self.table.fine
        hour, day = plan.blocks_of(1), plan.blocks_of(FINE_HOURS)
        out = np.full(len(self.ends), np.nan)
        oldest = self.ends - day - 2 * hour + 1
        has = (oldest >= self.first) & (oldest >= fine.start[self.series_of]) & (day + 2 * hour <= FINE_KEPT)
        if has.any():
            troughs = fine.lowest(hour)
            now = self._at(fine, self.ends[has], np.flatnonzero(has))
            around = (now - day - hour)[:, None] + np.arange(2 * hour + 1)
            out[has] = troughs[now] - nanmedian(troughs[around])
        return out

    def _newest(self) -> tuple[Floats, Floats]:
        fine, every = self.table.fine, self.plan.checkpoint_blocks
        newest, usual = np.full(len(self.ends), np.nan), np.full(len(self.ends), np.nan)
        start, count = fine.start[self.series_of], fine.count[self.series_of]
        now = self.ends - start
        has = (now - BLOCKS * every >= np.maximum(0, self.first - start)) & (now < count)
        at = self._at(fine, self.ends[has], np.flatnonzero(has))
        rises = -np.diff(fine.lows[at[:, None] - every * np.arange(BLOCKS + 1)], axis=1)
        newest[has] = rises[:, 0]
        usual[has] = np.where(np.isfinite(rises).all(axis=1), row_medians(rises), np.nan)
        return newest, usual


def _nanmean(x: Floats) -> Floats:
    """Return the means of the rows, NaN where nothing has data, without the warning."""
    real = np.isfinite(x)
    out: Floats = np.where(real, x, 0.0).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    return out


MEDIAN_FROM_HOURS = 12.0
"""From here on windows are cut from medians too: a worker replaced every few hours leaves a dip in any trough, and no
trace in a median of an hour."""
CYCLE_FROM_HOURS = 8.0
"""From here on windows are cut from the troughs of cycles too: load that comes in waves of two hours hides a leak from
any block of one. 5: FA 0.1 higher, one more in 156 healthy recordings; 12: as from 8."""


Screen: TypeAlias = "Callable[[Floats], Bools]"


def tracks_of(span: Span) -> tuple[Track, ...]:
    """Return what a window of this length is cut from."""
    tracks = [Track.LOWS]
    if span.rule_hours >= MEDIAN_FROM_HOURS:
        tracks.append(Track.MEDIANS)
    held = span.coarse or span.q * (BLOCKS + CYCLE_BLOCKS - 1) <= FINE_KEPT
    if span.rule_hours >= CYCLE_FROM_HOURS and held:
        tracks.append(Track.CYCLES)
    return tuple(tracks)


def cut(
    table: Table, series_of: Ints, ends: Ints, shortest_hours: float = 0.0, screen: Screen | None = None
) -> WindowRows:
    """Return the windows of these checkpoints, of at least ``shortest_hours``.

    ``screen`` tells of windows (rows, 12) which of them matter; no others are returned.
    """
    context = Context(table, series_of, ends)
    parts = []
    for at, span in enumerate(table.plan.spans):
        if span.rule_hours < shortest_hours:
            continue
        for track in tracks_of(span):
            rows = _rows(context, at, span, screen, track)
            if rows is not None:
                parts.append(rows)
    return join(parts)


def _rows(context: Context, at: int, span: Span, screen: Screen | None, track: Track) -> WindowRows | None:
    """Return the windows of one length, None where there are none."""
    y, checkpoints = context.windows(span, track)
    if not len(checkpoints):
        return None
    y, enough = filled(y)
    if screen is not None:
        enough &= screen(y)
    if not enough.all():
        y, checkpoints = y[enough], checkpoints[enough]
    count = len(checkpoints)
    if not count:
        return None
    return WindowRows(
        y=y,
        checkpoint=checkpoints,
        span=np.full(count, at, dtype=np.int64),
        track=np.full(count, track, dtype=np.int64),
        known=context.known(span, checkpoints, track),
        prior=context.prior(span, checkpoints),
        previous=context.previous(span, checkpoints, by_medians=track is Track.MEDIANS),
        day_rise=context.day_rise[checkpoints],
        age=context.age[checkpoints],
        newest=context.newest[checkpoints],
        usual=context.usual[checkpoints],
    )
