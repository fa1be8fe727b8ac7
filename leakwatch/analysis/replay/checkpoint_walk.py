"""Steps through the looks of one series, asking for as few windows as decide what is said.

Windows cost a hundred times what the rest does. None is asked for at a look that cannot hit, none below what a hit
takes, and none while an alarm is on: only its slope follows the windows then, so the newest that carries it is looked
for when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from leakwatch.analysis.online import COURSE_PARTS, course_of
from leakwatch.analysis.rules.evaluate import onset_of
from leakwatch.analysis.time_plan import COARSE_OF, FINE_KEPT
from leakwatch.analysis.tracking import alarm_transitions
from leakwatch.analysis.tracking.alarm_state import AlarmState
from leakwatch.analysis.tracking.level_history import (
    NO_GROUND,
    Checkpoint,
    GroundValues,
    LevelHistory,
    could_hit,
    least_range,
    moved,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from leakwatch.analysis.replay.block_grid import Facts, Segment
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.time_plan import TimePlan
    from leakwatch.analysis.tracking.past_runs import PastRuns
    from leakwatch.analysis.window_request import WindowHit, WindowResult

AHEAD = 8
"""Looks asked about at first, then twice as many each time nothing came of them: rounds are few."""
SUSPECT_AHEAD = 6
"""Looks asked about while a suspicion is held: those after the alarm it leads to are in vain."""
BEHIND = 4
"""Looks asked about at a time on the way back to the newest that carries an alarm: mostly the first does."""


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Looks of one segment that are to be judged."""

    segment: int
    checkpoints: list[int]
    memory: bool
    """Whether past lives, or an alarm that ended, make windows count that do not hit."""
    whole: bool = False
    """Whether the full answer is wanted, with its evidence."""
    suspect: bool = False
    """Whether it is to tell where the growth began even if nothing grows at this look."""


Walk: TypeAlias = "Generator[WindowBatch, list[WindowResult], None]"


@dataclass(slots=True)
class Series:
    """One series and where it has got to."""

    plan: TimePlan
    criteria: LeakCriteria
    past_runs: PastRuns
    segments: list[Segment]
    facts: list[Facts]
    alarm_state: AlarmState = field(default_factory=AlarmState)
    ground: LevelHistory = field(default_factory=LevelHistory)
    last: WindowResult | None = None
    """To the newest look, None where no closer one was needed."""
    alerts: list[tuple[int, int | None]] = field(default_factory=list)


def walk(series: Series) -> Walk:
    """Go through all looks; what is sent for an ``WindowBatch`` are the answers in its order."""
    for number, segment in enumerate(series.segments):
        if _is_open(series):
            series.alerts[-1] = (series.alerts[-1][0], int(segment.start_ms))
        series.alarm_state, series.last = AlarmState(), None
        yield from _Pass(series, number).go()


def least_units(criteria: LeakCriteria) -> float:
    """Return the shortest window that can hit: no growth is called a leak that has not gone on for so long."""
    c = criteria
    return min(c.strong_hours, c.plain_hours, c.bent_hours, c.curved_hours, c.grown_hours)


def _is_open(series: Series) -> bool:
    return bool(series.alerts) and series.alerts[-1][1] is None


