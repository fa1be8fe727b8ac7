"""Replays captures through the detector as it would have happened: no look ahead, the daemon's checkpoints and rules.

Blocks are cut for whole series at once, which a live ``SeriesState`` does sample by sample; a test holds the two
together. From there on both go through the same code, see ``checkpoint_walk``.
"""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from operator import itemgetter

import numpy as np

from leakwatch.analysis.findings.counts import RISEN_SHARE, counted
from leakwatch.analysis.findings.kernel_facts import class_named, is_explained
from leakwatch.analysis.online import risen
from leakwatch.analysis.replay.block_grid import Segment, all_segments
from leakwatch.analysis.replay.capture import Capture, PreparedSeries, ReplayOutcome, Settings, prepared
from leakwatch.analysis.replay.checkpoint_walk import Series, walk
from leakwatch.analysis.replay.restarts import past_runs_of, summary
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.replay.slow_series import replay_sparse
from leakwatch.analysis.rules.verdict import Observed, capped, screened, settled, without_use
from leakwatch.analysis.time_plan import FINE_KEPT, TimePlan, plan_of
from leakwatch.analysis.tracking.past_runs import NO_LIVES, PastRuns, RunSummary
from leakwatch.model.verdict import Assessment, Phrase, Verdict

CHUNK_SAMPLES = 2_000_000
"""Series are taken in chunks of about so many samples: enough to judge many windows at once, little to hold."""
CHUNK_SERIES = 10_000
"""And of at most so many series: 2 KiB each while they are judged."""
LIVES_BEFORE = 100
"""Past lives that a life is compared with, the newest: the daemon remembers ten."""


def replay(captures: Sequence[Capture], settings: Settings, step_s: float | None = None) -> list[ReplayOutcome]:
    """Return the outcome of every series of one host, in the order given.

    ``step_s`` is the time between two evaluations; every checkpoint by default. What is said between two evaluations is
    not noticed.
    """
    collects = gc.isenabled()
    gc.disable()  # a replay makes a million small tuples and no cycle: looking for some would take a fifth of the time
    try:
        return _replay(captures, settings, step_s)
    finally:
        if collects:
            gc.enable()


def _replay(captures: Sequence[Capture], settings: Settings, step_s: float | None) -> list[ReplayOutcome]:
    host = prepared(captures, settings)
    parts = [(at, part) for at, one in enumerate(host) for part in past_runs_of(one, settings.windows_s)]
    lived: list[list[tuple[PreparedSeries, ReplayOutcome]]] = [[] for _ in host]
    for (at, part), outcome in zip(parts, _replayed(parts, captures, settings), strict=True):
        lived[at].append((part, outcome))
    return [_noticed(_joined(lived[at]), one.capture, step_s) for at, one in enumerate(host)]


def _joined(lived: Sequence[tuple[PreparedSeries, ReplayOutcome]]) -> ReplayOutcome:
    """Return the outcome of a series from those of its lives: the last one's verdict, the alerts of all.

    What was alarmed when a life ended is over with it.
    """
    alerts: list[tuple[int, int | None]] = []
    for part, outcome in lived:
        if alerts and alerts[-1][1] is None:
            alerts[-1] = alerts[-1][0], int(part.capture.times_ms[0])
        alerts += outcome.alerts
    return replace(lived[-1][1], alerts=tuple(alerts))


def _replayed(
    parts: Sequence[tuple[int, PreparedSeries]], captures: Sequence[Capture], settings: Settings
) -> list[ReplayOutcome]:
    """Return the outcome of every life; with each the number of the capture it is a part of."""
    host = [part for _, part in parts]
    past_runs, of_class = _past_runs(host, settings), _by_class(captures)
    outcomes: dict[int, ReplayOutcome] = {}
    for chunk in _chunks([part.capture for part in host]):
        by_blocks = []
        for at in chunk:
            one, whole = host[at], captures[parts[at][0]]
            if len(whole.values) and not len(one.capture.values):
                outcomes[at] = _not_risen(whole)
            elif one.is_sparse:
                outcomes[at] = replay_sparse(one.capture, one.criteria, plan_of(settings.windows_s, 1.0).rule_hour_s)
            else:
                by_blocks.append(at)
        for plan, those in _by_plan(host, by_blocks, settings):
            segments = all_segments([host[at].capture for at in those], plan)
            series = [
                Series(plan, host[at].criteria, past_runs[at], cut) for at, cut in zip(those, segments, strict=True)
            ]
            walk(series, plan)
            outcomes |= {at: _outcome(host[at].capture, one) for at, one in zip(those, series, strict=True)}
        for at in chunk:
            milder = _milder(outcomes[at], host[at])
            rule_hour_s = plan_of(settings.windows_s, host[at].interval_s).rule_hour_s
            along = _without_alarms_along(milder, captures[parts[at][0]], of_class, rule_hour_s)
            outcomes[at] = _in_units(along, host[at])
    return [outcomes[at] for at in range(len(host))]


