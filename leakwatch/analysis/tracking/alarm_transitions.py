"""One series over time: suspicion, confirmation by fresh data, pauses, releases, the end; a state machine.

Checkpoints come in order, each with what the newest blocks are and which windows hit. All ages and lengths are in rule
hours of the life, so that the same rules hold for hours and for minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.tracking.alarm_state import (
    Alarm,
    AlarmState,
    Checkpoint,
    EndedAlarm,
    LevelHistory,
    Suspicion,
    nearest_record,
)
from leakwatch.analysis.tracking.past_runs import PastRuns
from leakwatch.analysis.window_request import WindowHit
from leakwatch.model.verdict import Criterion

VETO_REACH = 4
"""How much longer a window may be to take a shorter one's word back."""


def step(
    alarm_state: AlarmState,
    checkpoint: Checkpoint,
    history: LevelHistory,
    marks: Sequence[WindowHit],
    past_runs: PastRuns,
    criteria: LeakCriteria,
    *,
    rule_hour_s: float,
    course: Callable[[float], tuple[float, ...]],
    onset: Callable[[float], tuple[int, float]],
    headroom_bytes: float | None = None,
) -> None:
    """Change the state by one checkpoint; ``marks`` is what its windows showed.

    ``course`` returns the medians of twelve equal parts of the last so many rule hours, () where they are not held;
    ``onset`` when a climb of which so many rule hours were seen began, in UTC milliseconds, and the level there.
    """
    now = _Step(alarm_state, checkpoint, history, past_runs, rule_hour_s, headroom_bytes)
    alarm_state.growing = any(mark.growing for mark in marks)
    alarm_state.why = ()
    hits = now.not_held_back(_hits(marks))
    if criteria.straight_while_young:
        hits = now.straight(hits)
    memory = past_runs.same_slope(marks, checkpoint.end_ms)
    if alarm_state.alarm is None:
        again = now.reopened(marks)
        if again is not None:
            now.alarm(again, alarm_state.past, "reopened")
        else:
            now.suspect(hits, memory)
    alarm = alarm_state.alarm
    if alarm is None:
        return
    if alarm.onset_ms is None:
        alarm.onset_ms, alarm.onset_level = onset(max(alarm.rule_hours, checkpoint.age - alarm.since_age))
    if alarm.started_ms != checkpoint.end_ms:
        newest = _longest(hits) or memory
        if newest is not None:
            alarm.slope, alarm.half_width = newest.slope, newest.half_width
            alarm.rule_hours, alarm.seconds = newest.rule_hours, newest.seconds
        now.end(alarm, course)


def _longest(marks: Sequence[WindowHit]) -> WindowHit | None:
    return max(marks, key=lambda mark: mark.rule_hours, default=None)


def _hits(marks: Sequence[WindowHit]) -> list[WindowHit]:
    """Return the windows that hit and that no longer one, up to four times as long, contradicts."""
    hits, vetoes = [mark for mark in marks if mark.hit], [mark for mark in marks if mark.veto]
    if not (hits and vetoes):
        return hits
    return [
        hit
        for hit in hits
        if not any(hit.rule_hours < veto.rule_hours <= VETO_REACH * hit.rule_hours for veto in vetoes)
    ]


def _rise(parts: Sequence[float], at: int, to: int) -> float:
    return sum(parts[to : to + 4]) / 4 - sum(parts[at : at + 4]) / 4


