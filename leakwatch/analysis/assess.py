"""Questions in, answers out: all windows of all looks asked about, measured and judged at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.climb import Mark
from leakwatch.analysis.question import Answer
from leakwatch.analysis.rules import Judged, evidence, judge
from leakwatch.analysis.shape import onset
from leakwatch.analysis.spans import BLOCKS, COARSE_OF, FINE_KEPT
from leakwatch.analysis.windows import Blocks, cut, join
from leakwatch.model import Trend, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.analysis.question import Held, Question
    from leakwatch.analysis.spans import Plan, Span

NEAREST = 0.7
"""The longest span that fits a configured window stands for it from this share of it on: 60 hours for 64."""
ONSET_POINTS = 36
HOUR_S = 3600


def answer(questions: Sequence[Question]) -> list[Answer]:
    """Return the answers, in the order of the questions, which must all have the same plan."""
    if not questions:
        return []
    plan = questions[0].plan
    blocks = [blocks_of(question.held) for question in questions]
    parts = [
        cut(held, plan, np.array([question.end], dtype=np.int64))
        for held, question in zip(blocks, questions, strict=True)
    ]
    counts = [len(part.look) for part in parts]
    whose = np.repeat(np.arange(len(questions)), counts)
    judged = judge(join(parts), plan, [question.criteria for question in questions], whose)
    answers, at = [], 0
    for held, question, count in zip(blocks, questions, counts, strict=True):
        rows = range(at, at + count)
        answers.append(answer_of(judged, rows, held, question.end, plan))
        at += count
    return answers


def blocks_of(held: Held) -> Blocks:
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


def marks_of(judged: Judged, rows: Sequence[int] | range, plan: Plan) -> tuple[Mark, ...]:
    """Return what these rows showed, as plain values."""
    out = []
    for row in rows:
        span = plan.spans[int(judged.rows.span[row])]
        out.append(
            Mark(
                span.units,
                span.seconds,
                bool(judged.hit[row]),
                bool(judged.strong[row]),
                bool(judged.memory[row]),
                bool(judged.veto[row]),
                bool(judged.growing[row]),
                float(judged.slope[row]),
                float(judged.half_width[row]),
                float(judged.shapes.first[row]),
                float(judged.shapes.now[row]),
            )
        )
    return tuple(out)


def answer_of(judged: Judged, rows: Sequence[int] | range, blocks: Blocks, end: int, plan: Plan) -> Answer:
    """Return what the windows of one look showed, these rows."""
    if not len(rows):
        return Answer((), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)
    best = deciding(judged, rows, plan)
    span = plan.spans[int(judged.rows.span[best])]
    since_ms, level = onset_of(blocks, span, end, plan)
    return Answer(
        marks=marks_of(judged, rows, plan),
        trends=_trends(judged, rows, plan),
        evidence=evidence(judged, best, plan),
        slope=float(judged.slope[best]),
        half_width=float(judged.half_width[best]),
        window_s=span.seconds,
        since_ms=since_ms,
        since_level=level,
        growing=bool(judged.growing[list(rows)].any()),
    )


def deciding(judged: Judged, rows: Sequence[int] | range, plan: Plan) -> int:
    """Return the longest row that hits, else the one that came closest: the most tests passed, growth first."""
    part = np.array(rows)
    passed = np.sum([test.passed[part] * (3 if test.grows else 1) for test in judged.tests], axis=0)
    units = np.array([plan.spans[int(i)].units for i in judged.rows.span[part]])
    score = judged.hit[part] * 1e6 + passed + units / 1e3 - judged.rows.by_medians[part] * 1e-4
    return int(part[int(np.argmax(score))])


def onset_of(blocks: Blocks, span: Span, end: int, plan: Plan) -> tuple[int, float]:
    """Return when the growth in a window began, in UTC milliseconds, and the level there.

    Looked for in the window and as much again before it.
    """
    reach = 2 * span.q * BLOCKS
    if span.coarse:
        lows, start, last, size_s = blocks.coarse_lows, blocks.coarse_start, (end + 1) // COARSE_OF - 1, plan.coarse_s
    else:
        lows, start, last, size_s = blocks.lows, blocks.start, end, plan.base_s
        reach = min(reach, FINE_KEPT)  # what a live series holds, whatever a replay does
    first = max(start, last - reach + 1)
    part = lows[first - start : last - start + 1]
    real = np.flatnonzero(np.isfinite(part))
    real = real[:: max(1, -(-len(real) // ONSET_POINTS))]
    at, level = onset(real * size_s / HOUR_S, part[real])
    return int((first + real[at]) * size_s * 1000), level


def _trends(judged: Judged, rows: Sequence[int] | range, plan: Plan) -> tuple[Trend, ...]:
    trends = []
    for window_s in plan.windows_s:
        near = [
            (plan.spans[int(judged.rows.span[row])].seconds, row) for row in rows if not judged.rows.by_medians[row]
        ]
        near = [(seconds, row) for seconds, row in near if NEAREST * window_s <= seconds <= window_s]
        if near:
            trends.append(_trend(judged, max(near)[1], window_s, plan))
    return tuple(trends)


def _trend(judged: Judged, row: int, window_s: int, plan: Plan) -> Trend:
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


def shape_name(judged: Judged, row: int) -> str:
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