def _by_plan(
    host: Sequence[PreparedSeries], members: Sequence[int], settings: Settings
) -> list[tuple[TimePlan, list[int]]]:
    """Return which of these series are judged by which plan."""
    plans: dict[int, tuple[TimePlan, list[int]]] = {}
    for at in members:
        plan = plan_of(settings.windows_s, host[at].interval_s)
        plans.setdefault(plan.base_s, (plan, []))[1].append(at)
    return list(plans.values())


def _not_risen(capture: Capture) -> ReplayOutcome:
    reasons = (Phrase("never_risen", (RISEN_SHARE,)),)
    return ReplayOutcome(capture.name, Assessment(Verdict.OK, round(float(capture.values[-1])), reasons=reasons), ())


def _in_units(outcome: ReplayOutcome, one: PreparedSeries) -> ReplayOutcome:
    return replace(outcome, assessment=counted(outcome.assessment)) if one.capture.subject.count else outcome


def _chunks(captures: Sequence[Capture]) -> Iterator[list[int]]:
    chunk: list[int] = []
    samples = 0
    for at, capture in enumerate(captures):
        chunk.append(at)
        samples += len(capture.times_ms)
        if samples >= CHUNK_SAMPLES or len(chunk) >= CHUNK_SERIES:
            yield chunk
            chunk, samples = [], 0
    if chunk:
        yield chunk


def _milder(outcome: ReplayOutcome, one: PreparedSeries) -> ReplayOutcome:
    if not one.capture.subject.grows:
        return replace(outcome, assessment=without_use(outcome.assessment), alerts=())
    return replace(outcome, assessment=capped(outcome.assessment), alerts=()) if one.at_most_watch else outcome


def _past_runs(host: Sequence[PreparedSeries], settings: Settings) -> list[PastRuns]:
    """Return for each series what the other lives of its service teach, each from its end on."""
    groups: dict[str, list[int]] = {}
    for at, one in enumerate(host):
        subject = one.capture.subject
        if subject.kind in (SubjectKind.PROCESS, SubjectKind.OTHER) or subject.lifetime:
            groups.setdefault(subject.service, []).append(at)
    out = [PastRuns()] * len(host)
    several = [members for members in groups.values() if len(members) > 1]
    past_runs = _ended(host, [at for members in several for at in members], settings)
    for members in several:
        known = sorted((past_runs[at].ended_ms, at, past_runs[at]) for at in members if at in past_runs)
        for at in members:
            out[at] = _known_to(host[at].capture, at, known)
    return out


def _known_to(capture: Capture, at: int, known: Sequence[tuple[int, int, RunSummary]]) -> PastRuns:
    """Return the other lives that ended before this one does, of those that ended before it began the newest."""
    if not len(capture.times_ms):
        return NO_LIVES
    first = bisect_right(known, int(capture.times_ms.min()), key=itemgetter(0))
    last = bisect_right(known, int(capture.times_ms.max()), key=itemgetter(0))
    return PastRuns(tuple(life for _, other, life in known[max(0, first - LIVES_BEFORE) : last] if other != at))


def _ended(host: Sequence[PreparedSeries], members: Sequence[int], settings: Settings) -> dict[int, RunSummary]:
    """Return what these series' lives teach, of those that do."""
    found: dict[int, RunSummary] = {}
    telling = [at for at in members if not host[at].is_sparse and len(host[at].capture.times_ms)]
    for plan, those in _by_plan(host, telling, settings):
        for chunk in _chunks([host[at].capture for at in those]):
            segments = all_segments([host[those[at]].capture for at in chunk], plan)
            past_runs = [summary(host[those[at]], of_one, plan) for at, of_one in zip(chunk, segments, strict=True)]
            found |= {those[at]: life for at, life in zip(chunk, past_runs, strict=True) if life is not None}
    return found


