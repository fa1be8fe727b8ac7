"""One series over time: suspicion, confirmation by fresh data, pauses, releases, the end; a state machine.

Looks come in order, each with what the newest blocks are and which windows hit. All times here are in units of the
life's age, so that the same rules hold for hours and for minutes.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from leakwatch.analysis.tracking.alarm_state import Alarm, Climb, Past, Suspicion
from leakwatch.analysis.tracking.level_history import nearest_record
from leakwatch.model.verdict import Criterion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.tracking.level_history import Ground, Look
    from leakwatch.analysis.tracking.past_runs import Lives
    from leakwatch.analysis.window_request import Mark

VETO_REACH = 4
"""How much longer a window may be to take a shorter one's word back."""


def step(
    climb: Climb,
    look: Look,
    ground: Ground,
    marks: Sequence[Mark],
    lives: Lives,
    criteria: LeakCriteria,
    *,
    unit_s: float,
    course: Callable[[float], tuple[float, ...]],
    onset: Callable[[float], tuple[int, float]],
    headroom_bytes: float | None = None,
) -> None:
    """Take one look.

    ``course`` returns the medians of twelve equal parts of the last so many units, nothing where they are not held;
    ``onset`` when a climb of which so many units were seen began, in UTC milliseconds, and the level there.
    """
    c = criteria
    hits = _hits(marks)
    climb.growing = any(mark.growing for mark in marks)
    climb.why = ()
    hits = _held_back(climb, look, ground, hits, lives, c, unit_s)
    if c.straight_while_young:
        hits = _straight(climb, look, hits, c, unit_s, headroom_bytes)
    memory = lives.same_slope(marks, look.end_ms, c)
    if climb.alarm is None:
        again = _reopened(climb, look, ground, marks, c)
        if again is not None:
            _raise(climb, look, again, climb.past, "reopened")
        else:
            _suspect(climb, look, ground, hits, memory, c, unit_s, headroom_bytes)
    if climb.alarm is not None and climb.alarm.onset_ms is None:
        alarm = climb.alarm
        alarm.onset_ms, alarm.onset_level = onset(max(alarm.units, look.age - alarm.since_age))
    if climb.alarm is not None and climb.alarm.started_ms != look.end_ms:
        newest = _longest(hits) or memory
        if newest is not None:
            carry(climb.alarm, newest)
        _end(climb, look, ground, c, course)


def carrying(
    look: Look, ground: Ground, marks: Sequence[Mark], lives: Lives, criteria: LeakCriteria, unit_s: float
) -> Mark | None:
    """Return the window whose slope an alarm takes at this look, if any."""
    hits = _held_back(Climb(), look, ground, _hits(marks), lives, criteria, unit_s)
    return _longest(hits) or lives.same_slope(marks, look.end_ms, criteria)


def carry(alarm: Alarm, mark: Mark) -> None:
    """Let the alarm go by this window from now on."""
    alarm.slope, alarm.half_width = mark.slope, mark.half_width
    alarm.units, alarm.seconds = mark.units, mark.seconds


def _longest(marks: Sequence[Mark]) -> Mark | None:
    return max(marks, key=lambda mark: mark.units, default=None)


def _hits(marks: Sequence[Mark]) -> list[Mark]:
    """Return the windows that hit and that no longer one, up to four times as long, contradicts."""
    hits, vetoes = [mark for mark in marks if mark.hit], [mark for mark in marks if mark.veto]
    return [hit for hit in hits if not any(hit.units < veto.units <= VETO_REACH * hit.units for veto in vetoes)]


def _held_back(
    climb: Climb, look: Look, ground: Ground, hits: list[Mark], lives: Lives, c: LeakCriteria, unit_s: float
) -> list[Mark]:
    """Return the hits that stand beside what is known of the level; note what speaks against them."""
    if not hits:
        return hits
    low = look.trough
    reasons: list[Criterion] = []
    if not isfinite(low):
        return []
    settled = lives.plateau(look.end_ms, c)
    if settled is not None:
        floor, age = c.plateau_margin * settled.level, c.plateau_age * settled.settled_units
        reasons += [
            Criterion("above the level past lives settled at", low, floor, low >= floor, "bytes"),
            Criterion("older than past lives took to settle", look.age * unit_s, age * unit_s, look.age >= age, "s"),
        ]
    if 1 <= ground.falls <= 2:
        beyond = ground.peak + c.release_more * ground.depth
        reasons.append(Criterion("beyond the peak before the last release", low, beyond, low >= beyond, "bytes"))
    nearest = nearest_record(ground, c)
    reasons.append(Criterion("near its highest level", low, nearest, low >= nearest, "bytes"))
    climb.why = tuple(reasons)
    return hits if all(reason.passed for reason in reasons) else []


