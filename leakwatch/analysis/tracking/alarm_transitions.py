"""One series over time: suspicion, confirmation by fresh data, pauses, releases, the end; a state machine.

Looks come in order, each with what the newest blocks are and which windows hit. All times here are in units of the
life's age, so that the same rules hold for hours and for minutes.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from leakwatch.analysis.tracking.alarm_state import Alarm, AlarmState, EndedAlarm, Suspicion
from leakwatch.analysis.tracking.level_history import nearest_record
from leakwatch.model.verdict import Criterion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.tracking.level_history import Checkpoint, LevelHistory
    from leakwatch.analysis.tracking.past_runs import PastRuns
    from leakwatch.analysis.window_request import WindowHit

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
    """Take one checkpoint.

    ``course`` returns the medians of twelve equal parts of the last so many rule hours, () where they are not held;
    ``onset`` when a climb of which so many rule hours were seen began, in UTC milliseconds, and the level there.
    """
    c = criteria
    hits = _hits(marks)
    alarm_state.growing = any(mark.growing for mark in marks)
    alarm_state.why = ()
    hits = _held_back(alarm_state, checkpoint, history, hits, past_runs, c, rule_hour_s)
    if c.straight_while_young:
        hits = _straight(alarm_state, checkpoint, hits, c, rule_hour_s, headroom_bytes)
    memory = past_runs.same_slope(marks, checkpoint.end_ms, c)
    if alarm_state.alarm is None:
        again = _reopened(alarm_state, checkpoint, history, marks, c)
        if again is not None:
            _raise(alarm_state, checkpoint, again, alarm_state.past, "reopened")
        else:
            _suspect(alarm_state, checkpoint, history, hits, memory, c, rule_hour_s, headroom_bytes)
    if alarm_state.alarm is not None and alarm_state.alarm.onset_ms is None:
        alarm = alarm_state.alarm
        alarm.onset_ms, alarm.onset_level = onset(max(alarm.rule_hours, checkpoint.age - alarm.since_age))
    if alarm_state.alarm is not None and alarm_state.alarm.started_ms != checkpoint.end_ms:
        newest = _longest(hits) or memory
        if newest is not None:
            alarm = alarm_state.alarm
            alarm.slope, alarm.half_width = newest.slope, newest.half_width
            alarm.rule_hours, alarm.seconds = newest.rule_hours, newest.seconds
        _end(alarm_state, checkpoint, history, c, course)


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


def _held_back(
    alarm_state: AlarmState,
    checkpoint: Checkpoint,
    history: LevelHistory,
    hits: list[WindowHit],
    past_runs: PastRuns,
    c: LeakCriteria,
    rule_hour_s: float,
) -> list[WindowHit]:
    """Return the hits that stand beside what is known of the level; note what speaks against them."""
    if not hits:
        return hits
    low = checkpoint.trough
    reasons: list[Criterion] = []
    if not isfinite(low):
        return []
    settled = past_runs.plateau(checkpoint.end_ms, c)
    if settled is not None:
        floor, age = c.plateau_margin * settled.level, c.plateau_age * settled.settled_hours
        reasons += [
            Criterion("above the level past lives settled at", low, floor, low >= floor, "bytes"),
            Criterion(
                "older than past lives took to settle",
                checkpoint.age * rule_hour_s,
                age * rule_hour_s,
                checkpoint.age >= age,
                "s",
            ),
        ]
    if 1 <= history.falls <= 2:
        beyond = history.peak + c.release_more * history.depth
        reasons.append(Criterion("beyond the peak before the last release", low, beyond, low >= beyond, "bytes"))
    nearest = nearest_record(history, c)
    reasons.append(Criterion("near its highest level", low, nearest, low >= nearest, "bytes"))
    alarm_state.why = tuple(reasons)
    return hits if all(reason.passed for reason in reasons) else []


def _straight(
    alarm_state: AlarmState,
    checkpoint: Checkpoint,
    hits: list[WindowHit],
    c: LeakCriteria,
    rule_hour_s: float,
    headroom: float | None,
) -> list[WindowHit]:
    """Return the hits that need not wait for a day: straight ones, and those whose limit is hours away."""
    if not hits or checkpoint.age >= c.young_hours:
        return hits

    def is_urgent(mark: WindowHit) -> bool:
        return headroom is not None and mark.slope > 0 and headroom / mark.slope * 3600 < c.plain_hours * rule_hour_s

    kept = [mark for mark in hits if mark.strong or is_urgent(mark)]
    if not kept:
        seen = Criterion(
            "a day of what is not straight", checkpoint.age * rule_hour_s, c.young_hours * rule_hour_s, False, "s"
        )
        alarm_state.why += (seen,)
    return kept


def _reopened(
    alarm_state: AlarmState, checkpoint: Checkpoint, history: LevelHistory, marks: Sequence[WindowHit], c: LeakCriteria
) -> WindowHit | None:
    """Return the window by which an alarm that ended goes on: it grows soon after that end, and on new ground."""
    past = alarm_state.past
    if past is None or not isfinite(checkpoint.trough) or checkpoint.age - past.age >= c.reopen_span * past.length:
        return None
    if checkpoint.trough <= past.top + max(2 * history.noise, c.reopen_share * (past.top - past.base)):
        return None
    least = c.reopen_rate * past.slope
    going_on = [mark for mark in marks if mark.memory and mark.rule_hours >= c.reopen_hours and mark.slope >= least]
    return max(going_on, key=lambda mark: mark.rule_hours) if going_on else None


def _suspect(
    alarm_state: AlarmState,
    checkpoint: Checkpoint,
    history: LevelHistory,
    hits: list[WindowHit],
    memory: WindowHit | None,
    c: LeakCriteria,
    rule_hour_s: float,
    headroom_bytes: float | None,
) -> None:
    """Freeze a forecast at the first hit; let fresh data decide."""
    longest, stall = history.longest_pause, checkpoint.age - history.record_age

    def may_pause(mark: WindowHit) -> float:
        return max(longest, min(c.stall_blocks * mark.rule_hours / 12, c.stall_hours))

    paused = [hit for hit in hits if stall > may_pause(hit)]
    hits = [hit for hit in hits if stall <= may_pause(hit)]
    if paused and not hits:
        limit = max(may_pause(mark) for mark in paused)
        alarm_state.why += (
            Criterion("no longer pause than before", stall * rule_hour_s, limit * rule_hour_s, False, "s"),
        )
    if memory is not None and not hits:
        _raise(alarm_state, checkpoint, memory, None, "past lives")
        if alarm_state.alarm is not None and any(_over(alarm_state.alarm, checkpoint, history, c)):
            alarm_state.alarm = None  # it has been higher in this life and gave it back
        return
    held = alarm_state.suspicion
    if held is not None:
        held.checkpoints += 1
    if not hits:
        if held is not None and checkpoint.age - held.last_age > c.forget_ratio * held.rule_hours:
            alarm_state.suspicion = None
        return
    best = max(hits, key=lambda mark: mark.rule_hours)
    if held is None:
        held = alarm_state.suspicion = Suspicion(
            checkpoint.age, best.rule_hours, best.now, best.slope, checkpoint.age, 1, 0
        )
    held.last_age, held.hits = checkpoint.age, held.hits + 1
    _confirm(alarm_state, held, checkpoint, best, c, rule_hour_s, headroom_bytes)


def _confirm(
    alarm_state: AlarmState,
    held: Suspicion,
    checkpoint: Checkpoint,
    best: WindowHit,
    c: LeakCriteria,
    rule_hour_s: float,
    headroom: float | None,
) -> None:
    wait = min(c.confirm_hours, c.confirm_ratio * held.rule_hours)
    if best.rule_hours >= c.waive_hours and best.now - best.first >= c.waive_growth * best.first:
        wait = min(wait, c.waived_hours)
    fresh = checkpoint.age - held.age
    least = c.confirm_checkpoints if checkpoint.age < c.young_hours else 0.0
    waited = Criterion("fresh data", fresh * rule_hour_s, wait * rule_hour_s, fresh >= wait - 1e-9, "s")
    seen = Criterion(
        "looks that see it", held.hits / held.checkpoints, least, held.hits >= least * held.checkpoints, "ratio"
    )
    alarm_state.why += (waited, seen)
    left_hours = headroom / best.slope * 3600 / rule_hour_s if headroom is not None and best.slope > 0 else inf
    if left_hours < wait - fresh:
        sooner = Criterion(
            "memory lasts until confirmed", left_hours * rule_hour_s, (wait - fresh) * rule_hour_s, False, "s"
        )
        alarm_state.why += (sooner,)
        _raise(alarm_state, checkpoint, best, None, "exhaustion")
        return
    if not (waited.passed and seen.passed):
        return
    expected = held.slope * fresh * rule_hour_s / 3600
    follow = (best.now - held.level) / expected if expected > 0 else 1.0
    followed = Criterion("fresh data follow the line", follow, c.confirm_follow, follow >= c.confirm_follow, "ratio")
    alarm_state.why += (followed,)
    if followed.passed:
        _raise(alarm_state, checkpoint, best, None, "fresh data")
    else:
        alarm_state.suspicion = None  # the forecast was wrong: the next hit freezes a new one


def _raise(alarm_state: AlarmState, checkpoint: Checkpoint, mark: WindowHit, past: EndedAlarm | None, by: str) -> None:
    held = alarm_state.suspicion
    since = past.since_age if past else checkpoint.age - mark.rule_hours - (checkpoint.age - held.age if held else 0.0)
    base = past.base if past else mark.first
    alarm_state.alarm = Alarm(
        since, base, mark.slope, mark.half_width, mark.rule_hours, mark.seconds, checkpoint.end_ms, by
    )
    if past is not None:
        alarm_state.alarm.onset_ms, alarm_state.alarm.onset_level = past.onset_ms, past.onset_level
    alarm_state.ended = ""


def _levels_off(
    length: float, history: LevelHistory, c: LeakCriteria, course: Callable[[float], tuple[float, ...]]
) -> bool:
    """Return whether a climb of so many rule hours turns out, by its thirds, to be a saturating one.

    Ever smaller quarters were tried instead: warm-ups of ten hours ended ten hours sooner, and six leaks of 480 were
    taken back with them.
    """
    if history.longest_pause >= length / 6:
        return False  # pauses make its thirds uneven
    parts = course(length)
    return bool(parts) and _rise(parts, 4, 8) < c.levelling_ratio * max(_rise(parts, 0, 4), 0.0)


def _rise(parts: Sequence[float], at: int, to: int) -> float:
    return sum(parts[to : to + 4]) / 4 - sum(parts[at : at + 4]) / 4


def _over(alarm: Alarm, checkpoint: Checkpoint, history: LevelHistory, c: LeakCriteria) -> tuple[bool, bool]:
    """Return whether the memory was given back, and whether the growth has stopped."""
    gone = checkpoint.recent_top < alarm.base + c.gone_ratio * (history.record - alarm.base)
    length = history.record_age - alarm.since_age
    pause = min(history.longest_pause, length)  # flat time before the climb, however long, is no pause of it
    least = max(c.over_pause * pause, c.over_share * length, c.over_hours)
    return gone, checkpoint.age - history.record_age > least


def _end(
    alarm_state: AlarmState,
    checkpoint: Checkpoint,
    history: LevelHistory,
    c: LeakCriteria,
    course: Callable[[float], tuple[float, ...]],
) -> None:
    """Take the alarm back when memory was given back, growth has stopped or the climb was a saturating one."""
    alarm = alarm_state.alarm
    assert alarm is not None
    length = history.record_age - alarm.since_age
    gone, stopped = _over(alarm, checkpoint, history, c)
    if gone or stopped:
        alarm_state.past = None
        if not gone:
            alarm_state.past = EndedAlarm(
                checkpoint.age, history.record, length, alarm.since_age, alarm.base, alarm.slope, alarm.onset_ms,
                alarm.onset_level,
            )  # fmt: skip
        alarm_state.ended = "the memory was given back" if gone else "the growth has stopped"
    elif _levels_off(length, history, c, course):
        base = alarm.base + c.gone_ratio * (history.record - alarm.base)
        alarm_state.ended = "the memory was given back" if checkpoint.trough < base else "the growth levels off"
    else:
        return
    alarm_state.alarm = alarm_state.suspicion = None
