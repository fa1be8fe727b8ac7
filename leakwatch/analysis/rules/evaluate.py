"""Questions in, answers out: all windows of all checkpoints asked about, measured and judged at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np

from leakwatch.analysis.rules.tests import TestResults, evidence, judge
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_KEPT, TimePlan
from leakwatch.analysis.window_request import BlockSnapshot, WindowHit, WindowRequest, WindowResult
from leakwatch.analysis.windows.block_table import Blocks, Ints, Table
from leakwatch.analysis.windows.cut import Track, cut
from leakwatch.analysis.windows.robust import climb_began
from leakwatch.analysis.windows.robust_rows import Floats
from leakwatch.model.verdict import Trend, Verdict

NEAREST = 0.7
"""The longest span that fits a configured window stands for it from this share of it on: 60 hours for 64."""


def answer(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Return the answers, in the order of the questions, which must all have the same plan."""
    if not questions:
        return []
    blocks = [blocks_of(question.held) for question in questions]
    ends = np.array([question.end for question in questions], dtype=np.int64)
    table = Table(blocks, questions[0].plan)
    return answers_at(table, blocks, [question.criteria for question in questions], np.arange(len(questions)), ends)


def answers_at(
    table: Table, blocks: Sequence[Blocks], criteria: Sequence[LeakCriteria], series_of: Ints, ends: Ints
) -> list[WindowResult]:
    """Return all that the windows of some checkpoints show.

    ``blocks`` are what ``table`` was made of, ``criteria`` those of each; checkpoint ``i`` is of the segment
    ``series_of[i]`` and ends with the fine block ``ends[i]``.
    """
    rows = cut(table, series_of, ends)
    judged = judge(rows, table.plan, criteria, series_of[rows.checkpoint])
    scores = _scores_of(judged, table.plan)
    return [
        _answer(judged, part, scores, blocks[at], end, table.plan)
        for part, at, end in zip(
            _by_checkpoint(rows.checkpoint, len(ends)), series_of.tolist(), ends.tolist(), strict=True
        )
    ]


def _by_checkpoint(checkpoint: Ints, checkpoints: int) -> list[list[int]]:
    """Return which rows are of each of so many checkpoints, in their order."""
    order = np.argsort(checkpoint, kind="stable")
    cuts = np.searchsorted(checkpoint[order], np.arange(checkpoints + 1)).tolist()
    listed = order.tolist()
    return [listed[begin:end] for begin, end in itertools.pairwise(cuts)]


def blocks_of(held: BlockSnapshot) -> Blocks:
    """Return the blocks as arrays, of the current segment alone."""
    return Blocks(
        held.first,
        held.fine_end - len(held.lows) + 1,
        np.array(held.lows, dtype=np.float64),
        np.array(held.medians, dtype=np.float64),
        held.coarse_end - len(held.coarse_lows) + 1,
        np.array(held.coarse_lows, dtype=np.float64),
        np.array(held.coarse_medians, dtype=np.float64),
        held.top_before,
    )


def marks_of(judged: TestResults, rows: Sequence[int] | Ints, plan: TimePlan) -> tuple[WindowHit, ...]:
    """Return what these rows showed, as plain values."""
    part = np.array(rows, dtype=np.int64)
    spans = judged.rows.span[part]
    columns = (
        np.array([span.rule_hours for span in plan.spans])[spans],
        np.array([span.seconds for span in plan.spans])[spans],
        *(column[part] for column in (
            judged.hit, judged.strong, judged.memory, judged.veto, judged.growing, judged.slope, judged.half_width,
            judged.shapes.first, judged.shapes.now,
        )),
    )  # fmt: skip
    rows_of = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(map(partial(tuple.__new__, WindowHit), rows_of))  # a third of the time of calling WindowHit


