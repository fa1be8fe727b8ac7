"""Whole series to blocks and checkpoints at once, exactly as ``online.SeriesState`` comes to them sample by sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leakwatch.analysis.online import TROUGH_HOURS
from leakwatch.analysis.replay.capture import Capture
from leakwatch.analysis.rules.verdict import Observed
from leakwatch.analysis.series.blocks import HELD_AS
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, TimePlan
from leakwatch.analysis.tracking.alarm_state import Checkpoint
from leakwatch.analysis.windows.block_table import Blocks, Ints, rolling
from leakwatch.analysis.windows.robust import RECENT_HOURS
from leakwatch.analysis.windows.robust_rows import Floats, row_medians, step_noise


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The blocks of one segment and the checkpoints it has."""

    start_ms: int
    blocks: Blocks
    ends: Ints
    """The fine block each checkpoint ends with."""
    observed: Observed


def all_segments(captures: Sequence[Capture], plan: TimePlan) -> list[list[Segment]]:
    """Return the segments of each series: anew where the clock was set back or all that is held would be a gap."""
    stretches = [list(_stretches(capture.times_ms, capture.values, plan)) for capture in captures]
    cut = iter(_segments([stretch for of_one in stretches for stretch in of_one], plan))
    out: list[list[Segment]] = []
    for of_one in stretches:
        segments = [next(cut) for _ in of_one]
        top = -np.inf
        for at, segment in enumerate(segments[:-1]):
            lows = segment.blocks.lows[np.isfinite(segment.blocks.lows)]
            top = max(top, float(lows.max(initial=-np.inf)))
            later = segments[at + 1]
            segments[at + 1] = replace(later, blocks=replace(later.blocks, top_before=top))
        out.append(segments)
    return out


def _stretches(times: Ints, values: Floats, plan: TimePlan) -> Iterator[tuple[Ints, Floats]]:
    """Yield stretches of increasing times; what is measured twice is left out once."""
    if not len(times):
        return
    gaps = times[1:] - times[:-1]
    if not len(gaps) or (gaps.min() > 0 and gaps.max() <= plan.longest_gap_ms):
        yield times, values
        return
    forward = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
    times, values = times[forward], values[forward]
    cuts = (np.flatnonzero(np.diff(times) > plan.longest_gap_ms) + 1).tolist()
    for begin, end in itertools.pairwise([0, *cuts, len(times)]):
        yield times[begin:end], values[begin:end]