class _Pass:
    """One segment's looks, gone through once."""

    def __init__(self, series: Series, number: int) -> None:
        self.series, self.number = series, number
        self.plan, self.criteria, self.past_runs = series.plan, series.criteria, series.past_runs
        self.course = _Course(series.segments[number], series.plan, series.criteria.levelling_ratio)
        newest = number == len(series.segments) - 1
        self.checkpoints = series.facts[number]
        self.grounds, worth = _grounds(self.checkpoints, series.criteria, series.past_runs)
        self.final = len(self.checkpoints) - 1 if newest else -1
        least = least_units(series.criteria)
        self.worth = [
            at for at in worth if series.past_runs.known or at == self.final or self.checkpoints[at][1] >= least
        ]
        self.ahead = AHEAD
        self.answers: dict[int, WindowResult] = {}
        self.passed: list[int] = []
        """Looks gone past under an alarm without an answer."""

    def go(self) -> Walk:
        """Take every look that could change anything."""
        alarm_state, worth, at, due = self.series.alarm_state, self.worth, 0, 0
        while at < len(self.checkpoints):
            while due < len(worth) and worth[due] < at:
                due += 1
            closer = due < len(worth) and worth[due] == at
            if not closer and alarm_state.alarm is None and alarm_state.suspicion is None:
                alarm_state.growing = False
                at = worth[due] if due < len(worth) else len(self.checkpoints)
                continue
            if closer and at == self.final:
                yield from self._ask([at], whole=True)
            elif closer and at not in self.answers and alarm_state.alarm is None:
                ahead = SUSPECT_AHEAD if alarm_state.suspicion is not None else self.ahead
                self.ahead *= 2
                yield from self._ask(
                    [checkpoint for checkpoint in worth[due : due + ahead] if checkpoint != self.final]
                )
            if alarm_state.alarm is not None and at != self.final and at not in self.answers and self._lasts(at):
                alarm_state.growing, alarm_state.why = False, ()
                if closer:
                    self.passed.append(at)
            elif self._matters(at, closer=closer):
                yield from self._take(at, closer=closer)
            at += 1
        if self.checkpoints:
            self.series.ground = LevelHistory(*self.grounds[-1])

    def _lasts(self, at: int) -> bool:
        """Return whether the alarm lasts for sure beyond a look, told without the medians of its course."""
        alarm, checkpoint, (record, _, record_age, pause, *_) = (
            self.series.alarm_state.alarm,
            self.checkpoints[at],
            self.grounds[at],
        )
        assert alarm is not None
        if any(alarm_transitions.over(alarm, checkpoint[1], checkpoint[3], record, record_age, pause, self.criteria)):
            return False
        length = record_age - alarm.since_age
        return not alarm_transitions.by_thirds(pause, length) or self.course.goes_on(checkpoint[0], length)

    def _matters(self, at: int, *, closer: bool) -> bool:
        """Return whether anything follows from a look: not where nothing is suspected and no window showed anything."""
        alarm_state = self.series.alarm_state
        if alarm_state.alarm is not None or alarm_state.suspicion is not None or at == self.final:
            return True
        alarm_state.growing, alarm_state.why = False, ()
        return closer and bool(self.answers[at].marks)

    def _ask(self, checkpoints: list[int], *, whole: bool = False) -> Walk:
        memory = bool(self.past_runs.known) or any(map(self._may_reopen, checkpoints))
        suspect = self.series.alarm_state.alarm is not None or self.series.alarm_state.suspicion is not None
        answers = yield WindowBatch(self.number, checkpoints, memory, whole, suspect)
        self.answers.update(zip(checkpoints, answers, strict=True))

    def _may_reopen(self, at: int) -> bool:
        past, checkpoint, ground = self.series.alarm_state.past, self.checkpoints[at], self.grounds[at]
        return past is not None and alarm_transitions.may_reopen(
            past, checkpoint[1], checkpoint[2], ground[4], self.criteria
        )

    def _take(self, at: int, *, closer: bool) -> Walk:
        """Take one look; ``closer``: windows could hit at it."""
        alarm_state, checkpoint, ground = (
            self.series.alarm_state,
            Checkpoint(*self.checkpoints[at]),
            LevelHistory(*self.grounds[at]),
        )
        answer = self.answers.get(at) if closer else None
        if closer and answer is None:
            self.passed.append(at)
        marks = answer.marks if answer is not None else ()
        if at == self.final:
            self.series.last = answer
            yield from self._carry(at, marks)
        alarm, past = alarm_state.alarm, alarm_state.past
        alarm_transitions.step(
            alarm_state, checkpoint, ground, marks, self.past_runs, self.criteria,
            unit_s=self.plan.unit_s, course=partial(self.course.parts, checkpoint),
            onset=partial(self._onset, checkpoint),
        )  # fmt: skip
        if alarm is not None and alarm_state.alarm is None:
            if alarm_state.past is not None and alarm_state.past is not past:
                alarm_state.alarm = alarm  # until it is known what carried it
                yield from self._carry(at, marks)
                alarm_state.alarm, alarm_state.past.slope = None, alarm.slope
            self.answers.clear()  # no windows were asked for that only matter after an alarm
            self.passed.clear()
        is_open = _is_open(self.series)
        if alarm_state.alarm is not None and not is_open:
            self.series.alerts.append((checkpoint.end_ms, None))
        elif alarm_state.alarm is None and is_open:
            self.series.alerts[-1] = (self.series.alerts[-1][0], checkpoint.end_ms)

    def _onset(self, checkpoint: Checkpoint, units: float) -> tuple[int, float]:
        """Return what ``SeriesState`` does of the blocks it would hold."""
        segment, plan = self.series.segments[self.number], self.plan
        end = checkpoint.end_ms // (plan.base_s * 1000) - 1
        began_ms, level = onset_of(segment.blocks, plan.blocks_of(units), end, plan)
        return max(began_ms, segment.start_ms), level

    def _carry(self, at: int, marks: Sequence[WindowHit]) -> Walk:
        """Let the alarm go by the newest look before ``at`` that carries it, unless the one at hand does."""
        alarm = self.series.alarm_state.alarm
        if alarm is None or self._carrying(at, marks) is not None:
            return
        while self.passed:
            behind, self.passed = self.passed[-BEHIND:], self.passed[:-BEHIND]
            yield from self._ask(behind)
            for one in reversed(behind):
                mark = self._carrying(one, self.answers[one].marks)
                if mark is not None:
                    alarm_transitions.carry(alarm, mark)
                    return

    def _carrying(self, at: int, marks: Sequence[WindowHit]) -> WindowHit | None:
        checkpoint, ground = Checkpoint(*self.checkpoints[at]), LevelHistory(*self.grounds[at])
        return alarm_transitions.carrying(checkpoint, ground, marks, self.past_runs, self.criteria, self.plan.unit_s)