def _straight(
    climb: Climb, look: Look, hits: list[Mark], c: LeakCriteria, unit_s: float, headroom: float | None
) -> list[Mark]:
    """Return the hits that need not wait for a day: straight ones, and those whose limit is hours away."""
    if not hits or look.age >= c.young_hours:
        return hits

    def is_urgent(mark: Mark) -> bool:
        return headroom is not None and mark.slope > 0 and headroom / mark.slope * 3600 < c.plain_hours * unit_s

    kept = [mark for mark in hits if mark.strong or is_urgent(mark)]
    if not kept:
        seen = Criterion("a day of what is not straight", look.age * unit_s, c.young_hours * unit_s, False, "s")
        climb.why += (seen,)
    return kept


def may_reopen(past: Past, age: float, trough: float, noise: float, c: LeakCriteria) -> bool:
    """Return whether growth at a look would be that of an alarm which ended: soon after it, and on new ground."""
    if not isfinite(trough) or age - past.age >= c.reopen_span * past.length:
        return False
    return trough > past.top + max(2 * noise, c.reopen_share * (past.top - past.base))


def _reopened(climb: Climb, look: Look, ground: Ground, marks: Sequence[Mark], c: LeakCriteria) -> Mark | None:
    past = climb.past
    if past is None or not may_reopen(past, look.age, look.trough, ground.noise, c):
        return None
    least = c.reopen_rate * past.slope
    going_on = [mark for mark in marks if mark.memory and mark.units >= c.reopen_hours and mark.slope >= least]
    return max(going_on, key=lambda mark: mark.units) if going_on else None


def _suspect(
    climb: Climb,
    look: Look,
    ground: Ground,
    hits: list[Mark],
    memory: Mark | None,
    c: LeakCriteria,
    unit_s: float,
    headroom_bytes: float | None,
) -> None:
    """Freeze a forecast at the first hit; let fresh data decide."""
    longest, stall = ground.longest_pause, look.age - ground.record_age

    def may_pause(mark: Mark) -> float:
        return max(longest, min(c.stall_blocks * mark.units / 12, c.stall_hours))

    paused = [hit for hit in hits if stall > may_pause(hit)]
    hits = [hit for hit in hits if stall <= may_pause(hit)]
    if paused and not hits:
        limit = max(may_pause(mark) for mark in paused)
        climb.why += (Criterion("no longer pause than before", stall * unit_s, limit * unit_s, False, "s"),)
    if memory is not None and not hits:
        _raise(climb, look, memory, None, "past lives")
        if climb.alarm is not None and any(_over(climb.alarm, look, ground, c)):
            climb.alarm = None  # it has been higher in this life and gave it back
        return
    held = climb.suspicion
    if held is not None:
        held.looks += 1
    if not hits:
        if held is not None and look.age - held.last_age > c.forget_ratio * held.units:
            climb.suspicion = None
        return
    best = max(hits, key=lambda mark: mark.units)
    if held is None:
        held = climb.suspicion = Suspicion(look.age, best.units, best.now, best.slope, look.age, 1, 0)
    held.last_age, held.hits = look.age, held.hits + 1
    _confirm(climb, held, look, best, c, unit_s, headroom_bytes)


