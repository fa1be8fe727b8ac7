"""Replays captures through the detector as it would have happened: no look ahead, the daemon's own looks and rules.

What a live ``SeriesState`` does sample by sample is done here for whole series at once; a test holds the two together.
Windows of many series and looks are judged in one go, which is what makes it fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis import climb as climbing
from leakwatch.analysis.assess import answer_of, marks_of
from leakwatch.analysis.climb import Climb, Ground, Look
from leakwatch.analysis.gridding import Segment, look_facts, segments_of
from leakwatch.analysis.lives import Life, Lives, summarise
from leakwatch.analysis.question import Answer
from leakwatch.analysis.rules import judge
from leakwatch.analysis.spans import COARSE_OF, FINE_KEPT, plan_of
from leakwatch.analysis.sparse import is_sparse, replay_sparse
from leakwatch.analysis.state import course_of, risen
from leakwatch.analysis.subject import SubjectKind
from leakwatch.analysis.verdict import capped, screened, settled
from leakwatch.analysis.windows import cut, join
from leakwatch.model import Assessment, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from leakwatch.analysis.capture import Capture
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.rules import Judged
    from leakwatch.analysis.spans import Plan
    from leakwatch.analysis.subject import Subject
    from leakwatch.analysis.windows import Ints, Rows

CHUNK_SAMPLES = 2_000_000
"""Series are taken in chunks of about so many samples: enough to judge many windows at once, little to hold."""
ENDED_INTERVALS = 3
"""Intervals a series must be missing before its life counts as ended, as in the daemon."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay says of one series."""

    name: str
    assessment: Assessment
    """At the last sample."""
    alerts: tuple[tuple[int, int | None], ...]
    """Times with verdict leak, in UTC milliseconds; the last is open (None) when it still holds at the end."""
    climb: Climb | None = None
    ground: Ground | None = None
    """What is remembered at the end, None of a sparse series: what a later verdict would start from."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the configuration a replay needs."""

    windows_s: tuple[int, ...]
    criteria_for: Callable[[Subject], LeakCriteria]


@dataclass(slots=True)
class _Prepared:
    """One series ready to be stepped through."""

    capture: Capture
    criteria: LeakCriteria
    plan: Plan
    capped: bool
    segments: list[_Looks] = field(default_factory=list)


@dataclass(slots=True)
class _Looks:
    """The looks of one segment."""

    segment: Segment
    looks: list[Look]
    grounds: list[Ground]
    judged: list[int]
    """Which of them need a closer look."""
    rows: Rows | None


def replay(captures: Sequence[Capture], settings: Settings, step_s: float | None = None) -> list[Outcome]:
    """Return the outcome of every series of one host, in the order given.

    ``step_s`` is the time between two evaluations; every look by default. What is said between two evaluations is
    not noticed.
    """
    lives = _lives(captures, settings)
    cap = _reclaim_is_told(captures)
    outcomes: dict[int, Outcome] = {}
    for chunk in _chunks(captures):
        prepared = []
        for at in chunk:
            capture = captures[at]
            criteria = settings.criteria_for(capture.subject)
            mild = not capture.subject.grows or (bool(capture.subject.reclaimable) and cap)
            if is_sparse(capture, settings.windows_s):
                outcomes[at] = _milder(replay_sparse(capture, criteria), capped_to_watch=mild)
            else:
                plan = plan_of(settings.windows_s, interval_s(capture))
                prepared.append((at, _prepare(capture, criteria, plan, lives[at], capped_to_watch=mild)))
        outcomes |= _stepped(prepared, lives)
    return [_noticed(outcomes[at], captures[at], step_s) for at in range(len(captures))]


def interval_s(capture: Capture) -> float:
    """Return the usual time between the first samples, in seconds: no later one is looked at."""
    gaps = np.diff(capture.times_ms[:9])
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) / 1000 if len(gaps) else 60.0


def _chunks(captures: Sequence[Capture]) -> Iterator[list[int]]:
    chunk: list[int] = []
    samples = 0
    for at, capture in enumerate(captures):
        chunk.append(at)
        samples += len(capture.times_ms)
        if samples >= CHUNK_SAMPLES:
            yield chunk
            chunk, samples = [], 0
    if chunk:
        yield chunk


