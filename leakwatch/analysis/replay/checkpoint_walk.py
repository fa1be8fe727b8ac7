"""Takes captured series through their checkpoints, by the transition that live series go through.

The windows of many checkpoints of many series are cut and judged at once: that, and the cheap test before it, is what
makes a replay fast. The rules themselves are those of ``tracking`` and ``rules``; none is spelled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.replay.block_grid import Segment, all_checkpoints
from leakwatch.analysis.rules.evaluate import answers_at, marks_of, onset_of
from leakwatch.analysis.rules.tests import TestResults, judge, may_hit, may_veto
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import COARSE_OF, FINE_KEPT, TimePlan
from leakwatch.analysis.tracking import alarm_transitions
from leakwatch.analysis.tracking.alarm_state import AlarmState, Checkpoint, LevelHistory, follow, worth_judging
from leakwatch.analysis.tracking.past_runs import PastRuns
from leakwatch.analysis.window_request import WindowHit, WindowResult
from leakwatch.analysis.windows.block_table import Bools, Ints, Table
from leakwatch.analysis.windows.cut import Screen, cut
from leakwatch.analysis.windows.robust import course_of

Marks: TypeAlias = "dict[int, tuple[WindowHit, ...]]"
AT_ONCE = 16_384
"""Checkpoints taken together: enough for numpy, and some 100 MB while their windows are measured."""


@dataclass(slots=True)
class Series:
    """One series and where it has got to."""

    plan: TimePlan
    criteria: LeakCriteria
    past_runs: PastRuns
    segments: list[Segment]
    alarm_state: AlarmState = field(default_factory=AlarmState)
    history: LevelHistory = field(default_factory=LevelHistory)
    last: WindowResult | None = None
    """Of the newest checkpoint, None where no window was worth judging."""
    alerts: list[tuple[int, int | None]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Stretch:
    """The checkpoints of one segment, with what is known of each before any window is judged."""

    number: int
    """Of the segment, among all that are walked through."""
    series: Series
    segment: Segment
    checkpoints: list[Checkpoint]
    histories: list[LevelHistory]
    worth: list[int]
    """Which of them need windows."""

    @property
    def needs_whole(self) -> bool:
        """Whether its newest checkpoint is the newest of the series, and worth judging."""
        is_newest = self.segment is self.series.segments[-1]
        return is_newest and bool(self.worth) and self.worth[-1] == len(self.checkpoints) - 1


def walk(series: Sequence[Series], plan: TimePlan) -> None:
    """Take all these series through all their checkpoints; what they come to is left in them."""
    pairs = [(one, at) for one in series for at in range(len(one.segments))]
    if not pairs:
        return
    judging = Windows(plan, [one.segments[at] for one, at in pairs], [one.criteria for one, _ in pairs])
    first = taken = 0
    for number, (one, at) in enumerate(pairs, 1):
        taken += len(one.segments[at].ends)
        if taken >= AT_ONCE or number == len(pairs):
            checkpoints = all_checkpoints([one.segments[at] for one, at in pairs[first:number]], plan)
            part = [_stretch(first + i, *pairs[first + i], found) for i, found in enumerate(checkpoints)]
            for stretch, marks, answer in zip(part, *judging.of(part), strict=True):
                _go(stretch, marks, answer)
            first, taken = number, 0


def _stretch(number: int, series: Series, at: int, checkpoints: list[Checkpoint]) -> _Stretch:
    """Return a segment's checkpoints with the history after each, and which of them are worth judging."""
    criteria, history = series.criteria, LevelHistory()
    histories, worth = [], []
    for place, checkpoint in enumerate(checkpoints):
        history = follow(history, checkpoint)
        histories.append(history)
        if worth_judging(history, checkpoint, series.past_runs, criteria):
            worth.append(place)
    return _Stretch(number, series, series.segments[at], checkpoints, histories, worth)


def _go(stretch: _Stretch, marks: Marks, answer: WindowResult | None) -> None:
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
    """Cuts and judges the windows of segments of one plan."""

    def __init__(self, plan: TimePlan, segments: Sequence[Segment], criteria: Sequence[LeakCriteria]) -> None:
        self.plan, self.criteria = plan, criteria
        self.blocks = [segment.blocks for segment in segments]
        self.table = Table(self.blocks, plan)

    def of(self, stretches: Sequence[_Stretch]) -> tuple[list[Marks], list[WindowResult | None]]:
        """Return for each stretch the windows that tell something by checkpoint, and the newest one's whole result."""
        series_of = np.repeat([one.number for one in stretches], [len(one.worth) for one in stretches])
        ends = np.concatenate([one.segment.ends[one.worth] for one in stretches])
        telling = iter(self._telling(series_of, ends))
        marks = [{at: found for at, found in zip(one.worth, telling, strict=False) if found} for one in stretches]
        return marks, self._whole(stretches)

    def _telling(self, series_of: Ints, ends: Ints) -> list[tuple[WindowHit, ...]]:
        """Return the windows that hit or resemble past lives, and those that contradict the ones that hit."""
        least = min(least_hours(), k.MEMORY_HOURS, k.REOPEN_HOURS)
        judged = self._judged(series_of, ends, least, may_hit)
        marks = self._marks(judged, judged.hit | judged.memory, len(ends))
        some = np.unique(judged.rows.checkpoint[judged.hit])
        if len(some):
            vetoes = self._judged(series_of[some], ends[some], least, may_veto)
            for at, of_one in zip(some.tolist(), self._marks(vetoes, vetoes.veto, len(some)), strict=True):
                marks[at] += of_one
        return marks

    def _whole(self, stretches: Sequence[_Stretch]) -> list[WindowResult | None]:
        """Return all that is to be said of the newest checkpoint of each series, where it is worth it."""
        newest = [one for one in stretches if one.needs_whole]
        if not newest:
            return [None] * len(stretches)
        numbers = np.array([one.number for one in newest])
        ends = np.array([one.segment.ends[-1] for one in newest], dtype=np.int64)
        answers = iter(answers_at(self.table, self.blocks, self.criteria, numbers, ends))
        return [next(answers) if one.needs_whole else None for one in stretches]

    def _judged(self, series_of: Ints, ends: Ints, least: float, screen: Screen | None) -> TestResults:
        rows = cut(self.table, series_of, ends, least, screen)
        return judge(rows, self.plan, self.criteria, series_of[rows.checkpoint])

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


def least_hours() -> float:
    """Return the shortest window that can hit: no growth is called a leak that has not gone on for so long."""
    return min(k.STRONG_HOURS, k.PLAIN_HOURS, k.BENT_HOURS, k.CURVED_HOURS, k.GROWN_HOURS)