def _confirm(
    climb: Climb, held: Suspicion, look: Look, best: Mark, c: LeakCriteria, unit_s: float, headroom: float | None
) -> None:
    wait = min(c.confirm_hours, c.confirm_ratio * held.units)
    if best.units >= c.waive_hours and best.now - best.first >= c.waive_growth * best.first:
        wait = min(wait, c.waived_hours)
    fresh = look.age - held.age
    least = c.confirm_looks if look.age < c.young_hours else 0.0
    waited = Criterion("fresh data", fresh * unit_s, wait * unit_s, fresh >= wait - 1e-9, "s")
    seen = Criterion("looks that see it", held.hits / held.looks, least, held.hits >= least * held.looks, "ratio")
    climb.why += (waited, seen)
    left_units = headroom / best.slope * 3600 / unit_s if headroom is not None and best.slope > 0 else inf
    if left_units < wait - fresh:
        sooner = Criterion("memory lasts until confirmed", left_units * unit_s, (wait - fresh) * unit_s, False, "s")
        climb.why += (sooner,)
        _raise(climb, look, best, None, "exhaustion")
        return
    if not (waited.passed and seen.passed):
        return
    expected = held.slope * fresh * unit_s / 3600
    follow = (best.now - held.level) / expected if expected > 0 else 1.0
    followed = Criterion("fresh data follow the line", follow, c.confirm_follow, follow >= c.confirm_follow, "ratio")
    climb.why += (followed,)
    if followed.passed:
        _raise(climb, look, best, None, "fresh data")
    else:
        climb.suspicion = None  # the forecast was wrong: the next hit freezes a new one


def _raise(climb: Climb, look: Look, mark: Mark, past: Past | None, by: str) -> None:
    held = climb.suspicion
    since = past.since_age if past else look.age - mark.units - (look.age - held.age if held else 0.0)
    base = past.base if past else mark.first
    climb.alarm = Alarm(since, base, mark.slope, mark.half_width, mark.units, mark.seconds, look.end_ms, by)
    if past is not None:
        climb.alarm.onset_ms, climb.alarm.onset_level = past.onset_ms, past.onset_level
    climb.ended = ""


def _levels_off(length: float, ground: Ground, c: LeakCriteria, course: Callable[[float], tuple[float, ...]]) -> bool:
    """Return whether a climb of so many units turns out, by its thirds, to be a saturating one."""
    if not by_thirds(ground.longest_pause, length):
        return False
    parts = course(length)
    return bool(parts) and _rise(parts, 4, 8) < c.levelling_ratio * max(_rise(parts, 0, 4), 0.0)


def by_thirds(longest_pause: float, length: float) -> bool:
    """Return whether a climb of so many units is judged by its thirds: pauses make them uneven.

    By ever smaller quarters, as of climbs that pause for longer and longer, warm-ups of ten hours ended ten hours
    sooner, and six leaks of 480 were taken back with them.
    """
    return longest_pause < length / 6


def _rise(parts: Sequence[float], at: int, to: int) -> float:
    return sum(parts[to : to + 4]) / 4 - sum(parts[at : at + 4]) / 4


def over(
    alarm: Alarm, age: float, recent_top: float, record: float, record_age: float, longest_pause: float, c: LeakCriteria
) -> tuple[bool, bool]:
    """Return whether the memory was given back, and whether the growth has stopped."""
    gone = recent_top < alarm.base + c.gone_ratio * (record - alarm.base)
    length = record_age - alarm.since_age
    pause = min(longest_pause, length)  # flat time before the climb, however long, is no pause of it
    least = max(c.over_pause * pause, c.over_share * length, c.over_hours)
    return gone, age - record_age > least


def _over(alarm: Alarm, look: Look, ground: Ground, c: LeakCriteria) -> tuple[bool, bool]:
    return over(alarm, look.age, look.recent_top, ground.record, ground.record_age, ground.longest_pause, c)


def _end(
    climb: Climb, look: Look, ground: Ground, c: LeakCriteria, course: Callable[[float], tuple[float, ...]]
) -> None:
    """Take the alarm back when memory was given back, growth has stopped or the climb was a saturating one."""
    alarm = climb.alarm
    assert alarm is not None
    length = ground.record_age - alarm.since_age
    gone, stopped = _over(alarm, look, ground, c)
    if gone or stopped:
        climb.past = None
        if not gone:
            climb.past = Past(
                look.age, ground.record, length, alarm.since_age, alarm.base, alarm.slope, alarm.onset_ms,
                alarm.onset_level,
            )  # fmt: skip
        climb.ended = "the memory was given back" if gone else "the growth has stopped"
    elif _levels_off(length, ground, c, course):
        base = alarm.base + c.gone_ratio * (ground.record - alarm.base)
        climb.ended = "the memory was given back" if look.trough < base else "the growth levels off"
    else:
        return
    climb.alarm = climb.suspicion = None
