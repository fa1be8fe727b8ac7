"""Cuts the windows that are judged out of series' blocks: many looks of many series at once.

All indices are absolute: fine block ``i`` begins ``i * plan.base_s`` seconds after 1970, coarse block ``c`` holds the
fine blocks ``12 c`` to ``12 c + 11``. Nothing here looks beyond the block a look ends with.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from leakwatch.analysis.measure import filled, row_medians
from leakwatch.analysis.spans import BLOCKS, COARSE_OF, FINE_KEPT, FINE_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


Screen: TypeAlias = "Callable[[Floats], Bools]"


def join(parts: Sequence[Rows]) -> Rows:
    """Return all rows as one table."""
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))


class Table:
    """The blocks of many segments, one after another: windows of all of them are cut at once.

    Segment ``i`` is the ``i``-th of those given; a look is a segment (``whose``) and the fine block it ends with.
    """

    def __init__(self, parts: Sequence[Blocks], plan: Plan) -> None:
        self.plan = plan
        self.first = np.array([part.first for part in parts], dtype=np.int64)
        self.top_before = np.array([part.top_before for part in parts])
        self.fine = _Level(
            [part.start for part in parts], [part.lows for part in parts], [part.medians for part in parts]
        )
        self.extremes: dict[tuple[str, int], tuple[Floats, Floats]] = {}
        """What ``_Context`` has worked out of the coarse blocks, each with its running extreme."""
        self.coarse = _Level(
            [part.coarse_start for part in parts],
            [part.coarse_lows for part in parts],
            [part.coarse_medians for part in parts],
        )

    def cut(self, whose: Ints, ends: Ints, shortest_units: float = 0.0, screen: Screen | None = None) -> Rows:
        """Return the windows of these looks, of at least ``shortest_units``.

        ``screen`` tells of windows (rows, 12) which of them matter; no others are returned.
        """
        context = _Context(self, whose, ends)
        parts = []
        for at, span in enumerate(self.plan.spans):
            if span.units < shortest_units:
                continue
            for by_medians in (False, True) if span.units >= MEDIAN_FROM_UNITS else (False,):
                rows = _rows(context, at, span, screen, by_medians=by_medians)
                if rows is not None:
                    parts.append(rows)
        return join(parts) if parts else _NO_ROWS


class _Level:
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


def _rows(context: _Context, at: int, span: Span, screen: Screen | None, *, by_medians: bool) -> Rows | None:
    """Return the windows of one length, None where there are none."""
    y, looks = context.windows(span, by_medians=by_medians)
    if not len(looks):
        return None
    y, enough = filled(y)
    if screen is not None:
        enough &= screen(y)
    if not enough.all():
        y, looks = y[enough], looks[enough]
    count = len(looks)
    if not count:
        return None
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
    """What all windows of some looks share."""

    def __init__(self, table: Table, whose: Ints, ends: Ints) -> None:
        self.table, self.plan, self.whose, self.ends = table, table.plan, whose, ends
        self.first = table.first[whose]
        self.age = (ends - self.first + 1) * self.plan.base_s / self.plan.unit_s
        self.day_rise = self._day_rise()
        self.newest, self.usual = self._newest()

    def _level(self, *, coarse: bool) -> _Level:
        return self.table.coarse if coarse else self.table.fine

    def _last(self, *, coarse: bool) -> Ints:
        """Return the newest block of each look."""
        return (self.ends + 1) // COARSE_OF - 1 if coarse else self.ends

    def _first(self, *, coarse: bool) -> Ints:
        return -(-self.first // COARSE_OF) if coarse else self.first

    def _at(self, level: _Level, block: Ints, looks: Ints | slice = slice(None)) -> Ints:
        """Return where in a level's arrays a block of each look is."""
        whose = self.whose[looks]
        return block - level.start[whose] + level.offset[whose]

    def windows(self, span: Span, *, by_medians: bool) -> tuple[Floats, Ints]:
        """Return the windows of every look that has one, and the looks."""
        level = self._level(coarse=span.coarse)
        last = self._last(coarse=span.coarse)
        begin = last - span.q * BLOCKS + 1
        start = level.start[self.whose]
        oldest = np.maximum(self._first(coarse=span.coarse), start)
        looks = np.flatnonzero((begin >= oldest) & (last < start + level.count[self.whose]))
        if not len(looks):
            return np.empty((0, BLOCKS)), looks
        at = self._at(level, last[looks], looks)[:, None] - span.q * np.arange(BLOCKS - 1, -1, -1)
        if span.q == 1:
            return level.series(by_medians=by_medians)[at], looks
        return (_medians_at(level.medians, at, span.q) if by_medians else level.lowest(span.q)[at]), looks

    def _before(self, span: Span, looks: Ints) -> Ints:
        """Return how many of the coarse blocks held lie wholly before each window."""
        n = span.q * BLOCKS * (COARSE_OF if span.coarse else 1)
        last = (self._last(coarse=True)[looks] + 1) * COARSE_OF - 1 if span.coarse else self.ends[looks]
        coarse, whose = self.table.coarse, self.whose[looks]
        before: Ints = np.clip((last - n + 1) // COARSE_OF - coarse.start[whose], 0, coarse.count[whose])
        return before

    def known(self, span: Span, looks: Ints, *, by_medians: bool) -> Floats:
        """Return the highest trough before each window, of hours, or of the window's own blocks where these are longer.

        A sawtooth slower than an hour has its true troughs only in blocks as long as a tooth.
        """
        q = span.q if span.coarse and not by_medians else 1

        def held() -> Floats:
            coarse = self.table.coarse
            lows = coarse.series(by_medians=by_medians)
            if q > 1:
                lows = np.where(coarse.inside() >= q - 1, coarse.lowest(q), np.nan)
            return np.where(np.isfinite(lows), lows, -np.inf)

        name = "medians" if by_medians else "lows"
        return self._extreme((name, q), held, span, looks, self.table.top_before, np.maximum)

    def _extreme(
        self,
        name: tuple[str, int],
        made: Callable[[], Floats],
        span: Span,
        looks: Ints,
        initial: Floats,
        pick: np.ufunc,
    ) -> Floats:
        """Return the extreme of the coarse blocks before each window, of as many as a live series holds."""
        coarse, whose, kept = self.table.coarse, self.whose[looks], self.plan.coarse_kept
        if name not in self.table.extremes:
            x = made()
            self.table.extremes[name] = x, coarse.running(x, pick, initial)
        x, running = self.table.extremes[name]
        before = self._before(span, looks)
        out: Floats = running[coarse.offset[whose] + whose + before]
        newest = self._last(coarse=True)[looks] + 1 - coarse.start[whose]
        for i in np.flatnonzero(coarse.count[whose] > kept).tolist():
            part = x[coarse.offset[whose[i]] :][max(0, int(newest[i]) - kept) : int(before[i])]
            out[i] = pick.reduce(part, initial=initial[whose[i]])
        return out

    def prior(self, span: Span, looks: Ints) -> Floats:
        """Return the range of troughs before each window."""
        nothing = np.full(len(self.table.first), np.inf)
        low = self._extreme(("prior low", 1), lambda: self._settled(np.inf), span, looks, nothing, np.minimum)
        high = self._extreme(("prior high", 1), lambda: self._settled(-np.inf), span, looks, -nothing, np.maximum)
        return np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0)

    def _settled(self, otherwise: float) -> Floats:
        """Return the lows after the first two units of a life, ``otherwise`` before."""
        coarse = self.table.coarse
        settled = self.table.first + self.plan.blocks_of(SETTLING_UNITS)
        begins = (np.repeat(coarse.start, coarse.count) + coarse.inside()) * COARSE_OF
        held = np.isfinite(coarse.lows) & (begins >= np.repeat(settled, coarse.count))
        return np.where(held, coarse.lows, otherwise)

    def previous(self, span: Span, looks: Ints, *, by_medians: bool) -> Floats:
        """Return the growth over the stretch before each window: 1.5 times that from its first to its last third."""
        n = span.q * BLOCKS
        coarse = span.coarse or 2 * n > FINE_KEPT
        last = self._last(coarse=span.coarse)[looks]
        if coarse and not span.coarse:
            last, n = (last + 1) // COARSE_OF - 1, max(3, n // COARSE_OF)
        level, whose = self._level(coarse=coarse), self.whose[looks]
        third = n // 3
        begin = last - 2 * n + 1
        out = np.full(len(looks), np.nan)
        has = (begin >= self._first(coarse=coarse)[looks]) & (begin >= level.start[whose])
        if has.any():
            sums, counts = level.sums(by_medians=by_medians)
            shift = (level.offset[whose] + whose - level.start[whose])[has]
            old, new = begin[has] + shift, last[has] - n - third + 1 + shift
            out[has] = 1.5 * (_mean(sums, counts, new, third) - _mean(sums, counts, old, third))
        return out

    def _day_rise(self) -> Floats:
        plan, fine = self.plan, self.table.fine
        hour, day = plan.blocks_of(1), plan.blocks_of(FINE_UNITS)
        out = np.full(len(self.ends), np.nan)
        oldest = self.ends - day - 2 * hour + 1
        has = (oldest >= self.first) & (oldest >= fine.start[self.whose]) & (day + 2 * hour <= FINE_KEPT)
        if has.any():
            troughs = fine.lowest(hour)
            now = self._at(fine, self.ends[has], np.flatnonzero(has))
            around = (now - day - hour)[:, None] + np.arange(2 * hour + 1)
            out[has] = troughs[now] - _nanmedian(troughs[around])
        return out

    def _newest(self) -> tuple[Floats, Floats]:
        fine, every = self.table.fine, self.plan.look_blocks
        newest, usual = np.full(len(self.ends), np.nan), np.full(len(self.ends), np.nan)
        start, count = fine.start[self.whose], fine.count[self.whose]
        now = self.ends - start
        has = (now - BLOCKS * every >= np.maximum(0, self.first - start)) & (now < count)
        at = self._at(fine, self.ends[has], np.flatnonzero(has))
        rises = -np.diff(fine.lows[at[:, None] - every * np.arange(BLOCKS + 1)], axis=1)
        newest[has] = rises[:, 0]
        usual[has] = np.where(np.isfinite(rises).all(axis=1), row_medians(rises), np.nan)
        return newest, usual