def _reclaim_is_told(captures: Sequence[Capture]) -> bool:
    """Return whether a reclaimable cache's growth is to be held against available memory, as the daemon does.

    Where a capture has the kernel's own counters, growth of what the kernel gives back when asked is at most to be
    watched. A capture of slab caches alone leaves nothing but their shape to go by.
    """
    kernel = (capture for capture in captures if capture.subject.kind is SubjectKind.KERNEL)
    return any(capture.name.startswith("kernel/") for capture in kernel)


def _milder(outcome: Outcome, *, capped_to_watch: bool) -> Outcome:
    if not capped_to_watch:
        return outcome
    return replace(outcome, assessment=capped(outcome.assessment), alerts=())


def _lives(captures: Sequence[Capture], settings: Settings) -> list[Lives]:
    """Return for each series what the other lives of its service teach, each from its end on."""
    groups: dict[str, list[int]] = {}
    for at, capture in enumerate(captures):
        if capture.subject.kind in (SubjectKind.PROCESS, SubjectKind.OTHER) or capture.subject.lifetime:
            groups.setdefault(capture.subject.service, []).append(at)
    out = [Lives()] * len(captures)
    for members in groups.values():
        if len(members) > 1:
            ended = [(at, _life(captures[at], settings)) for at in members]
            known = sorted((life.ended_ms, at, life) for at, life in ended if life is not None)
            for at in members:
                out[at] = Lives(tuple(life for _, other, life in known if other != at))
    return out


def _life(capture: Capture, settings: Settings) -> Life | None:
    if is_sparse(capture, settings.windows_s) or not len(capture.times_ms):
        return None
    interval = interval_s(capture)
    plan = plan_of(settings.windows_s, interval)
    segments = segments_of(capture, plan)
    if not segments:
        return None
    blocks = segments[-1].blocks
    ended_ms = int(capture.times_ms[-1]) + round(ENDED_INTERVALS * interval * 1000)
    criteria = settings.criteria_for(capture.subject)
    if len(blocks.lows) > FINE_KEPT:
        lows = blocks.coarse_lows[-plan.coarse_kept :].tolist()
        return summarise(capture.name, lows, ended_ms, plan.coarse_s, plan.unit_s, criteria)
    return summarise(capture.name, blocks.lows.tolist(), ended_ms, plan.base_s, plan.unit_s, criteria)


def _prepare(capture: Capture, criteria: LeakCriteria, plan: Plan, lives: Lives, *, capped_to_watch: bool) -> _Prepared:
    prepared = _Prepared(capture, criteria, plan, capped_to_watch)
    for segment in segments_of(capture, plan):
        looks = look_facts(segment, plan)
        grounds: list[Ground] = []
        judged: list[int] = []
        ground = Ground()
        for at, look in enumerate(looks):
            ground = climbing.follow(ground, look, criteria)
            grounds.append(ground)
            if climbing.worth_judging(ground, look, lives, criteria):
                judged.append(at)
        rows = cut(segment.blocks, plan, segment.ends[np.array(judged, dtype=np.int64)]) if judged else None
        prepared.segments.append(_Looks(segment, looks, grounds, judged, rows))
    return prepared


def _stepped(prepared: Sequence[tuple[int, _Prepared]], lives: Sequence[Lives]) -> dict[int, Outcome]:
    """Judge the windows of all these series at once, then step through each."""
    parts: dict[Plan, list[tuple[_Looks, LeakCriteria]]] = {}
    for _, one in prepared:
        for looks in one.segments:
            if looks.rows is not None:
                parts.setdefault(one.plan, []).append((looks, one.criteria))
    answers: dict[int, list[Answer]] = {}
    for plan, those in parts.items():
        counts = [len(looks.rows.look) for looks, _ in those if looks.rows is not None]
        whose = np.repeat(np.arange(len(those)), counts)
        joined = join([looks.rows for looks, _ in those if looks.rows is not None])
        judged = judge(joined, plan, [criteria for _, criteria in those], whose)
        at = 0
        for (looks, _), count in zip(those, counts, strict=True):
            order = at + np.argsort(joined.look[at : at + count], kind="stable")
            cuts = np.searchsorted(joined.look[order], np.arange(len(looks.judged) + 1))
            answers[id(looks)] = [
                _answer_at(judged, order[cuts[i] : cuts[i + 1]], looks, i, plan) for i in range(len(looks.judged))
            ]
            at += count
    return {at: _outcome(one, answers, lives[at]) for at, one in prepared}