def _grounds(facts: Facts, criteria: LeakCriteria, past_runs: PastRuns) -> tuple[list[GroundValues], list[int]]:
    """Return the ground after each look of a segment, and which of them are worth judging."""
    grounds, worth = [], []
    ground, least = NO_GROUND, least_range(criteria)
    for at, (end_ms, age, trough, _, noise) in enumerate(facts):
        ground = moved(ground, age, trough, noise, criteria)
        grounds.append(ground)
        if ground[0] - ground[1] >= least and could_hit(ground, trough, criteria, past_runs, end_ms):
            worth.append(at)
    return grounds, worth


class _Course:
    """The parts of climbs of one segment, as ``SeriesState`` has them, and bounds that often tell without them."""

    def __init__(self, segment: Segment, plan: TimePlan, ratio: float) -> None:
        self.blocks, self.plan, self.ratio = segment.blocks, plan, ratio
        self._highest: list[float] | None = None
        self._lowest: list[float] = []

    def parts(self, checkpoint: Checkpoint, units: float) -> tuple[float, ...]:
        """Return the medians of twelve equal parts of so many units before a look."""
        length, b = self.plan.blocks_of(units), self.blocks
        end = checkpoint.end_ms // (self.plan.base_s * 1000)
        if length > FINE_KEPT:
            start = max(b.coarse_start, end // COARSE_OF - self.plan.coarse_kept)
            part = b.coarse_medians[start - b.coarse_start : end // COARSE_OF - b.coarse_start].tolist()
            return course_of(part, len(part), length // COARSE_OF)
        end -= b.start
        part = b.medians[max(0, end - length) : end].tolist()
        return course_of(part, len(part), length)

    def goes_on(self, end_ms: int, units: float) -> bool:
        """Return whether the newest third of so many units before a look's end rises for sure, or is not held.

        No bin's median is above the highest block up to its end, none below the lowest from its beginning on.
        """
        length = self.plan.blocks_of(units)
        size = length // COURSE_PARTS
        end = end_ms // (self.plan.base_s * 1000) - self.blocks.start
        first = end - size * COURSE_PARTS
        if length > FINE_KEPT:
            return False
        if size < 1 or first < 0:
            return True
        highest, lowest = self._bounds()
        old = sum(lowest[first : first + 4 * size : size])
        middle = sum(highest[first + 5 * size - 1 : first + 8 * size : size])
        new = sum(lowest[first + 8 * size : end : size])
        return new - middle > self.ratio * max(middle - old, 0.0) + 1.0

    def _bounds(self) -> tuple[list[float], list[float]]:
        """Return for each block the highest median up to it and the lowest from it on."""
        if self._highest is None:
            x = self.blocks.medians
            real = np.isfinite(x)
            self._highest = np.maximum.accumulate(np.where(real, x, -np.inf)).tolist()
            self._lowest = np.minimum.accumulate(np.where(real, x, np.inf)[::-1])[::-1].tolist()
        return self._highest, self._lowest
