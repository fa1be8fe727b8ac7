"""Whole series to blocks and looks at once, exactly as ``state.SeriesState`` comes to them sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from leakwatch.analysis.climb import Look
from leakwatch.analysis.measure import row_medians
from leakwatch.analysis.spans import COARSE_OF
from leakwatch.analysis.state import RECENT_UNITS, TROUGH_UNITS
from leakwatch.analysis.windows import Blocks, rolling_min

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leakwatch.analysis.capture import Capture
    from leakwatch.analysis.climb import LookValues
    from leakwatch.analysis.spans import Plan
    from leakwatch.analysis.trend import Floats
    from leakwatch.analysis.windows import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The blocks of one segment and the looks it has."""

    start_ms: int
    blocks: Blocks
    ends: Ints
    """The fine block each look ends with."""


def segments_of(capture: Capture, plan: Plan) -> list[Segment]:
    """Return the segments of a series: anew where the clock was set back or all that is held would be a gap."""
    out: list[Segment] = []
    top = -np.inf
    for times, values in _stretches(capture.times_ms, capture.values, plan):
        segment = _segment(times, values, plan, top)
        out.append(segment)
        lows = segment.blocks.lows[np.isfinite(segment.blocks.lows)]
        top = max(top, float(lows.max(initial=-np.inf)))
    return out


def _stretches(times: Ints, values: Floats, plan: Plan) -> Iterator[tuple[Ints, Floats]]:
    """Yield stretches of increasing times; small steps back are left out once, large ones begin anew."""
    if not len(times):
        return
    longest = plan.coarse_kept * plan.coarse_s * 1000
    steps = np.diff(times)
    if (steps > 0).all() and (steps <= longest).all():
        yield times, values
        return
    small = plan.seconds(1) * 1000
    kept: list[int] = [0]
    previous = int(times[0])
    for at in range(1, len(times)):
        now = int(times[at])
        if now <= previous and previous - now <= small:
            continue
        if now <= previous or now - previous > longest:
            yield times[kept], values[kept]
            kept = []
        kept.append(at)
        previous = now
    yield times[kept], values[kept]


def _segment(times: Ints, values: Floats, plan: Plan, top: float) -> Segment:
    index = times // (plan.base_s * 1000)
    first, now = int(index[0]), int(index[-1])
    cuts = np.flatnonzero(np.diff(index)) + 1
    starts = np.concatenate([[0], cuts]).astype(np.int64)
    at = index[starts]
    sealed = at < now
    lows, medians = np.full(now - first, np.nan), np.full(now - first, np.nan)
    lows[at[sealed] - first] = np.minimum.reduceat(values, starts)[sealed]
    medians[at[sealed] - first] = _medians(values, starts)[sealed]
    coarse_first = first // COARSE_OF
    coarse_lows, coarse_medians = _coarse(lows, medians, first, coarse_first, now)
    blocks = Blocks(first, first, lows, medians, coarse_first, coarse_lows, coarse_medians, top)
    every = plan.look_blocks
    due = np.unique(-(-(at[sealed] + 1) // every) * every - 1)
    due = due[due < now]
    return Segment(int(times[0]), blocks, due)


def _medians(values: Floats, starts: Ints) -> Floats:
    counts = np.diff(np.concatenate([starts, [len(values)]]))
    out = np.empty(len(starts))
    for count in np.unique(counts).tolist():
        which = np.flatnonzero(counts == count)
        out[which] = row_medians(values[starts[which][:, None] + np.arange(count)])
    return out


def _coarse(lows: Floats, medians: Floats, first: int, coarse_first: int, now: int) -> tuple[Floats, Floats]:
    """Return the coarse blocks that are complete before the fine block ``now``."""
    count = now // COARSE_OF - coarse_first
    if count <= 0:
        return np.empty(0), np.empty(0)
    grid = np.full((2, (count + 1) * COARSE_OF), np.nan)
    offset = first - coarse_first * COARSE_OF
    grid[0, offset : offset + len(lows)] = lows
    grid[1, offset : offset + len(medians)] = medians
    low = grid[0].reshape(-1, COARSE_OF)[:count]
    middle = grid[1].reshape(-1, COARSE_OF)[:count]
    empty = ~np.isfinite(low).any(axis=1)
    low = np.where(np.isfinite(low), low, np.inf).min(axis=1)
    ordered = np.sort(middle, axis=1)
    held = np.isfinite(middle).sum(axis=1)
    a = np.take_along_axis(ordered, (np.maximum(held - 1, 0) // 2)[:, None], axis=1)[:, 0]
    b = np.take_along_axis(ordered, (held // 2).clip(max=COARSE_OF - 1)[:, None], axis=1)[:, 0]
    return np.where(empty, np.nan, low), np.where(empty, np.nan, (a + b) / 2)


Facts: TypeAlias = "Iterable[LookValues]"


def look_facts(segment: Segment, plan: Plan) -> list[Look]:
    """Return the looks of a segment, oldest first."""
    return [Look(*values) for values in look_values(segment, plan)]


def look_values(segment: Segment, plan: Plan) -> Facts:
    """Return the looks of a segment as plain values."""
    ends, b = segment.ends, segment.blocks
    if not len(ends):
        return ()
    at = ends - b.first
    reach = int(at[-1]) + 1
    lows = np.concatenate([b.lows, np.full(max(0, reach - len(b.lows)), np.nan)])[:reach]
    age = (at + 1) * plan.base_s / plan.unit_s
    trough = rolling_min(lows, plan.blocks_of(TROUGH_UNITS))[at]
    recent = _rolling_max(lows, plan.blocks_of(RECENT_UNITS))[at]
    noise = _noise(lows, at, plan)
    when = (ends + 1) * plan.base_s * 1000
    return zip(when.tolist(), age.tolist(), trough.tolist(), recent.tolist(), noise.tolist(), strict=True)


def _rolling_max(x: Floats, length: int) -> Floats:
    padded = np.concatenate([np.full(length - 1, -np.inf), np.where(np.isfinite(x), x, -np.inf)])
    high = sliding_window_view(padded, length).max(axis=1)
    return np.where(np.isinf(high), np.nan, high)


def _noise(lows: Floats, at: Ints, plan: Plan) -> Floats:
    """See ``state.noise_of``."""
    q = max(1, round(plan.blocks_of(RECENT_UNITS) / 12))
    out = np.full(len(at), np.nan)
    has = at + 1 >= 12 * q
    if has.any():
        window = lows[at[has][:, None] - 12 * q + 1 + np.arange(12 * q)].reshape(-1, 12, q)
        y = np.where(np.isfinite(window), window, np.inf).min(axis=2)
        whole = np.isfinite(y).all(axis=1)
        y[~whole] = 0.0
        steps = np.diff(y, axis=1)
        spread = row_medians(np.abs(steps - row_medians(steps)[:, None]))
        out[has] = np.where(whole, 1.4826 * spread / 2**0.5, np.nan)
    return out
