"""Replays captures through the detector as it would have happened: no look ahead, the daemon's own looks and rules.

What a live ``SeriesState`` does sample by sample is done here for whole series at once; a test holds the two together.
Windows of many series and looks are judged in one go, which is what makes it fast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.assess import answer_of, by_look, marks_of, scores_of
from leakwatch.analysis.gridding import all_looks, all_segments, segments_of
from leakwatch.analysis.levels import Table
from leakwatch.analysis.lives import Life, Lives, summarise
from leakwatch.analysis.outcome import Outcome
from leakwatch.analysis.question import Answer
from leakwatch.analysis.rules import judge, may_hit, may_veto
from leakwatch.analysis.spans import FINE_KEPT, plan_of
from leakwatch.analysis.sparse import is_sparse, replay_sparse
from leakwatch.analysis.state import risen
from leakwatch.analysis.subject import SubjectKind
from leakwatch.analysis.verdict import capped, screened, settled
from leakwatch.analysis.walk import Series, least_units, walk
from leakwatch.analysis.windows import cut
from leakwatch.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from leakwatch.analysis.capture import Capture
    from leakwatch.analysis.climb import Mark
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.gridding import Segment
    from leakwatch.analysis.levels import Bools, Ints
    from leakwatch.analysis.rules import Judged
    from leakwatch.analysis.spans import Plan
    from leakwatch.analysis.subject import Subject
    from leakwatch.analysis.walk import Ask, Walk
    from leakwatch.analysis.windows import Screen

CHUNK_SAMPLES = 2_000_000
"""Series are taken in chunks of about so many samples: enough to judge many windows at once, little to hold."""
ENDED_INTERVALS = 3
"""Intervals a series must be missing before its life counts as ended, as in the daemon."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the configuration a replay needs."""

    windows_s: tuple[int, ...]
    criteria_for: Callable[[Subject], LeakCriteria]


def replay(captures: Sequence[Capture], settings: Settings, step_s: float | None = None) -> list[Outcome]:
    """Return the outcome of every series of one host, in the order given.

    ``step_s`` is the time between two evaluations; every look by default. What is said between two evaluations is
    not noticed.
    """
    lives = _lives(captures, settings)
    cap = _reclaim_is_told(captures)
    outcomes: dict[int, Outcome] = {}
    for chunk in _chunks(captures):
        plans: dict[int, tuple[Plan, list[int]]] = {}
        mild: dict[int, bool] = {}
        for at in chunk:
            capture = captures[at]
            mild[at] = not capture.subject.grows or (bool(capture.subject.reclaimable) and cap)
            if is_sparse(capture, settings.windows_s):
                outcomes[at] = replay_sparse(capture, settings.criteria_for(capture.subject))
            else:
                plan = plan_of(settings.windows_s, interval_s(capture))
                plans.setdefault(plan.base_s, (plan, []))[1].append(at)
        for plan, those in plans.values():
            criteria = [settings.criteria_for(captures[at].subject) for at in those]
            series = series_of([captures[at] for at in those], criteria, [lives[at] for at in those], plan)
            _walked(series, plan)
            outcomes |= {at: _outcome(captures[at], one) for at, one in zip(those, series, strict=True)}
        outcomes |= {at: _milder(outcomes[at], capped_to_watch=mild[at]) for at in chunk}
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


def series_of(
    captures: Sequence[Capture], criteria: Sequence[LeakCriteria], lives: Sequence[Lives], plan: Plan
) -> list[Series]:
    """Return these captures cut into blocks and looks."""
    segments = all_segments(captures, plan)
    facts = iter(all_looks([segment for of_one in segments for segment in of_one], plan))
    return [
        Series(plan, criterion, known, of_one, [next(facts) for _ in of_one])
        for criterion, known, of_one in zip(criteria, lives, segments, strict=True)
    ]


def _walked(series: Sequence[Series], plan: Plan) -> None:
    """Walk through all these series side by side, judging what they ask for at once."""
    if not any(one.segments for one in series):
        return  # without a sample there is nothing to walk through
    judging = Judging(plan, series)
    waiting = _sent([(at, walk(one)) for at, one in enumerate(series)], [None] * len(series))
    while waiting:
        answers = judging.answers([(at, ask) for at, _, ask in waiting])
        waiting = _sent([(at, walker) for at, walker, _ in waiting], answers)


def _sent(walks: Sequence[tuple[int, Walk]], answers: Sequence[list[Answer] | None]) -> list[tuple[int, Walk, Ask]]:
    """Return the walks that ask again once they have their answers."""
    out = []
    for (at, walker), answer in zip(walks, answers, strict=True):
        try:
            out.append((at, walker, walker.send(answer)))  # type: ignore[arg-type] # None starts it
        except StopIteration:
            continue
    return out