def _no_rows() -> Rows:
    none, numbers = np.empty(0), np.empty(0, dtype=np.int64)
    return Rows(np.empty((0, BLOCKS)), numbers, numbers, np.empty(0, dtype=np.bool_), *[none] * 7)


_NO_ROWS = _no_rows()


def _medians_at(x: Floats, at: Ints, length: int) -> Floats:
    """Return the medians of ``length`` blocks that end at each of ``at``; those that several windows share, once."""
    wanted = np.zeros(len(x), dtype=np.bool_)
    wanted[at] = True
    ends = np.flatnonzero(wanted)
    out = np.full(len(x), np.nan)
    out[ends] = _nanmedian(x[(ends - length + 1)[:, None] + np.arange(length)])
    return out[at]


def rolling(x: Floats, length: int, pick: np.ufunc) -> Floats:
    """Return what ``pick`` makes of each value and the ``length - 1`` before it, or as many as there are."""
    have = 1
    while have < length:
        shift = min(have, length - have)
        x = np.concatenate([x[:shift], pick(x[shift:], x[:-shift])])
        have += shift
    return x


def _nanmedian(x: Floats) -> Floats:
    """Return the medians along the last axis, NaN where all are NaN, without the warning."""
    ordered = np.sort(x, axis=-1)  # NaN last
    count = np.isfinite(x).sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)[..., 0]
    high = np.take_along_axis(ordered, (count // 2).clip(max=x.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    out: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return out


def _mean(sums: Floats, counts: Floats, at: Ints, length: int) -> Floats:
    count = counts[at + length] - counts[at]
    return np.where(count > 0, (sums[at + length] - sums[at]) / np.maximum(count, 1), np.nan)