def _answer(
    judged: TestResults, rows: Sequence[int], scores: Floats, blocks: Blocks, end: int, plan: TimePlan
) -> WindowResult:
    """Return what the windows of one checkpoint showed, these rows."""
    if not rows:
        return WindowResult((), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)
    best = int(rows[int(np.argmax(scores[rows]))])
    span = plan.spans[int(judged.rows.span[best])]
    since_ms, level = onset_of(blocks, round(span.seconds / plan.base_s), end, plan)
    return WindowResult(
        marks=marks_of(judged, rows, plan),
        trends=_trends(judged, rows, plan),
        evidence=evidence(judged, best, plan),
        slope=float(judged.slope[best]),
        half_width=float(judged.half_width[best]),
        window_s=span.seconds,
        since_ms=since_ms,
        since_level=level,
        growing=bool(judged.growing[rows].any()),
    )


def _scores_of(judged: TestResults, plan: TimePlan) -> Floats:
    """Return how much each row says: the longest that hits most, else what came closest: tests passed, growth first."""
    passed = np.sum([test.passed * (3 if test.grows else 1) for test in judged.tests], axis=0)
    hours = np.array([span.rule_hours for span in plan.spans])[judged.rows.span]
    scores: Floats = judged.hit * 1e6 + passed + hours / 1e3 - judged.rows.track * 1e-4
    return scores


def onset_of(blocks: Blocks, window: int, end: int, plan: TimePlan) -> tuple[int, float]:
    """Return when the climb began that so many fine blocks before ``end`` show, in UTC milliseconds, and the level."""
    fine = _held(blocks.start, blocks.lows, end + 1, FINE_KEPT)
    coarse = _held(blocks.coarse_start, blocks.coarse_lows, (end + 1) // COARSE_OF, plan.coarse_kept)
    return climb_began(fine, coarse, blocks.first, window, plan)


def _held(start: int, lows: Floats, end: int, most: int) -> tuple[int, list[float]]:
    """Return the blocks before ``end`` that a live series holds, with the index of the oldest."""
    first = max(start, end - most)
    return first, lows[first - start : max(0, end - start)].tolist()


def _trends(judged: TestResults, rows: Sequence[int], plan: TimePlan) -> tuple[Trend, ...]:
    spans = judged.rows.span[np.array(rows)].tolist()
    held = [
        (plan.spans[at].seconds, row)
        for at, row in zip(spans, rows, strict=True)
        if judged.rows.track[row] == Track.LOWS
    ]
    trends = []
    for window_s in plan.windows_s:
        near = [one for one in held if NEAREST * window_s <= one[0] <= window_s]
        if near:
            trends.append(_trend(judged, max(near)[1], window_s, plan))
    return tuple(trends)


def _trend(judged: TestResults, row: int, window_s: int, plan: TimePlan) -> Trend:
    slope, half = float(judged.slope[row]), float(judged.half_width[row])
    verdict = Verdict.LEAK if judged.hit[row] else Verdict.WATCH if judged.growing[row] else Verdict.OK
    return Trend(
        window_s=window_s,
        covered_s=plan.spans[int(judged.rows.span[row])].seconds,
        blocks=BLOCKS,
        slope_bytes_per_hour=slope,
        slope_low=slope - half,
        slope_high=slope + half,
        verdict=verdict,
        shape=shape_name(judged, row),
    )


def shape_name(judged: TestResults, row: int) -> str:
    """Return what the window looks like: ``flat``, ``ramp``, ``step``, ``sawtooth`` or ``plateau``."""
    if not judged.growing[row]:
        return "flat"
    if judged.hit[row]:
        return "ramp"
    failed = {test.name for test in judged.tests if not test.passed[row]}
    if failed & {"not_a_step", "separate_rises"}:
        return "step"
    if failed & {"above_previous_peak", "near_window_peak", "above_yesterday"}:
        return "sawtooth"
    if failed <= {"long_enough", "above_earlier_moves"}:
        return "ramp"
    return "plateau"
