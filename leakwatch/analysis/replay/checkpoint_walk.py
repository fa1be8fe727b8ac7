"""Takes captured series through their checkpoints, by the transition that live series go through.

The windows of many checkpoints of many series are cut and judged at once: that, and the cheap test before it, is what
makes a replay fast. The rules themselves are those of ``tracking`` and ``rules``; none is spelled here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.rules.evaluate import answers_at, marks_of, onset_of
from leakwatch.analysis.rules.tests import judge, may_hit, may_veto
from leakwatch.analysis.time_plan import COARSE_OF, FINE_KEPT
from leakwatch.analysis.tracking import alarm_transitions
from leakwatch.analysis.tracking.alarm_state import AlarmState
from leakwatch.analysis.tracking.level_history import Checkpoint, LevelHistory, follow, worth_judging
from leakwatch.analysis.windows.block_table import Table
from leakwatch.analysis.windows.cut import cut
from leakwatch.analysis.windows.robust import course_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leakwatch.analysis.replay.block_grid import Segment
    from leakwatch.analysis.rules.tests import TestResults
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.time_plan import TimePlan
    from leakwatch.analysis.tracking.past_runs import PastRuns
    from leakwatch.analysis.window_request import WindowHit, WindowResult
    from leakwatch.analysis.windows.block_table import Bools, Ints
    from leakwatch.analysis.windows.cut import Screen

AT_ONCE = 8192
"""Checkpoints that are judged together: enough rows for numpy, and some 100 MB while they are measured."""


@dataclass(slots=True)
class Series:
    """One series and where it has got to."""

    plan: TimePlan
    criteria: LeakCriteria
    past_runs: PastRuns
    segments: list[Segment]
    checkpoints: list[list[Checkpoint]]
    """Of each segment, oldest first."""
    alarm_state: AlarmState = field(default_factory=AlarmState)
    history: LevelHistory = field(default_factory=LevelHistory)
    last: WindowResult | None = None
    """Of the newest checkpoint, None where no window was worth judging."""
    alerts: list[tuple[int, int | None]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Stretch:
    """The checkpoints of one segment, with what is known of each before any window is judged."""

    series: Series
    segment: Segment
    checkpoints: list[Checkpoint]
    histories: list[LevelHistory]
    worth: list[int]
    """Which of them need windows."""
    is_newest: bool


def walk(series: Sequence[Series], plan: TimePlan) -> None:
    """Take all these series through all their checkpoints; what they come to is left in them."""
    stretches = [stretch for one in series for stretch in _stretches(one)]
    if not stretches:
        return
    judging = Windows(plan, stretches)
    for first, last in _portions(stretches):
        marks, answers = judging.of(range(first, last))
        for at in range(first, last):
            _go(stretches[at], marks[at - first], answers[at - first])


def _stretches(series: Series) -> Iterator[_Stretch]:
    for segment, checkpoints in zip(series.segments, series.checkpoints, strict=True):
        histories, worth = _histories(checkpoints, series.criteria, series.past_runs)
        yield _Stretch(series, segment, checkpoints, histories, worth, segment is series.segments[-1])


def _histories(
    checkpoints: list[Checkpoint], criteria: LeakCriteria, past_runs: PastRuns
) -> tuple[list[LevelHistory], list[int]]:
    """Return the history after each checkpoint, and which of them are worth judging."""
    histories, worth, history = [], [], LevelHistory()
    for at, checkpoint in enumerate(checkpoints):
        history = follow(history, checkpoint, criteria)
        histories.append(history)
        if worth_judging(history, checkpoint, past_runs, criteria):
            worth.append(at)
    return histories, worth


def _portions(stretches: Sequence[_Stretch]) -> Iterator[tuple[int, int]]:
    """Yield ranges of stretches that have about ``AT_ONCE`` checkpoints to judge."""
    first = wanted = 0
    for at, stretch in enumerate(stretches, 1):
        wanted += len(stretch.worth)
        if wanted >= AT_ONCE or at == len(stretches):
            yield first, at
            first, wanted = at, 0


def _go(stretch: _Stretch, marks: dict[int, tuple[WindowHit, ...]], answer: WindowResult | None) -> None:
    """Take one segment's checkpoints; ``answer`` is the whole one of the newest, where there is one."""
    series, segment = stretch.series, stretch.segment
    alarm_state = series.alarm_state = AlarmState()
    _note_alert(series, segment.start_ms)
    climbs = _Climbs(segment, series.plan)
    final = len(stretch.checkpoints) - 1
    for at, checkpoint in enumerate(stretch.checkpoints):
        of_one = marks.get(at, ())
        if at == final and answer is not None:
            of_one = answer.marks
        if not of_one and alarm_state.is_idle:
            continue
        alarm_transitions.step(
            alarm_state, checkpoint, stretch.histories[at], of_one, series.past_runs, series.criteria,
            rule_hour_s=series.plan.rule_hour_s, course=partial(climbs.course, checkpoint),
            onset=partial(climbs.onset, checkpoint),
        )  # fmt: skip
        _note_alert(series, checkpoint.end_ms)
    series.last = answer
    series.history = stretch.histories[-1] if stretch.histories else LevelHistory()


def _note_alert(series: Series, ts_ms: int) -> None:
    is_open = bool(series.alerts) and series.alerts[-1][1] is None
    if (series.alarm_state.alarm is not None) is not is_open:
        if is_open:
            series.alerts[-1] = (series.alerts[-1][0], ts_ms)
        else:
            series.alerts.append((ts_ms, None))