class Judging:
    """Answers what the walks through many series of one plan ask."""

    def __init__(self, plan: Plan, series: Sequence[Series]) -> None:
        self.plan = plan
        counts = [len(one.segments) for one in series]
        self.first = (np.cumsum(counts) - counts).tolist()
        self.segments = [segment for one in series for segment in one.segments]
        self.criteria = [one.criteria for one in series for _ in one.segments]
        self.table = Table([segment.blocks for segment in self.segments], plan)

    def answers(self, asks: Sequence[tuple[int, Ask]]) -> list[list[Answer]]:
        """Return the answers of each, in its order."""
        out: list[list[Answer]] = [[]] * len(asks)
        kinds: dict[Callable[[Ints, Ints, list[bool]], list[Answer]], list[int]] = {}
        for at, (_, ask) in enumerate(asks):
            kinds.setdefault(self._whole if ask.whole else self._memory if ask.memory else self._hits, []).append(at)
        for kind, which in kinds.items():
            flat = [(self.first[asks[at][0]] + asks[at][1].segment, asks[at][1]) for at in which]
            whose = np.repeat([segment for segment, _ in flat], [len(ask.looks) for _, ask in flat])
            ends = np.concatenate([self.segments[segment].ends[ask.looks] for segment, ask in flat])
            found = iter(kind(whose, ends, [ask.suspect for _, ask in flat]))
            for at, (_, ask) in zip(which, flat, strict=True):
                out[at] = [next(found) for _ in ask.looks]
        return out

    def _hits(self, whose: Ints, ends: Ints, _: list[bool]) -> list[Answer]:
        """Return which windows hit, and of the looks with such ones, which longer ones contradict them."""
        k = self.criteria[0]
        least = least_units(k)
        hits = self._judged(whose, ends, least, lambda y: may_hit(y, k))
        marks = self._marks(hits, hits.hit, len(ends))
        some = np.unique(hits.rows.look[hits.hit])
        if len(some):
            vetoes = self._judged(whose[some], ends[some], least, lambda y: may_veto(y, k))
            for at, of_one in zip(some.tolist(), self._marks(vetoes, vetoes.veto, len(some)), strict=True):
                marks[at] += of_one
        return [_answer(of_one) for of_one in marks]

    def _memory(self, whose: Ints, ends: Ints, _: list[bool]) -> list[Answer]:
        judged = self._judged(whose, ends, 0.0, None)
        telling = judged.growing | judged.memory | judged.veto
        return [_answer(of_one) for of_one in self._marks(judged, telling, len(ends))]

    def _whole(self, whose: Ints, ends: Ints, suspect: list[bool]) -> list[Answer]:
        """Return all that is to be said of one look of each."""
        judged = self._judged(whose, ends, 0.0, None)
        rows, scores = by_look(judged.rows.look, len(ends)), scores_of(judged, self.plan)
        return [
            answer_of(judged, of_one, self.segments[segment].blocks, end, self.plan, scores=scores, suspect=asked)
            for of_one, segment, end, asked in zip(rows, whose.tolist(), ends.tolist(), suspect, strict=True)
        ]

    def _judged(self, whose: Ints, ends: Ints, least: float, screen: Screen | None) -> Judged:
        rows = cut(self.table, whose, ends, least, screen)
        return judge(rows, self.plan, self.criteria, whose[rows.look])

    def _marks(self, judged: Judged, telling: Bools, looks: int) -> list[tuple[Mark, ...]]:
        """Return the marks of the rows that tell something, by look."""
        rows = np.flatnonzero(telling)
        rows = rows[np.argsort(judged.rows.look[rows], kind="stable")]
        marks = marks_of(judged, rows, self.plan)
        out: list[tuple[Mark, ...]] = [()] * looks
        which, cuts = np.unique(judged.rows.look[rows], return_index=True)
        for look, begin, end in zip(which.tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(marks)], strict=False):
            out[look] = marks[begin:end]
        return out


NOTHING = Answer((), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)


def _answer(marks: tuple[Mark, ...]) -> Answer:
    """Return the answer of a look that is not the newest: only what it showed."""
    return replace(NOTHING, marks=marks) if marks else NOTHING


def _outcome(capture: Capture, series: Series) -> Outcome:
    covered, rise = _data_of(series.segments[-1]) if series.segments else (0, 0.0)
    current = round(float(capture.values[-1])) if len(capture.values) else 0
    if series.last is not None:
        assessment = settled(series.climb, series.last, covered, series.plan, current)
    else:
        assessment = screened(series.climb, series.ground, covered, rise, series.plan, series.criteria, current)
    return Outcome(capture.name, assessment, tuple(series.alerts), series.climb, series.ground)


def _data_of(segment: Segment) -> tuple[int, float]:
    """Return how many blocks the newest look had, all there are before the first, and the rise from old to new."""
    newest = segment.blocks.lows[-FINE_KEPT:]
    covered = int(segment.ends[-1]) - segment.blocks.first + 1 if len(segment.ends) else len(newest)
    return min(covered, FINE_KEPT), risen(newest[np.isfinite(newest)].tolist())


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