@dataclass(slots=True, eq=False)
class _Step:
    """One checkpoint of one series: what the state was, what is known now, and what follows from it."""

    state: AlarmState
    checkpoint: Checkpoint
    history: LevelHistory
    past_runs: PastRuns
    rule_hour_s: float
    headroom_bytes: float | None

    def _note(self, rule: str, measured: float, threshold: float, unit: str, *, passed: bool) -> bool:
        """Note how a rule went; ``s``: both numbers are in rule hours."""
        if unit == "s":
            measured, threshold = measured * self.rule_hour_s, threshold * self.rule_hour_s
        self.state.why += (Criterion(rule, measured, threshold, passed, unit),)
        return passed

    def not_held_back(self, hits: list[WindowHit]) -> list[WindowHit]:
        """Return the hits that stand beside what is known of the level; note what speaks against them."""
        low, history = self.checkpoint.trough, self.history
        if not hits or not isfinite(low):
            return []
        passed = []
        settled = self.past_runs.plateau(self.checkpoint.end_ms)
        if settled is not None:
            floor, age = k.PLATEAU_MARGIN * settled.level, k.PLATEAU_AGE * settled.settled_hours
            passed += [
                self._note("above_past_plateau", low, floor, "bytes", passed=low >= floor),
                self._note(
                    "older_than_past_warmup", self.checkpoint.age, age, "s",
                    passed=self.checkpoint.age >= age,
                ),
            ]  # fmt: skip
        if 1 <= history.falls <= 2:
            beyond = history.peak + k.RELEASE_MORE * history.depth
            passed.append(self._note("beyond_last_release", low, beyond, "bytes", passed=low >= beyond))
        nearest = nearest_record(history)
        passed.append(self._note("near_highest_level", low, nearest, "bytes", passed=low >= nearest))
        return hits if all(passed) else []

    def straight(self, hits: list[WindowHit]) -> list[WindowHit]:
        """Return the hits that need not wait for a day: straight ones, and those whose limit is hours away."""
        age, headroom = self.checkpoint.age, self.headroom_bytes
        if not hits or age >= k.YOUNG_HOURS:
            return hits

        def is_urgent(mark: WindowHit) -> bool:
            soon_s = k.PLAIN_HOURS * self.rule_hour_s
            return headroom is not None and mark.slope > 0 and headroom / mark.slope * 3600 < soon_s

        kept = [mark for mark in hits if mark.strong or is_urgent(mark)]
        if not kept:
            self._note("straight_or_a_day", age, k.YOUNG_HOURS, "s", passed=False)
        return kept

    def reopened(self, marks: Sequence[WindowHit]) -> WindowHit | None:
        """Return the window by which an alarm that ended goes on: it grows soon after that end, and on new ground."""
        past, checkpoint = self.state.past, self.checkpoint
        if past is None or not isfinite(checkpoint.trough) or checkpoint.age - past.age >= k.REOPEN_SPAN * past.length:
            return None
        if checkpoint.trough <= past.top + max(2 * self.history.noise, k.REOPEN_SHARE * (past.top - past.base)):
            return None
        least = k.REOPEN_RATE * past.slope
        return _longest([m for m in marks if m.memory and m.rule_hours >= k.REOPEN_HOURS and m.slope >= least])

    def suspect(self, hits: list[WindowHit], memory: WindowHit | None) -> None:
        """Freeze a forecast at the first hit; let fresh data decide."""
        state, age = self.state, self.checkpoint.age
        hits = self._not_paused(hits)
        if memory is not None and not hits:
            alarm = self.alarm(memory, None, "past_lives")
            if any(self._over(alarm)):
                state.alarm = None  # it has been higher in this life and gave it back
            return
        held, best = state.suspicion, _longest(hits)
        if held is not None:
            held.checkpoints += 1
        if best is None:
            if held is not None and age - held.last_age > k.FORGET_RATIO * held.rule_hours:
                state.suspicion = None
            return
        if held is None:
            held = state.suspicion = Suspicion(age, best.rule_hours, best.now, best.slope, age, 1, 0)
        held.last_age, held.hits = age, held.hits + 1
        self._confirm(held, best)

    def _not_paused(self, hits: list[WindowHit]) -> list[WindowHit]:
        """Return the hits whose growth has not stood still for longer than they may."""
        longest, stall = self.history.longest_pause, self.checkpoint.age - self.history.record_age

        def may_pause(mark: WindowHit) -> float:
            return max(longest, min(k.STALL_BLOCKS * mark.rule_hours / 12, k.STALL_HOURS))

        kept = [hit for hit in hits if stall <= may_pause(hit)]
        if hits and not kept:
            self._note("no_longer_pause", stall, max(map(may_pause, hits)), "s", passed=False)
        return kept

    def _confirm(self, held: Suspicion, best: WindowHit) -> None:
        """Raise the alarm when enough fresh data follow the forecast, or memory would run out before."""
        headroom, age = self.headroom_bytes, self.checkpoint.age
        wait = min(k.CONFIRM_HOURS, k.CONFIRM_RATIO * held.rule_hours)
        if best.rule_hours >= k.WAIVE_HOURS and best.now - best.first >= k.WAIVE_GROWTH * best.first:
            wait = min(wait, k.WAIVED_HOURS)
        fresh = age - held.age
        least = k.CONFIRM_CHECKPOINTS if age < k.YOUNG_HOURS else 0.0
        waited = self._note("fresh_data", fresh, wait, "s", passed=fresh >= wait - 1e-9)
        seen = self._note(
            "checkpoints_agree", held.hits / held.checkpoints, least, "ratio",
            passed=held.hits >= least * held.checkpoints,
        )  # fmt: skip
        left = headroom / best.slope * 3600 / self.rule_hour_s if headroom is not None and best.slope > 0 else inf
        if left < wait - fresh:
            self._note("outlasts_confirmation", left, wait - fresh, "s", passed=False)
            self.alarm(best, None, "exhaustion")
        elif waited and seen:
            expected = held.slope * fresh * self.rule_hour_s / 3600
            follow = (best.now - held.level) / expected if expected > 0 else 1.0
            least = k.CONFIRM_FOLLOW
            if self._note("follows_forecast", follow, least, "ratio", passed=follow >= least):
                self.alarm(best, None, "fresh_data")
            else:
                self.state.suspicion = None  # the forecast was wrong: the next hit freezes a new one

    def alarm(self, mark: WindowHit, past: EndedAlarm | None, by: str) -> Alarm:
        """Raise the alarm; ``past`` is the one that goes on, if any."""
        held, age = self.state.suspicion, self.checkpoint.age
        since = past.since_age if past else age - mark.rule_hours - (age - held.age if held else 0.0)
        base = past.base if past else mark.first
        alarm = self.state.alarm = Alarm(
            since, base, mark.slope, mark.half_width, mark.rule_hours, mark.seconds, self.checkpoint.end_ms, by
        )
        if past is not None:
            alarm.onset_ms, alarm.onset_level = past.onset_ms, past.onset_level
        self.state.ended = ""
        return alarm

    def end(self, alarm: Alarm, course: Callable[[float], tuple[float, ...]]) -> None:
        """Take the alarm back when memory was given back, growth has stopped or the climb was a saturating one."""
        state, history, checkpoint = self.state, self.history, self.checkpoint
        length = history.record_age - alarm.since_age
        gone, stopped = self._over(alarm)
        if gone or stopped:
            state.past = None
            if not gone:
                state.past = EndedAlarm(
                    checkpoint.age, history.record, length, alarm.since_age, alarm.base, alarm.slope, alarm.onset_ms,
                    alarm.onset_level,
                )  # fmt: skip
            state.ended = "memory_given_back" if gone else "growth_stopped"
        elif self._levels_off(length, course):
            base = alarm.base + k.GONE_RATIO * (history.record - alarm.base)
            state.ended = "memory_given_back" if checkpoint.trough < base else "growth_levels_off"
        else:
            return
        state.alarm = state.suspicion = None

    def _over(self, alarm: Alarm) -> tuple[bool, bool]:
        """Return whether the memory was given back, and whether the growth has stopped."""
        history = self.history
        gone = self.checkpoint.recent_top < alarm.base + k.GONE_RATIO * (history.record - alarm.base)
        length = history.record_age - alarm.since_age
        pause = min(history.longest_pause, length)  # flat time before the climb, however long, is no pause of it
        least = max(k.OVER_PAUSE * pause, k.OVER_SHARE * length, k.OVER_HOURS)
        return gone, self.checkpoint.age - history.record_age > least

    def _levels_off(self, length: float, course: Callable[[float], tuple[float, ...]]) -> bool:
        """Return whether a climb of so many rule hours turns out, by its thirds, to be a saturating one.

        Ever smaller quarters were tried instead: warm-ups of ten hours ended ten hours sooner, and six leaks of 480
        were taken back with them.
        """
        if self.history.longest_pause >= length / 6:
            return False  # pauses make its thirds uneven
        parts = course(length)
        return bool(parts) and _rise(parts, 4, 8) < k.LEVELLING_RATIO * max(_rise(parts, 0, 4), 0.0)
