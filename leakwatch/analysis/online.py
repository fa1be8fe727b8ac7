"""One series under watch: its blocks, its segment, its alarm. Fed sample by sample, live or from history alike.

A *checkpoint* is taken at fixed times, a quarter of a rule hour apart and the same for every series, of the blocks that
are complete by then. A verdict thus depends on the samples until then alone, not on when it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan

from leakwatch.analysis.rules.verdict import Observed, brought_up, screened, settled
from leakwatch.analysis.series.blocks import FINE, TOOTH_HOURS, Trail, is_fall
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_KEPT, TimePlan
from leakwatch.analysis.tracking import alarm_transitions
from leakwatch.analysis.tracking.alarm_state import (
    AlarmState,
    Checkpoint,
    LevelHistory,
    follow,
    from_values,
    to_values,
    worth_judging,
)
from leakwatch.analysis.tracking.past_runs import NO_LIVES, PastRuns, RunSummary, summarise
from leakwatch.analysis.window_request import BlockSnapshot, WindowRequest, WindowResult
from leakwatch.analysis.windows.robust import RECENT_HOURS, climb_began, course_of, noise_of
from leakwatch.model.sample import Block
from leakwatch.model.verdict import Assessment

MOST_PENDING = 200
"""Looks that may wait for somebody to judge them: two days of them, should judging fail for as long."""
TROUGH_HOURS = 0.5


@dataclass(slots=True)
class Pending:
    """A checkpoint that was taken and not yet judged."""

    checkpoint: Checkpoint
    history: LevelHistory
    question: WindowRequest | None


class SeriesState:
    """Everything that is known of one series, in bounded memory."""

    __slots__ = (
        "_due",
        "_fall_ms",
        "_first",
        "_pending",
        "_plan",
        "_trail",
        "alarm_state",
        "assessment",
        "criteria",
        "history",
        "past_runs",
        "previous",
        "segment_ms",
        "settled_ms",
    )  # fmt: skip

    def __init__(self, plan: TimePlan, criteria: LeakCriteria) -> None:
        self._plan = plan
        self.criteria = criteria
        """May be set anew: what is configured for a series depends on who it belongs to."""
        self._trail = Trail(plan)
        self._pending: list[Pending] = []
        self._due = -1
        self._fall_ms = 0
        self._first = nan
        """Of the segment's samples."""
        self.previous: tuple[int, float] | None = None
        """Time and value of the newest sample."""
        self.segment_ms = 0
        self.history = LevelHistory()
        self.alarm_state = AlarmState()
        self.past_runs: PastRuns = NO_LIVES
        """The other lives of the same service."""
        self.assessment: Assessment | None = None
        self.settled_ms = 0
        """End of the newest checkpoint that was settled."""

    def feed(self, ts_ms: int, value: float, *, same_members: bool = True) -> list[tuple[int, Block]]:
        """Take a sample; return the blocks it completed, as (index of the level, block).

        ``same_members`` is False for a sum whose parts changed: a fall is then no reason to remember its old level.
        """
        if self.previous is None:
            self.segment_ms = self._fall_ms = ts_ms
        elif ts_ms <= self.previous[0]:
            return []  # what is measured twice is left out once
        elif ts_ms - self.previous[0] > self._plan.longest_gap_ms:
            self.end_segment(ts_ms, remember=True)  # longer than all that is held
        elif not same_members and is_fall(self.previous, value):
            apart_s = (ts_ms - self._fall_ms) / 1000
            self._fall_ms = ts_ms
            if apart_s >= self._plan.seconds(TOOTH_HOURS):
                self.end_segment(ts_ms, remember=False)
        if self.previous is None:
            self._first = value
        self.previous = (ts_ms, value)
        sealed = self._trail.add(ts_ms, value)
        if sealed:
            self._note_checkpoints(ts_ms // (self._plan.base_s * 1000))
        return sealed

    def _note_checkpoints(self, now: int) -> None:
        """Take the checkpoint that became due, when the fine block ``now`` has begun."""
        due = self._plan.due(self._trail.fine.end)
        if now > due > self._due:
            self._trail.pad(due)
            self._due = due
            self._take_checkpoint(due)
        self._trail.pad(now - 1)

    def _take_checkpoint(self, end: int) -> None:
        checkpoint = self._look(end)
        self.history = follow(self.history, checkpoint)
        question = None
        if worth_judging(self.history, checkpoint, self.past_runs, self.criteria):
            question = WindowRequest(self._plan, self._held(), self.criteria, end)
        self._pending.append(Pending(checkpoint, self.history, question))
        del self._pending[:-MOST_PENDING]

    def _look(self, end: int) -> Checkpoint:
        """Return the checkpoint that ends with a fine block that is held."""
        plan, ring = self._plan, self._trail.fine
        newest = end - ring.start + 1
        lows = ring.lows[max(0, newest - plan.blocks_of(RECENT_HOURS) - BLOCKS) : newest]
        age = (end - self._trail.first + 1) * plan.base_s / plan.rule_hour_s
        half = plan.blocks_of(TROUGH_HOURS)
        trough = min((x for x in lows[-half:] if isfinite(x)), default=nan) if len(lows) >= half else nan
        recent = max((x for x in lows[-plan.blocks_of(RECENT_HOURS) :] if isfinite(x)), default=nan)
        return Checkpoint((end + 1) * plan.base_s * 1000, age, trough, recent, noise_of(lows, plan))

    def _held(self) -> BlockSnapshot:
        trail = self._trail
        return BlockSnapshot(
            trail.first, trail.fine.end, trail.fine.lows[:], trail.fine.medians[:], trail.coarse.end,
            trail.coarse.lows[:], trail.coarse.medians[:], trail.top_before,
        )  # fmt: skip

    def end_segment(self, ts_ms: int, *, remember: bool) -> None:
        """Begin a new segment at ``ts_ms``, remembering the old one's level or not."""
        self._trail.end_segment(remember=remember)
        self.segment_ms = self._fall_ms = ts_ms
        self.previous = None
        self.history, self.alarm_state = LevelHistory(), AlarmState()
        self.assessment = None  # of what is over
        self._pending.clear()
        self._due = -1

    def questions(self) -> list[WindowRequest]:
        """Return what has to be judged of the checkpoints taken since the last ``settle``, oldest first."""
        return [pending.question for pending in self._pending if pending.question is not None]

    def settle(self, answers: Mapping[WindowRequest, WindowResult], headroom_bytes: float | None = None) -> None:
        """Take the answers to ``questions``; ``headroom_bytes`` is what is left to grow into, if known.

        Each is of the very question that was asked: a checkpoint that was dropped or a life that ended meanwhile leaves
        its answer unused, and a checkpoint taken meanwhile waits for the next time.

        Afterwards ``assessment`` is the verdict as of the newest checkpoint.
        """
        last: WindowResult | None = None
        settled_now = self._pending[: self._reach(answers)]
        for pending in settled_now:
            last = answers[pending.question] if pending.question is not None else None
            alarm_transitions.step(
                self.alarm_state, pending.checkpoint, pending.history, last.marks if last else (), self.past_runs,
                self.criteria, rule_hour_s=self._plan.rule_hour_s, course=partial(self._course, pending.checkpoint),
                onset=partial(self._onset, pending.checkpoint), headroom_bytes=headroom_bytes,
            )  # fmt: skip
            self.settled_ms = pending.checkpoint.end_ms
        if self.previous is None:
            return
        current = round(self.previous[1])
        if settled_now or self.assessment is None or self._due < 0:
            self.assessment = self._assess(last, current)
        else:
            self.assessment = brought_up(self.assessment, current, self._plan, self._observed())
        del self._pending[: len(settled_now)]

    def _reach(self, answers: Mapping[WindowRequest, WindowResult]) -> int:
        """Return how many pending checkpoints these settle: those before the first with a question not among them."""
        for at, pending in enumerate(self._pending):
            if pending.question is not None and pending.question not in answers:
                return at
        return len(self._pending)

    def _assess(self, answer: WindowResult | None, current: int) -> Assessment:
        covered = len(self._trail.fine) if self._trail.first >= 0 else 0
        if answer is None:
            return screened(
                self.alarm_state,
                self.history,
                covered,
                self._risen(),
                self._plan,
                self.criteria,
                current,
                self._observed(),
            )
        return settled(self.alarm_state, answer, covered, self._plan, current, self._observed())

    def _observed(self) -> Observed:
        return Observed(self.segment_ms, self.previous[0] if self.previous else self.segment_ms, self._first)

    def _risen(self) -> float:
        return risen([low for low in self._trail.fine.lows if isfinite(low)])

    def _course(self, checkpoint: Checkpoint, hours: float) -> tuple[float, ...]:
        """Return the medians of twelve equal parts of so many rule hours before a checkpoint."""
        length = self._plan.blocks_of(hours)
        end = checkpoint.end_ms // (self._plan.base_s * 1000)
        ring = self._trail.fine
        if length > FINE_KEPT:
            ring, length, end = self._trail.coarse, length // COARSE_OF, end // COARSE_OF
        return course_of(ring.medians, end - ring.start, length)

    def _onset(self, checkpoint: Checkpoint, hours: float) -> tuple[int, float]:
        """Return when a climb of which so many rule hours were seen before a checkpoint began, and the level there."""
        trail, plan = self._trail, self._plan
        end = checkpoint.end_ms // (plan.base_s * 1000)
        fine = trail.fine.start, trail.fine.lows[: max(0, end - trail.fine.start)]
        coarse = trail.coarse.start, trail.coarse.lows[: max(0, end // COARSE_OF - trail.coarse.start)]
        began_ms, level = climb_began(fine, coarse, trail.first, plan.blocks_of(hours), plan)
        return max(began_ms, self.segment_ms), level

    def life(self, name: str, ended_ms: int) -> RunSummary | None:
        """Return what this life teaches others, now that it has ended."""
        trail, plan = self._trail, self._plan
        if trail.first < trail.fine.start:
            return summarise(name, trail.coarse.lows, ended_ms, plan.coarse_s, plan.rule_hour_s, self.criteria)
        return summarise(name, trail.fine.lows, ended_ms, plan.base_s, plan.rule_hour_s, self.criteria)

    @property
    def is_suspected(self) -> bool:
        """Whether a frozen forecast waits for new data."""
        return self.alarm_state.suspicion is not None and self.alarm_state.alarm is None

    def to_json(self) -> str | None:
        """Return what the store keeps of a series that is suspect or was, None of any other."""
        alarm_state = self.alarm_state
        if alarm_state.alarm is None and alarm_state.suspicion is None and alarm_state.past is None:
            return None
        values = {"ground": self.history._asdict(), "climb": to_values(alarm_state), "settled_ms": self.settled_ms}
        return json.dumps(values)

    def recollect(self, payload: str | None) -> None:
        """Take what ``to_json`` gave after the blocks were restored, or come to the same from the blocks.

        A checkpoint that was taken and not settled before is taken again. What an earlier detector wrote is left out.
        """
        dues = self._dues()
        values = json.loads(payload) if payload is not None else {}
        if "settled_ms" in values:
            self.history, self.alarm_state = LevelHistory(**values["ground"]), from_values(values["climb"])
            self.settled_ms = values["settled_ms"]
        else:
            self._follow_coarse()
        missed = [due for due in dues if (due + 1) * self._plan.base_s * 1000 > self.settled_ms]
        for due in missed[:-1]:
            self.history = follow(self.history, self._look(due))
        if missed:
            self._take_checkpoint(missed[-1])
        self._due = dues[-1] if dues else -1

    def _dues(self) -> list[int]:
        """Return the fine block of each checkpoint the blocks held have had, oldest first."""
        ring = self._trail.fine
        seen = {self._plan.due(ring.start + at) for at, low in enumerate(ring.lows) if isfinite(low)}
        return sorted(due for due in seen if due <= ring.end)

    def _follow_coarse(self) -> None:
        """Come to the ground where the fine blocks do not reach."""
        plan, ring = self._plan, self._trail.coarse
        for at, low in enumerate(ring.lows):
            end = (ring.start + at + 1) * COARSE_OF - 1
            if end < self._trail.fine.start:
                age = (end - self._trail.first + 1) * plan.base_s / plan.rule_hour_s
                self.history = follow(self.history, Checkpoint(0, age, low, low, nan))

    def restore(self, level: int, block: Block, segment_ms: int) -> None:
        """Take a stored block, oldest first, the coarse blocks before the fine ones."""
        if self.segment_ms != segment_ms:
            self.segment_ms = self._fall_ms = segment_ms
            self._first = block.minimum if block.start_ms <= segment_ms else nan
        first = segment_ms // (self._plan.base_s * 1000)
        if level == FINE:
            self.previous = (block.start_ms, block.last)
        self._trail.restore(level, block, first)

    def remember(self, low: float) -> None:
        """Take the trough of a stored block of an earlier segment."""
        self._trail.remember(low)


def risen(lows: Sequence[float]) -> float:
    """Return by how much the newest two lows lie above the oldest two, with all that is between them."""
    return min(lows[-2:]) - max(lows[:2]) if lows else 0.0