class _Climbs:
    """What the transition asks of the blocks of one segment, as far back as a live series would hold them."""

    def __init__(self, segment: Segment, plan: TimePlan) -> None:
        self.segment, self.plan = segment, plan
        self._medians: list[float] | None = None

    def course(self, checkpoint: Checkpoint, hours: float) -> tuple[float, ...]:
        """Return the medians of twelve equal parts of so many rule hours before a checkpoint."""
        length, b = self.plan.blocks_of(hours), self.segment.blocks
        end = checkpoint.end_ms // (self.plan.base_s * 1000)
        if length > FINE_KEPT:
            start = max(b.coarse_start, end // COARSE_OF - self.plan.coarse_kept)
            part = b.coarse_medians[start - b.coarse_start : end // COARSE_OF - b.coarse_start].tolist()
            return course_of(part, len(part), length // COARSE_OF)
        if self._medians is None:
            self._medians = b.medians.tolist()
        return course_of(self._medians, end - b.start, length)

    def onset(self, checkpoint: Checkpoint, hours: float) -> tuple[int, float]:
        """Return when a climb of which so many rule hours were seen before a checkpoint began, and the level there."""
        plan = self.plan
        end = checkpoint.end_ms // (plan.base_s * 1000) - 1
        began_ms, level = onset_of(self.segment.blocks, plan.blocks_of(hours), end, plan)
        return max(began_ms, self.segment.start_ms), level


class Windows:
    """Cuts and judges the windows of stretches of one plan."""

    def __init__(self, plan: TimePlan, stretches: Sequence[_Stretch]) -> None:
        self.plan, self.stretches = plan, stretches
        self.criteria = [stretch.series.criteria for stretch in stretches]
        self.blocks = [stretch.segment.blocks for stretch in stretches]
        self.table = Table(self.blocks, plan)

    def of(self, part: range) -> tuple[list[dict[int, tuple[WindowHit, ...]]], list[WindowResult | None]]:
        """Return for each stretch the windows that tell something by checkpoint, and the newest one's whole result."""
        whose = np.repeat(np.array(part), [len(self.stretches[at].worth) for at in part])
        worth = [at for number in part for at in self.stretches[number].worth]
        ends = np.concatenate([self.stretches[at].segment.ends[self.stretches[at].worth] for at in part])
        marks: list[dict[int, tuple[WindowHit, ...]]] = [{} for _ in part]
        for number, at, of_one in zip(whose.tolist(), worth, self._telling(whose, ends), strict=True):
            if of_one:
                marks[number - part.start][at] = of_one
        return marks, self._whole(part)

    def _telling(self, whose: Ints, ends: Ints) -> list[tuple[WindowHit, ...]]:
        """Return the windows that hit or resemble past lives, and those that contradict the ones that hit."""
        k = self.criteria[0]
        least = min(least_hours(k), k.memory_hours, k.reopen_hours)
        judged = self._judged(whose, ends, least, lambda y: may_hit(y, k))
        marks = self._marks(judged, judged.hit | judged.memory, len(ends))
        some = np.unique(judged.rows.checkpoint[judged.hit])
        if len(some):
            vetoes = self._judged(whose[some], ends[some], least, lambda y: may_veto(y, k))
            for at, of_one in zip(some.tolist(), self._marks(vetoes, vetoes.veto, len(some)), strict=True):
                marks[at] += of_one
        return marks

    def _whole(self, part: range) -> list[WindowResult | None]:
        """Return all that is to be said of the newest checkpoint of each series, where it is worth it."""
        newest = [at for at in part if self._needs_whole(self.stretches[at])]
        ends = np.array([self.stretches[at].segment.ends[-1] for at in newest], dtype=np.int64)
        answers = answers_at(self.table, self.blocks, self.criteria, np.array(newest), ends) if newest else []
        by_stretch = dict(zip(newest, answers, strict=True))
        return [by_stretch.get(at) for at in part]

    def _needs_whole(self, stretch: _Stretch) -> bool:
        return stretch.is_newest and bool(stretch.worth) and stretch.worth[-1] == len(stretch.checkpoints) - 1

    def _judged(self, whose: Ints, ends: Ints, least: float, screen: Screen | None) -> TestResults:
        rows = cut(self.table, whose, ends, least, screen)
        return judge(rows, self.plan, self.criteria, whose[rows.checkpoint])

    def _marks(self, judged: TestResults, telling: Bools, checkpoints: int) -> list[tuple[WindowHit, ...]]:
        """Return the marks of the rows that tell something, by checkpoint."""
        rows = np.flatnonzero(telling)
        rows = rows[np.argsort(judged.rows.checkpoint[rows], kind="stable")]
        marks = marks_of(judged, rows, self.plan)
        out: list[tuple[WindowHit, ...]] = [()] * checkpoints
        which, cuts = np.unique(judged.rows.checkpoint[rows], return_index=True)
        for at, begin, end in zip(which.tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(marks)], strict=False):
            out[at] = marks[begin:end]
        return out


def least_hours(criteria: LeakCriteria) -> float:
    """Return the shortest window that can hit: no growth is called a leak that has not gone on for so long."""
    c = criteria
    return min(c.strong_hours, c.plain_hours, c.bent_hours, c.curved_hours, c.grown_hours)