def _outcome(capture: Capture, series: Series) -> ReplayOutcome:
    covered, rise = _data_of(series.segments[-1]) if series.segments else (0, 0.0)
    observed = series.segments[-1].observed if series.segments else Observed(0, 0, nan)
    current = round(float(capture.values[-1])) if len(capture.values) else 0
    if series.last is not None:
        assessment = settled(series.alarm_state, series.last, covered, series.plan, current, observed)
    else:
        assessment = screened(
            series.alarm_state, series.history, covered, rise, series.plan, series.criteria, current, observed
        )
    return ReplayOutcome(capture.name, assessment, tuple(series.alerts), series.alarm_state, series.history)


def _data_of(segment: Segment) -> tuple[int, float]:
    """Return how many blocks the newest checkpoint had, or all before the first, and the rise from old to new."""
    newest = segment.blocks.lows[-FINE_KEPT:]
    covered = int(segment.ends[-1]) - segment.blocks.first + 1 if len(segment.ends) else len(newest)
    return min(covered, FINE_KEPT), risen(newest[np.isfinite(newest)].tolist())


def _noticed(outcome: ReplayOutcome, capture: Capture, step_s: float | None) -> ReplayOutcome:
    """Return the outcome as evaluations ``step_s`` apart would have seen it."""
    if step_s is None or not outcome.alerts:
        return outcome
    first, step_ms = int(capture.times_ms[0]), round(step_s * 1000)

    def next_evaluation(ts_ms: int) -> int:
        return first + -(-(ts_ms - first) // step_ms) * step_ms

    seen: list[tuple[int, int | None]] = []
    for start, end in outcome.alerts:
        begin, over = next_evaluation(start), None if end is None else next_evaluation(end)
        if over is None or over > begin:
            seen.append((begin, over))
    last = int(capture.times_ms[-1])
    seen = [(a, b) for a, b in seen if a <= last]
    still = bool(seen) and seen[-1][1] is None
    assessment = outcome.assessment
    if assessment.verdict is Verdict.LEAK and not still:
        assessment = replace(assessment, verdict=Verdict.WATCH, reasons=(*assessment.reasons, Phrase("not_evaluated")))
    return replace(outcome, assessment=assessment, alerts=tuple(seen))


ALONG_HOURS = 12
"""A first ``leak`` comes after 6 to 8 rule hours of growth: twice that has the growth it is about, and little from
before."""


def _by_class(captures: Iterable[Capture]) -> dict[int, list[Capture]]:
    """Return the caches with objects that have an array of a kmalloc class, by the size of the class."""
    found: dict[int, list[Capture]] = {}
    for one in captures:
        if one.array is not None:
            found.setdefault(one.array[0], []).append(one)
    return found


def _without_alarms_along(
    outcome: ReplayOutcome, capture: Capture, of_class: Mapping[int, Sequence[Capture]], rule_hour_s: float
) -> ReplayOutcome:
    """Return the outcome without the alarms about what goes along with reclaimable caches, see ``reclaimable``.

    The daemon compares slopes at each evaluation; here an alarm is held against what has grown shortly before it.
    ``of_class`` is what ``_by_class`` returns of the host's series. ``unit_s`` is the plan's: lengths follow the
    configured windows.
    """
    size = class_named(capture.subject.field) if outcome.alerts else None
    caches = of_class.get(size) if size is not None else None
    if not caches:
        return outcome
    span_ms = round(ALONG_HOURS * rule_hour_s * 1000)
    alerts = tuple(alert for alert in outcome.alerts if not _goes_along(capture, caches, alert[0], span_ms))
    goes_on = bool(alerts) and alerts[-1][1] is None
    return replace(outcome, alerts=alerts, assessment=outcome.assessment if goes_on else capped(outcome.assessment))


def _goes_along(capture: Capture, caches: Sequence[Capture], alarmed_ms: int, span_ms: int) -> bool:
    grown = _grown(capture, alarmed_ms, span_ms)
    along = sum(max(0.0, _grown(one, alarmed_ms, span_ms)) * one.array[1] for one in caches if one.array is not None)
    return is_explained(grown, along)


def _grown(capture: Capture, until_ms: int, span_ms: int) -> float:
    """Return by how much it has grown over the span before a time, or as much of it as there is."""
    newest = np.maximum.accumulate(capture.times_ms)  # in order also where the clock was set back
    first, last = np.searchsorted(newest, [until_ms - span_ms, until_ms], side="right") - 1
    return float(capture.values[last] - capture.values[max(0, first)]) if last >= 0 else 0.0
