"""Questions in, answers out: all windows of all looks asked about, measured and judged at once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.rules.tests import TestResults, evidence, judge
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_KEPT
from leakwatch.analysis.window_request import WindowHit, WindowResult
from leakwatch.analysis.windows.block_table import Blocks, Table
from leakwatch.analysis.windows.context import Track
from leakwatch.analysis.windows.cut import cut
from leakwatch.analysis.windows.onset import climb_began
from leakwatch.model.verdict import Trend, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.analysis.time_plan import TimePlan
    from leakwatch.analysis.window_request import BlockSnapshot, WindowRequest
    from leakwatch.analysis.windows.block_table import Ints
    from leakwatch.analysis.windows.trend import Floats

NEAREST = 0.7
"""The longest span that fits a configured window stands for it from this share of it on: 60 hours for 64."""


def answer(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Return the answers, in the order of the questions, which must all have the same plan."""
    if not questions:
        return []
    plan = questions[0].plan
    blocks = [blocks_of(question.held) for question in questions]
    whose = np.arange(len(questions))
    rows = cut(Table(blocks, plan), whose, np.array([question.end for question in questions], dtype=np.int64))
    judged = judge(rows, plan, [question.criteria for question in questions], rows.checkpoint)
    scores = scores_of(judged, plan)
    return [
        answer_of(judged, part, held, question.end, plan, scores=scores)
        for part, held, question in zip(by_checkpoint(rows.checkpoint, len(questions)), blocks, questions, strict=True)
    ]


def by_checkpoint(checkpoint: Ints, checkpoints: int) -> list[list[int]]:
    """Return which rows are of each of so many looks, in their order."""
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
    spans = [plan.spans[at] for at in judged.rows.span[part].tolist()]
    values = (
        judged.hit, judged.strong, judged.memory, judged.veto, judged.growing, judged.slope, judged.half_width,
        judged.shapes.first, judged.shapes.now,
    )  # fmt: skip
    columns = zip(*(column[part].tolist() for column in values), strict=True)
    return tuple(WindowHit(span.units, span.seconds, *row) for span, row in zip(spans, columns, strict=True))


def answer_of(
    judged: TestResults,
    rows: Sequence[int] | range,
    blocks: Blocks,
    end: int,
    plan: TimePlan,
    *,
    scores: Floats | None = None,
    suspect: bool = True,
) -> WindowResult:
    """Return what the windows of one look showed, these rows; ``scores`` are those of ``scores_of``, if at hand.

    ``suspect`` is False where nobody asks when growth began unless there is some.
    """
    if not len(rows):
        return WindowResult((), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)
    if scores is None:
        scores = scores_of(judged, plan)
    best = int(rows[int(np.argmax(scores[list(rows)]))])
    span = plan.spans[int(judged.rows.span[best])]
    growing = bool(judged.growing[list(rows)].any())
    since_ms, level = onset_of(blocks, round(span.seconds / plan.base_s), end, plan) if suspect or growing else (0, 0.0)
    return WindowResult(
        marks=marks_of(judged, rows, plan),
        trends=_trends(judged, rows, plan),
        evidence=evidence(judged, best, plan),
        slope=float(judged.slope[best]),
        half_width=float(judged.half_width[best]),
        window_s=span.seconds,
        since_ms=since_ms,
        since_level=level,
        growing=growing,
    )


def scores_of(judged: TestResults, plan: TimePlan) -> Floats:
    """Return how much each row says: the longest that hits most, else what came closest: tests passed, growth first."""
    passed = np.sum([test.passed * (3 if test.grows else 1) for test in judged.tests], axis=0)
    units = np.array([span.units for span in plan.spans])[judged.rows.span]
    scores: Floats = judged.hit * 1e6 + passed + units / 1e3 - judged.rows.track * 1e-4
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


def _trends(judged: TestResults, rows: Sequence[int] | range, plan: TimePlan) -> tuple[Trend, ...]:
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
    if failed & {"not one step", "separate rises"}:
        return "step"
    if failed & {"new ground", "not coming down", "above the same time yesterday"}:
        return "sawtooth"
    if failed <= {"has gone on for long enough", "more than it has moved before"}:
        return "ramp"
    return "plateau"
