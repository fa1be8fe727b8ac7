"""Where a captured series begins a new life under the same name.

The daemon knows processes by their start and what the kernel holds by its boot. A log that was written by name has only
its shape: drawn over a restart, a line has a release in it and all growth after it is on known ground, which loses the
leak. The life that ended teaches the next one instead, as numbered lives do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from leakwatch.analysis.replay.block_grid import Segment, all_segments
from leakwatch.analysis.replay.capture import PreparedSeries
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.time_plan import BLOCKS, FINE_KEPT, TimePlan, plan_of
from leakwatch.analysis.tracking.past_runs import RunSummary, summarise

LEAST_HOURS = 12.0
"""A shorter climb is a tooth: saws of garbage collection, batches and logs that are rotated fall back each few hours,
and all of it is one shape."""
RHYTHM_HOURS = 30.0
SAME_LENGTH = 0.2
"""Two climbs of up to a day and a quarter that last as long but for a fifth are a rhythm, as of a nightly job. Not of
what the kernel does not give back when asked: that falls at once to where it began when the machine starts anew."""
GONE = 0.75
"""Of what a life has gained must be gone within two samples, and must have been held until then."""
TOOTH = 0.5
"""A fall half as deep within the life makes the last one a tooth."""
FIRST = 3
"""Samples the lowest of which is the level a life begins at: a process that has just started is not whole yet."""
ENDED_INTERVALS = 3
"""Intervals a series must be missing before its life counts as ended, as in the daemon."""


def past_runs_of(one: PreparedSeries, windows_s: tuple[int, ...]) -> list[PreparedSeries]:
    """Return the lives of a series in their order, each as a series of its own; one where it never began anew."""
    capture = one.capture
    if one.is_sparse or (capture.begins_ms is None and (capture.subject.lifetime or len(capture.values) <= BLOCKS)):
        return [one]
    if capture.begins_ms is not None:
        begins = [int(np.argmax(capture.times_ms >= ms)) for ms in capture.begins_ms if (capture.times_ms >= ms).any()]
    else:
        begins = list(_begins(one, plan_of(windows_s, one.interval_s)))
    edges = sorted({0, *begins, len(capture.values)})
    if len(edges) <= 2:
        return [one]
    return [_part(one, first, end, number) for number, (first, end) in enumerate(itertools.pairwise(edges), 1)]


def _part(one: PreparedSeries, first: int, end: int, number: int = 0) -> PreparedSeries:
    capture = one.capture
    subject = replace(capture.subject, lifetime=number)
    times_ms, values = capture.times_ms[first:end], capture.values[first:end]
    return replace(one, capture=replace(capture, subject=subject, times_ms=times_ms, values=values))


def _begins(one: PreparedSeries, plan: TimePlan) -> Iterator[int]:
    """Yield the samples with which a life begins that follows one which grew; no later sample is looked at."""
    subject, times = one.capture.subject, one.capture.times_ms
    kept = subject.kind in (SubjectKind.SLAB, SubjectKind.KERNEL) and not subject.reclaimable
    begin, checked, rhythm, hour_ms = 0, 0, list[float](), plan.rule_hour_s * 1000
    due = _restarts(one, begin)
    while due:
        at = due.pop(0)
        hours = (int(times[at - 1]) - int(times[begin])) / hour_ms
        if hours < LEAST_HOURS or times[at] - times[checked] < hour_ms:
            continue
        checked = at
        if not kept and hours < RHYTHM_HOURS and any(abs(hours - other) <= SAME_LENGTH * other for other in rhythm):
            continue
        part = _part(one, begin, at)
        life = summary(part, all_segments([part.capture], plan)[0], plan)
        if life is not None and life.grew:
            rhythm.append(hours)
            begin = at
            yield at
            due = _restarts(one, begin)


def _restarts(one: PreparedSeries, begin: int) -> list[int]:
    """Return the samples after ``begin`` at which a fall has a restart's shape.

    From near the top of the life at once to where it began, and twice as deep as any fall before it. Of each sample
    only what is before it is looked at.
    """
    values = one.capture.values[begin:]
    if len(values) <= FIRST:
        return []
    top = np.maximum(values[:-1], np.concatenate([values[:1], values[:-2]]))
    falls, start = top - values[1:], values[:FIRST].min()
    gained = top - start
    # Of the fall to sample i + 1: the deepest to the samples 2 to i - 1 of this life.
    deepest = np.maximum.accumulate(np.concatenate([[0.0, 0.0, 0.0], falls[1:-2]]))[: len(falls)]
    is_one = (falls >= one.criteria.min_growth_bytes) & (gained > 0) & (values[1:] <= start + (1 - GONE) * gained)
    is_one &= gained >= GONE * (np.maximum.accumulate(values)[:-1] - start)
    is_one &= deepest < TOOTH * falls
    return (begin + 1 + np.flatnonzero(is_one)).tolist()


def summary(one: PreparedSeries, segments: Sequence[Segment], plan: TimePlan) -> RunSummary | None:
    """Return what a life of these segments teaches others from its end on, None where that is nothing."""
    capture = one.capture
    if not segments:
        return None
    blocks = segments[-1].blocks
    ended_ms = int(capture.times_ms[-1]) + round(ENDED_INTERVALS * one.interval_s * 1000)
    if len(blocks.lows) > FINE_KEPT:
        lows = blocks.coarse_lows[-plan.coarse_kept :].tolist()
        return summarise(capture.name, lows, ended_ms, plan.coarse_s, plan.rule_hour_s, one.criteria)
    return summarise(capture.name, blocks.lows.tolist(), ended_ms, plan.base_s, plan.rule_hour_s, one.criteria)