def _answer_at(judged: Judged, rows: Ints, looks: _Looks, i: int, plan: Plan) -> Answer:
    """Return the answer of a look: the whole of it for the newest one, of all others only what it showed."""
    if looks.judged[i] == len(looks.looks) - 1:
        return answer_of(judged, rows.tolist(), looks.segment.blocks, int(looks.segment.ends[looks.judged[i]]), plan)
    telling = judged.growing[rows] | judged.memory[rows] | judged.veto[rows]
    return Answer(marks_of(judged, rows[telling].tolist(), plan), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)


def _outcome(one: _Prepared, answers: dict[int, list[Answer]], lives: Lives) -> Outcome:
    alerts: list[tuple[int, int | None]] = []
    climb, ground, last = Climb(), Ground(), None
    covered, rise = 0, 0.0
    for looks in one.segments:
        if alerts and alerts[-1][1] is None:
            alerts[-1] = (alerts[-1][0], int(looks.segment.start_ms))
        climb, last = Climb(), None
        closer = dict(zip(looks.judged, answers.get(id(looks), ()), strict=True))
        newest = looks.segment.blocks.lows[-FINE_KEPT:]
        rise = risen(newest[np.isfinite(newest)].tolist())
        for at, (look, ground) in enumerate(zip(looks.looks, looks.grounds, strict=True)):
            last = closer.get(at)
            covered = min(int(looks.segment.ends[at]) - looks.segment.blocks.first + 1, FINE_KEPT)
            marks = last.marks if last is not None else ()
            if not marks and climb.alarm is None and climb.suspicion is None and climb.past is None:
                climb.growing = False
                continue
            climbing.step(
                climb, look, ground, marks, lives, one.criteria,
                unit_s=one.plan.unit_s, course=partial(_course, looks.segment, one.plan, look),
            )  # fmt: skip
            is_open = bool(alerts) and alerts[-1][1] is None
            if climb.alarm is not None and not is_open:
                alerts.append((look.end_ms, None))
            elif climb.alarm is None and is_open:
                alerts[-1] = (alerts[-1][0], look.end_ms)
    current = round(float(one.capture.values[-1])) if len(one.capture.values) else 0
    if last is not None:
        assessment = settled(climb, last, covered, one.plan, current)
    else:
        assessment = screened(climb, ground, covered, rise, one.plan, one.criteria, current)
    outcome = Outcome(one.capture.name, assessment, tuple(alerts), climb, ground)
    return _milder(outcome, capped_to_watch=one.capped)


def _course(segment: Segment, plan: Plan, look: Look, units: float, ago: float) -> tuple[float, ...]:
    """See ``SeriesState``."""
    length = plan.blocks_of(units)
    end = look.end_ms // (plan.base_s * 1000) - round(plan.seconds(ago) / plan.base_s)
    b = segment.blocks
    if length > FINE_KEPT:
        start = max(b.coarse_start, end // COARSE_OF - plan.coarse_kept)
        part = b.coarse_medians[start - b.coarse_start : end // COARSE_OF - b.coarse_start].tolist()
        return course_of(part, len(part), length // COARSE_OF)
    part = b.medians[max(0, end - b.start - length) : end - b.start].tolist()
    return course_of(part, len(part), length)


def _noticed(outcome: Outcome, capture: Capture, step_s: float | None) -> Outcome:
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
        assessment = replace(assessment, verdict=Verdict.WATCH, reason=f"{assessment.reason}; not yet evaluated")
    return replace(outcome, assessment=assessment, alerts=tuple(seen))
