"""All windows of one series in, an assessment out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch.analysis.judge import HOUR_MS, WindowJudgement, judge_window, view_of
from leakwatch.analysis.question import Answer
from leakwatch.analysis.screen import learning
from leakwatch.analysis.shape import onset
from leakwatch.model import SEVERITY, Assessment, Criterion, Verdict
from leakwatch.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.question import Question

NEIGHBOUR = 6
"""A window within this factor of another can contradict it: the next shorter or longer one, usually a factor of 4."""


def assess(question: Question) -> Answer:
    """Return the assessment before confirmation."""
    criteria = question.criteria
    views = [view_of(window, ring, criteria) for window, ring in zip(question.windows, question.rings, strict=True)]
    judged = [judge_window(view, criteria) for view in views if view is not None]
    if not judged:
        return Answer(learning(question.windows, question.rings, criteria, question.current_bytes))
    judged = [_uncontradicted(one, judged, criteria) for one in judged]
    verdict = max((one.trend.verdict for one in judged), key=SEVERITY.__getitem__)
    # The longest window of those that say the most has the surest slope.
    deciding = [one for one in judged if one.trend.verdict is verdict][-1]
    trends = tuple(one.trend for one in judged)
    assessment = Assessment(
        verdict=verdict,
        current_bytes=question.current_bytes,
        evidence=deciding.evidence,
        windows=trends,
        slope_bytes_per_hour=deciding.line.slope,
        slope_low=deciding.line.low,
        slope_high=deciding.line.high,
        confidence=_confidence(deciding, judged),
        reason=_reason(deciding, judged),
    )
    if SEVERITY[verdict] >= SEVERITY[Verdict.WATCH]:
        assessment = _with_onset(assessment, deciding)
    return Answer(assessment, deciding.trend.window_s, float(deciding.view.lows[-2:].min()))


def _uncontradicted(one: WindowJudgement, judged: Sequence[WindowJudgement], criteria: LeakCriteria) -> WindowJudgement:
    """Take back a window's `leak` when a neighbouring window that sees more, or sees later, says that it is bounded."""
    if one.trend.verdict is not Verdict.LEAK:
        return one
    doubt = _stalled(one, judged, criteria) or _levelling(one, judged)
    if doubt is None:
        return one
    trend = replace(one.trend, verdict=Verdict.WATCH, shape="plateau")
    return replace(one, trend=trend, evidence=(*one.evidence, doubt))


def _stalled(one: WindowJudgement, judged: Sequence[WindowJudgement], criteria: LeakCriteria) -> Criterion | None:
    """Return the doubt of the next shorter window, full and flat: the growth has ended since."""
    for other in judged:
        near = one.trend.window_s > other.trend.window_s >= one.trend.window_s / NEIGHBOUR
        share = other.line.high / one.line.slope
        if near and other.trend.covered_s >= other.trend.window_s and share < criteria.min_tail_ratio:
            name = "the next shorter window still grows"
            return Criterion(name, share, criteria.min_tail_ratio, False, "ratio", other.trend.window_s)
    return None


def _levelling(one: WindowJudgement, judged: Sequence[WindowJudgement]) -> Criterion | None:
    """Return the doubt of the next longer window, which sees the curve whose end looks straight in this one."""
    for other in judged:
        near = one.trend.window_s < other.trend.window_s <= one.trend.window_s * NEIGHBOUR
        if near and other.trend.verdict is Verdict.WATCH and other.trend.shape == "plateau":
            share = one.line.slope / other.line.slope if other.line.slope > 0 else 0.0
            if share < 1:  # slower now than over the longer time: slowing, not setting in
                return Criterion(
                    "as fast as in the next longer window", share, 1.0, False, "ratio", other.trend.window_s
                )
    return None


def _confidence(deciding: WindowJudgement, judged: Sequence[WindowJudgement]) -> float:
    """Return 0 to 1: how narrow the slope, how many windows agree, how full the deciding one is, in equal parts.

    A weight for ranking: nothing here was calibrated as a probability.
    """
    line, trend = deciding.line, deciding.trend
    narrow = max(0.0, min(1.0, line.low / line.slope)) if line.slope > 0 else 0.0
    agree = sum(SEVERITY[one.trend.verdict] >= SEVERITY[trend.verdict] for one in judged) / len(judged)
    full = min(1.0, trend.covered_s / trend.window_s)
    return round((narrow + agree + full) / 3, 2)


_BOUNDED = {
    (Verdict.WATCH, "step"): "grew within {}, but in a few steps: it may not go on",
    (Verdict.WATCH, "plateau"): "grew within {}, but is slowing: it may be bounded",
    (Verdict.OK, "step"): "grew within {} in a few steps, flat since",
    (Verdict.OK, "plateau"): "grew within {} and stopped",
    (Verdict.OK, "sawtooth"): "rises and falls back within known ground, {}",
}


def _reason(deciding: WindowJudgement, judged: Sequence[WindowJudgement]) -> str:
    trend, window = deciding.trend, format_duration(deciding.trend.window_s)
    if trend.verdict is Verdict.LEAK:
        agree = sum(one.trend.verdict is Verdict.LEAK for one in judged)
        return f"a straight rise in {agree} of {len(judged)} windows, the longest {window}"
    if (trend.verdict, trend.shape) in _BOUNDED:
        return _BOUNDED[trend.verdict, trend.shape].format(window)
    failed = next((c.criterion for c in deciding.evidence if not c.passed), "growth")
    return f"no lasting growth within {window} ({failed}: no)"


def _with_onset(assessment: Assessment, deciding: WindowJudgement) -> Assessment:
    view = deciding.view
    at, level = onset((view.all_starts_ms - view.all_starts_ms[0]) / HOUR_MS, view.all_lows)
    grown = max(0, round(assessment.current_bytes - level))
    return replace(assessment, since_ms=int(view.all_starts_ms[at]), grown_bytes=grown)
