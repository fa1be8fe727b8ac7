"""From an alarm's state and the windows of a checkpoint to a verdict with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite

from leakwatch.analysis.rules.catalog import RULES, confirmed_by
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import TimePlan
from leakwatch.analysis.tracking.alarm_state import AlarmState, LevelHistory
from leakwatch.analysis.window_request import WindowResult
from leakwatch.model.verdict import Assessment, Criterion, Phrase, Phrases, Verdict

MIN_FILL = 0.5
"""Of the shortest window must be seen before anything is said."""
MIN_BLOCKS = 6
LEAST_DATA = "enough_data"


@dataclass(frozen=True, slots=True)
class Observed:
    """What was sampled of the current segment, from its first sample to its newest."""

    first_ms: int
    last_ms: int
    first: float
    """Bytes, NaN where it is not held any more."""

    @property
    def span_s(self) -> float:
        """Seconds between the two: how much data there is, however it falls into blocks."""
        return (self.last_ms - self.first_ms) / 1000


def screened(
    alarm_state: AlarmState,
    history: LevelHistory,
    covered_blocks: int,
    rise: float,
    plan: TimePlan,
    criteria: LeakCriteria,
    current_bytes: int,
    observed: Observed,
) -> Assessment:
    """Return the verdict on a series whose newest look needed no closer one.

    ``rise`` is from its oldest to its newest blocks.
    """
    if alarm_state.alarm is not None:
        return _leak(alarm_state, None, current_bytes)
    have, need = covered_blocks * plan.base_s, needed_s(plan)
    if have < need:
        return learning(observed, plan, current_bytes)
    if alarm_state.suspicion is not None:
        slope = alarm_state.suspicion.slope
        return Assessment(
            Verdict.WATCH,
            current_bytes,
            alarm_state.why,
            slope_bytes_per_hour=slope,
            reasons=(Phrase("looked_like_a_leak"),),
        )
    if have < plan.windows_s[0] and rise >= criteria.min_growth_bytes:
        return learning(observed, plan, current_bytes, plan.windows_s[0])  # it rises: too early to say for how long
    reach = max(0.0, history.record - history.lowest) if isfinite(history.record) else 0.0
    floor = criteria.min_growth_bytes
    window_s = min(have, plan.windows_s[-1])
    evidence = (Criterion("min_growth", reach, floor, reach >= floor, "bytes", window_s),)
    reasons: Phrases = (Phrase("below_highest" if reach >= floor else "no_growth", (window_s,)),)
    if alarm_state.ended:
        reasons = (Phrase(alarm_state.ended), *reasons)
    return Assessment(Verdict.OK, current_bytes, evidence, slope_bytes_per_hour=0.0, reasons=reasons)


def needed_s(plan: TimePlan) -> float:
    """Return how many seconds of data a first verdict takes."""
    return max(MIN_FILL * plan.windows_s[0], MIN_BLOCKS * plan.base_s)


def learning(observed: Observed, plan: TimePlan, current_bytes: int, need_s: float | None = None) -> Assessment:
    """Return that there is too little data, and how much it takes: what grows needs the shortest window full."""
    need, have = needed_s(plan) if need_s is None else need_s, observed.span_s
    return unjudged(observed, current_bytes, *_too_short(have, need, plan.windows_s[0]))


@lru_cache(maxsize=1024)
def _too_short(have: float, need: float, window_s: int) -> tuple[tuple[Criterion], Phrase]:
    """Return the evidence and the reason: thousands of series that are as old as one another share them."""
    evidence = (Criterion(LEAST_DATA, have, need, have >= need, "s", window_s),)
    return evidence, Phrase("verdict_due", (have,)) if have >= need else Phrase("too_little_data", (have, need))


def unjudged(observed: Observed, current_bytes: int, evidence: tuple[Criterion, ...], reason: Phrase) -> Assessment:
    """Return that no verdict is possible yet, with the growth seen so far, which is none that was judged."""
    grown = current_bytes - observed.first
    since_ms = observed.first_ms if isfinite(grown) else None
    grown_bytes = max(0, round(grown)) if isfinite(grown) else None
    return Assessment(
        Verdict.LEARNING, current_bytes, evidence, since_ms=since_ms, grown_bytes=grown_bytes, reasons=(reason,)
    )


def _unjudged(have_s: float, plan: TimePlan, current_bytes: int, observed: Observed) -> Assessment:
    """Return that it rises, and that no window has the data to judge it by."""
    need = plan.spans[0].seconds
    if have_s < need:
        return learning(observed, plan, current_bytes, need)
    return unjudged(observed, current_bytes, (), Phrase("samples_missing", (need,)))


def settled(
    alarm_state: AlarmState,
    answer: WindowResult,
    covered_blocks: int,
    plan: TimePlan,
    current_bytes: int,
    observed: Observed,
) -> Assessment:
    """Return the verdict on a series whose newest look was judged."""
    if alarm_state.alarm is not None:
        return _leak(alarm_state, answer, current_bytes)
    if not answer.marks:
        return _unjudged(covered_blocks * plan.base_s, plan, current_bytes, observed)
    verdict = Verdict.WATCH if alarm_state.suspicion is not None or answer.growing else Verdict.OK
    evidence = (*answer.evidence, *alarm_state.why)
    failed = next((c for c in evidence if not c.passed), None)
    reason = Phrase("looks_like_a_leak")
    if failed is not None:
        reason = Phrase(failed.criterion, (failed.window_s or answer.window_s,))
    watched = verdict is Verdict.WATCH
    return Assessment(
        verdict=verdict,
        current_bytes=current_bytes,
        evidence=evidence,
        windows=answer.trends,
        slope_bytes_per_hour=answer.slope,
        slope_low=answer.slope - answer.half_width,
        slope_high=answer.slope + answer.half_width,
        since_ms=max(answer.since_ms, observed.first_ms) if watched else None,
        grown_bytes=max(0, round(current_bytes - answer.since_level)) if watched else None,
        confidence=_confidence(alarm_state, answer) if watched else 0.0,
        reasons=(reason,),
    )


def brought_up(found: Assessment, current_bytes: int, plan: TimePlan, observed: Observed) -> Assessment:
    """Return the assessment of the newest look with what was sampled since: the level now, and the growth until now."""
    missing = next((test for test in found.evidence if test.criterion == LEAST_DATA), None)
    if found.verdict is Verdict.LEARNING and missing is not None:
        return learning(observed, plan, current_bytes, missing.threshold)
    grown = found.grown_bytes
    if grown is not None:
        grown = max(0, grown + current_bytes - found.current_bytes)
    return replace(found, current_bytes=current_bytes, grown_bytes=grown)


def capped(found: Assessment) -> Assessment:
    """Return the assessment of what the kernel gives back when asked, or of what is no use of memory: never `leak`."""
    if found.verdict is not Verdict.LEAK:
        return found
    return replace(found, verdict=Verdict.WATCH, reasons=(*found.reasons, Phrase("given_back_when_asked")))


def without_use(found: Assessment) -> Assessment:
    """Return the assessment of what takes no memory as it rises, such as free memory: neither `leak` nor `watch`."""
    if found.verdict not in (Verdict.LEAK, Verdict.WATCH):
        return found
    return replace(found, verdict=Verdict.OK, reasons=(Phrase("takes_no_memory"),))


def _leak(alarm_state: AlarmState, answer: WindowResult | None, current_bytes: int) -> Assessment:
    alarm = alarm_state.alarm
    assert alarm is not None
    criteria = tuple(answer.evidence) if answer else ()
    confirmed = RULES[confirmed_by(alarm.by)]
    return Assessment(
        verdict=Verdict.LEAK,
        current_bytes=current_bytes,
        evidence=(*criteria, *alarm_state.why, Criterion(confirmed.id, 1.0, 1.0, True, "")),
        windows=answer.trends if answer else (),
        slope_bytes_per_hour=alarm.slope,
        slope_low=alarm.slope - alarm.half_width,
        slope_high=alarm.slope + alarm.half_width,
        since_ms=alarm.onset_ms,
        grown_bytes=None if alarm.onset_ms is None else max(0, round(current_bytes - alarm.onset_level)),
        confidence=_confidence(alarm_state, answer),
        reasons=(Phrase(confirmed.id, (alarm.seconds,)),),
    )


def _confidence(alarm_state: AlarmState, answer: WindowResult | None) -> float:
    """Return 0 to 1: how narrow the slope, how many windows that grow hit, how far confirmation is, in equal parts.

    A weight for ranking: nothing here was calibrated as a probability.
    """
    slope = alarm_state.alarm.slope if alarm_state.alarm else answer.slope if answer else 0.0
    half = alarm_state.alarm.half_width if alarm_state.alarm else answer.half_width if answer else 0.0
    narrow = max(0.0, min(1.0, 1 - half / slope)) if slope > 0 else 0.0
    marks = answer.marks if answer else ()
    growing = [mark for mark in marks if mark.growing]
    agree = sum(mark.hit for mark in growing) / len(growing) if growing else 0.5
    confirmed = 1.0 if alarm_state.alarm else 0.5 if alarm_state.suspicion else 0.0
    return round((narrow + agree + confirmed) / 3, 2)