def _segments(stretches: Sequence[tuple[Ints, Floats]], plan: TimePlan) -> Iterator[Segment]:
    """Yield the blocks and checkpoints of stretches of samples."""
    if not stretches:
        return
    counts = np.array([len(times) for times, _ in stretches])
    times, values = (np.concatenate(columns) for columns in zip(*stretches, strict=True))
    owner = np.repeat(np.arange(len(counts)), counts)
    index = times // (plan.base_s * 1000)
    ends = np.cumsum(counts)
    first, now = index[ends - counts], index[ends - 1]
    starts = np.concatenate([[0], np.flatnonzero((np.diff(index) != 0) | (np.diff(owner) != 0)) + 1]).astype(np.int64)
    at, of = index[starts], owner[starts]
    sealed = at < now[of]
    at, of = at[sealed], of[sealed]
    coarse_first = first // COARSE_OF
    size = (now // COARSE_OF - coarse_first + 1) * COARSE_OF  # with the coarse block that is not complete yet
    begin = np.cumsum(size) - size - coarse_first * COARSE_OF  # where the fine block 0 would be
    lows, medians = np.full(size.sum(), np.nan), np.full(size.sum(), np.nan)
    lows[begin[of] + at] = np.minimum.reduceat(values, starts)[sealed]
    medians[begin[of] + at] = _medians(values, starts)[sealed]
    coarse_lows, coarse_medians = (_as_held(x) for x in _coarse(lows, medians))
    lows, medians = _as_held(lows), _as_held(medians)
    due, cuts = _due(at, of, now, plan)
    for i, (fine_0, begun, over, coarse) in enumerate(
        zip(begin.tolist(), first.tolist(), now.tolist(), coarse_first.tolist(), strict=True)
    ):
        fine = slice(fine_0 + begun, fine_0 + over)
        row = fine_0 // COARSE_OF + coarse
        whole = slice(row, row + over // COARSE_OF - coarse)
        blocks = Blocks(begun, begun, lows[fine], medians[fine], coarse, coarse_lows[whole], coarse_medians[whole])
        of_one, value = stretches[i]
        observed = Observed(int(of_one[0]), int(of_one[-1]), float(value[0]))
        yield Segment(observed.first_ms, blocks, due[cuts[i] : cuts[i + 1]], observed)


def _as_held(x: Floats) -> Floats:
    """Return values in the precision in which the daemon holds them: a replay must see what it saw."""
    return x.astype(HELD_AS).astype(np.float64)


def _due(at: Ints, of: Ints, now: Ints, plan: TimePlan) -> tuple[Ints, list[int]]:
    """Return the fine block each checkpoint ends with, and which of them are of which segment."""
    due = plan.due(at)
    taken = due < now[of]
    taken[1:] &= (np.diff(due) != 0) | (np.diff(of) != 0)
    return due[taken], np.searchsorted(of[taken], np.arange(len(now) + 1)).tolist()


def _medians(values: Floats, starts: Ints) -> Floats:
    counts = np.diff(np.concatenate([starts, [len(values)]]))
    out = np.empty(len(starts))
    for count in np.unique(counts).tolist():
        which = np.flatnonzero(counts == count)
        out[which] = row_medians(values[starts[which][:, None] + np.arange(count)])
    return out


def _coarse(lows: Floats, medians: Floats) -> tuple[Floats, Floats]:
    """Return the coarse blocks of fine ones, of whole rows of them."""
    low, middle = lows.reshape(-1, COARSE_OF), medians.reshape(-1, COARSE_OF)
    empty = ~np.isfinite(low).any(axis=1)
    low = np.where(np.isfinite(low), low, np.inf).min(axis=1)
    ordered = np.sort(middle, axis=1)
    held = np.isfinite(middle).sum(axis=1)
    a = np.take_along_axis(ordered, (np.maximum(held - 1, 0) // 2)[:, None], axis=1)[:, 0]
    b = np.take_along_axis(ordered, (held // 2).clip(max=COARSE_OF - 1)[:, None], axis=1)[:, 0]
    return np.where(empty, np.nan, low), np.where(empty, np.nan, (a + b) / 2)


def all_checkpoints(segments: Sequence[Segment], plan: TimePlan) -> list[list[Checkpoint]]:
    """Return the checkpoints of each segment, oldest first."""
    if not any(len(segment.ends) for segment in segments):
        return [[] for _ in segments]
    half, recent = plan.blocks_of(TROUGH_HOURS), plan.blocks_of(RECENT_HOURS)
    sixth = max(1, round(recent / BLOCKS))
    space = np.full(
        max(half, recent, sixth * BLOCKS), np.nan
    )  # before each: no checkpoint reaches into another's blocks
    lows = np.concatenate([part for segment in segments for part in (space, segment.blocks.lows)])
    counts = np.array([len(segment.ends) for segment in segments], dtype=np.int64)
    sizes = np.array([len(space) + len(segment.blocks.lows) for segment in segments], dtype=np.int64)
    ends = np.concatenate([segment.ends for segment in segments])
    at = ends - np.repeat([segment.blocks.first for segment in segments], counts)
    where = at + np.repeat(np.cumsum(sizes) - sizes + len(space), counts)
    real = np.isfinite(lows)
    falling = np.where(real, lows, np.inf)
    trough = np.where(at + 1 >= half, rolling(falling, half, np.minimum)[where], np.inf)
    top = rolling(np.where(real, lows, -np.inf), recent, np.maximum)[where]
    noise = _noise(rolling(falling, sixth, np.minimum), where, sixth)
    noise[at + 1 < BLOCKS * sixth] = np.nan
    columns = (
        (ends + 1) * plan.base_s * 1000,
        (at + 1) * plan.base_s / plan.rule_hour_s,
        np.where(np.isinf(trough), np.nan, trough),
        np.where(np.isinf(top), np.nan, top),
        noise,
    )
    checkpoints = list(map(Checkpoint._make, zip(*(column.tolist() for column in columns), strict=True)))
    cuts = [0, *np.cumsum(counts).tolist()]
    return [checkpoints[begin:end] for begin, end in itertools.pairwise(cuts)]


def _noise(lowest: Floats, where: Ints, sixth: int) -> Floats:
    """See ``robust.noise_of``; ``lowest`` of each block and those before it in a sixth of a rule hour."""
    y = lowest[where[:, None] - sixth * np.arange(BLOCKS - 1, -1, -1)]
    whole = np.isfinite(y).all(axis=1)
    y[~whole] = 0.0
    return np.where(whole, step_noise(y), np.nan)
