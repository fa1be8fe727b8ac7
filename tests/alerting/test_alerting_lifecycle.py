"""What becomes of an incident, look by look."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from leakwatch.alerting.lifecycle import Message
from leakwatch.model.incident import Acknowledgement, IncidentState, Resolution, Silence
from leakwatch.model.verdict import FindingKind, Verdict
from leakwatch.report.phrases import text
from tests.alerting.observations import (
    BASE,
    HOUR_MS,
    LEAK,
    LEARNING,
    MIB,
    MINUTE_MS,
    OK,
    PACE,
    START_MS,
    WATCH,
    Course,
)

FOUND, OVER, REOPENED, REMINDED = Message.FOUND, Message.OVER, Message.REOPENED, Message.REMINDED


def leaking(hours: float = 4, **options: object) -> Course:
    """A leak that has grown for some hours; it looked like one after the first."""
    return Course(**options).go(OK, 1).go(WATCH, suspected=True).go(LEAK, hours)  # type: ignore[arg-type]


# From suspicion to leak


def test_what_is_watched_without_a_frozen_forecast_is_no_incident() -> None:
    assert Course().go(WATCH, 48).incident is None
    assert Course().go(OK).go(LEARNING).go(None).incident is None


def test_a_suspicion_opens_and_nobody_is_told() -> None:
    course = Course().go(WATCH, 1, suspected=True)
    assert (course.state, course.kinds, course.told) == ("open", ["opened"], [])


def test_a_suspicion_that_is_not_borne_out_is_resolved_in_silence() -> None:
    course = Course().go(WATCH, 1, suspected=True).go(OK, 0.9)
    assert course.state == "open"
    course.go(OK, 0.3)
    assert (course.state, course.told) == ("resolved", [])
    assert course.incident is not None
    assert course.incident.resolution is Resolution.UNCONFIRMED
    # and one that comes back is the same one, opened again, not one that came back after having been a leak
    course.go(WATCH, suspected=True)
    assert (course.state, course.incident.reopened) == ("open", 0)
    course.go(LEAK)
    assert (course.state, course.told) == ("confirmed", [FOUND])
    assert course.kinds == ["opened", "resolved", "opened", "confirmed"]


def test_a_leak_is_told_once_however_long_it_lasts() -> None:
    course = leaking(100)
    assert (course.state, course.kinds, course.told) == ("confirmed", ["opened", "confirmed"], [FOUND])


def test_a_leak_at_first_sight_is_opened_and_confirmed_at_once() -> None:
    course = Course().go(LEAK)
    assert (course.state, course.kinds, course.told) == ("confirmed", ["opened", "confirmed"], [FOUND])


# Hysteresis


@pytest.mark.parametrize("pause", [WATCH, OK, LEARNING])
def test_a_verdict_that_flaps_is_one_incident_told_once(pause: Verdict) -> None:
    course = leaking()
    for _ in range(50):
        course.go(pause, 2).go(LEAK, 0.5)
    assert (course.state, course.told) == ("confirmed", [FOUND])
    assert course.kinds == ["opened", "confirmed"]


def test_it_is_over_when_it_was_no_leak_for_as_long_as_it_had_grown() -> None:
    # GIVEN a leak that grew for six hours
    course = leaking(5)
    assert course.incident is not None
    grew_ms = course.now_ms - START_MS
    # WHEN it is no leak for nearly as long, THEN it may be a pause
    course.go(WATCH, (grew_ms - 10 * MINUTE_MS) / HOUR_MS)
    assert course.state == "confirmed"
    # and after as long it is over
    course.go(WATCH, 0.5)
    assert (course.state, course.told) == ("resolved", [FOUND, OVER])
    assert course.incident is not None
    assert course.incident.resolution is Resolution.FLAT
    assert text(course.incident.reasons).startswith("no leak for 6 h")


def test_who_grew_for_weeks_need_not_be_watched_for_weeks() -> None:
    course = leaking(15 * 24)
    course.go(OK, 10 * 24 - 1)
    assert course.state == "confirmed"
    course.go(OK, 2)
    assert course.state == "resolved"


def test_memory_back_in_its_old_range_is_over_at_once() -> None:
    # GIVEN a leak that grew from 50 to 100 MiB
    course = leaking(24)
    # WHEN it gives back nearly all of it and learns anew
    course.go(LEARNING, 0.4, level=BASE + 5 * MIB)
    assert course.state == "confirmed"
    course.go(OK, 0.3, level=BASE + 5 * MIB)
    # THEN that is the end of it
    assert course.incident is not None
    assert (course.state, course.incident.resolution) == ("resolved", Resolution.BACK)
    # but not where it keeps half of it
    other = leaking(24).go(LEARNING, 0.4, level=BASE + 25 * MIB).go(OK, 3, level=BASE + 25 * MIB)
    assert other.state == "confirmed"


def test_the_old_range_is_where_it_began_not_where_the_window_does() -> None:
    # GIVEN a leak that has grown from 50 to 1050 MiB, of which the window shows the last 50
    course = leaking(2).go(LEAK, 48, level=1050 * MIB)
    # WHEN it gives back what it grew within the window
    course.go(OK, 2, level=1000 * MIB)
    assert course.state == "confirmed"
    course.go(OK, 2, level=60 * MIB)
    assert course.state == "resolved"


def test_while_a_new_forecast_waits_nothing_is_over() -> None:
    course = leaking(2).go(WATCH, 48, suspected=True)
    assert course.state == "confirmed"
    course.go(LEAK)
    assert course.told == [FOUND]


# Reopening


def test_what_leaks_again_soon_is_the_same_incident_and_told_again() -> None:
    course = leaking(4).go(OK, 6)
    assert course.state == "resolved"
    first = course.incident
    assert first is not None
    course.go(OK, 9 * 24)
    course.began_ms = course.now_ms
    course.go(WATCH, 2, suspected=True)
    assert course.state == "resolved"  # a suspicion does not reopen what was a leak
    course.go(LEAK, 3)
    again = course.incident
    assert again is not None
    assert (again.id, again.state, again.reopened) == (first.id, IncidentState.CONFIRMED, 1)
    assert course.told == [FOUND, OVER, REOPENED]
    assert course.kinds == ["opened", "confirmed", "resolved", "reopened"]
    # and it is resolved anew by what grew since
    course.go(OK, 6)
    assert (course.state, course.told[-1]) == ("resolved", OVER)


def test_what_leaks_again_much_later_is_another_incident() -> None:
    course = leaking(4).go(OK, 6)
    first = course.incident
    course.go(OK, 10 * 24).go(LEAK)
    assert first is not None
    assert course.incident is not None
    assert course.incident.id != first.id
    assert (course.incident.reopened, course.told) == (0, [FOUND, OVER, FOUND])


# Restarts of what leaks


def test_an_incident_lives_on_through_a_restart_and_says_so() -> None:
    # GIVEN a service that leaks
    course = leaking(8)
    # WHEN it is restarted, missing for a moment, and learns
    course.go(None, 0.2).restart(8).go(LEARNING, 0.5)
    # THEN the incident stays and says so
    assert course.incident is not None
    assert (course.state, course.incident.restarted_ms is not None) == ("confirmed", True)
    assert text(course.events[-1].reasons) == "restarted: pid 7, now 8; learning anew"
    # and when it leaks again that is the same one, told to nobody
    course.go(OK, 0.4).go(LEAK, 3)
    assert (course.told, course.incident.restarted_ms) == ([FOUND], None)
    assert course.kinds == ["opened", "confirmed", "restarted", "continued"]
    assert text(course.events[-1].reasons) == "leaks after its restart as well: +3.00 MiB/h"


def test_clean_after_a_restart_for_longer_than_it_took_to_show_is_over() -> None:
    # GIVEN a leak that took nine hours to show, and has leaked for days
    course = Course().go(OK, 9).go(LEAK, 3 * 24)
    course.restart(8).go(LEARNING, 0.5).go(OK, 8)
    assert course.state == "confirmed"
    course.go(OK, 1)
    assert course.incident is not None
    assert (course.state, course.incident.resolution) == ("resolved", Resolution.CLEAN)
    assert course.told == [FOUND, OVER]


def test_low_memory_after_a_restart_is_no_return_to_the_old_range() -> None:
    # GIVEN a leak that took four hours to show
    course = Course().go(OK, 4).go(LEAK, 24).restart(8).go(LEARNING, 0.5, level=BASE).go(OK, 3, level=BASE)
    assert course.state == "confirmed"


def test_a_restart_of_many_workers_shows_in_the_oldest() -> None:
    # Their finding need not name a process, so its pid does not change.
    course = leaking(24)
    course.life = "boot/99/990"
    course.go(LEARNING, 0.5, level=BASE)
    assert course.kinds[-1] == "restarted"


def test_another_worker_in_front_is_no_restart() -> None:
    course = leaking(24)
    course.pid = 8
    course.go(WATCH, 0.5)
    assert "restarted" not in course.kinds


def test_a_crash_loop_does_not_flood_the_history() -> None:
    course = leaking(4)
    for pid in range(100, 400):
        course.restart(pid).go(LEARNING)
    assert course.kinds == ["opened", "confirmed", "restarted"]
    assert course.state == "confirmed"


def test_clean_lives_add_up() -> None:
    # Restarted every night, it never lives for as long as the leak took to show.
    course = Course().go(OK, 48).go(LEAK, 24)
    for pid in (8, 9, 10):
        course.restart(pid).go(LEARNING, 0.5).go(OK, 23.5)
    assert course.state == "resolved"


@pytest.mark.parametrize(
    ("kind", "why"), [(FindingKind.SERVICE, Resolution.ENDED), (FindingKind.KERNEL, Resolution.GONE)]
)
def test_what_does_not_come_back_is_over(kind: FindingKind, why: Resolution) -> None:
    course = leaking(24, kind=kind).go(None, 0.9)
    assert course.state == "confirmed"
    course.go(None, 0.5)
    assert course.incident is not None
    assert (course.state, course.incident.resolution, course.told) == ("resolved", why, [FOUND, OVER])
    # and if it does, leaking, it is the same incident
    course.go(LEAK)
    assert course.told == [FOUND, OVER, REOPENED]


# Clocks, pauses, scales


def test_a_pause_of_the_daemon_is_no_time_in_which_nothing_leaked() -> None:
    course = leaking(12).go(WATCH, 1)
    course.set_clock(30 * 24 * HOUR_MS).go(WATCH, 1)
    assert course.state == "confirmed"


@pytest.mark.parametrize("days", [-400, -1, 400])
def test_a_clock_that_is_set_neither_resolves_nor_holds_up(days: int) -> None:
    course = leaking(12)
    course.set_clock(days * 24 * HOUR_MS).go(LEARNING, 0.4).go(WATCH, 2)
    assert (course.state, course.told) == ("confirmed", [FOUND])
    course.go(OK, 14)
    assert course.state == "resolved"


def test_windows_of_minutes_behave_the_same_in_minutes() -> None:
    def life(scale: float) -> Course:
        course = leaking(4, scale=scale).go(WATCH, 2).go(LEAK, 1).restart(8).go(LEARNING, 0.5).go(OK, 9)
        course.began_ms = course.now_ms
        return course.go(LEAK, 2).go(OK, 5)

    long, short = life(1.0), life(1 / 60)
    assert short.kinds == long.kinds
    assert short.kinds == ["opened", "confirmed", "restarted", "resolved", "reopened", "resolved"]
    assert short.told == long.told == [FOUND, OVER, REOPENED, OVER]
    assert [round((e.at_ms - START_MS) * 60) for e in short.events] == pytest.approx(
        [e.at_ms - START_MS for e in long.events], abs=HOUR_MS / 10
    )


# Acknowledged and silenced


def acknowledgement(course: Course) -> Acknowledgement:
    assert course.incident is not None
    return Acknowledgement(course.now_ms, "anna", "known", course.incident.reopened)


def silence(course: Course, hours: float) -> Silence:
    return Silence(course.now_ms, course.now_ms + round(hours * HOUR_MS), "anna")


def test_who_acknowledged_is_not_told_until_it_is_back_after_its_end() -> None:
    course = leaking(2)
    course.note(acknowledgement=acknowledgement(course)).go(WATCH, 1).go(LEAK, 1).restart(8).go(LEARNING).go(LEAK, 1)
    assert course.told == [FOUND]
    course.go(OK, 5)
    assert course.told == [FOUND, OVER]
    # WHEN it is back, THEN nobody has acknowledged that
    course.go(LEAK)
    assert course.told == [FOUND, OVER, REOPENED]


def test_a_suspicion_that_is_acknowledged_is_not_told_when_it_becomes_a_leak() -> None:
    course = Course().go(WATCH, suspected=True)
    course.note(acknowledgement=acknowledgement(course)).go(LEAK, 5)
    assert (course.state, course.told) == ("confirmed", [])


def test_at_the_end_of_its_silence_a_leak_is_told_again() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 3)).go(LEAK, 2.9)
    assert course.told == [FOUND]
    course.go(LEAK, 1)
    assert course.told == [FOUND, REMINDED]
    assert course.kinds[-1] == "expired"
    assert course.incident is not None
    assert course.incident.silence is None
    assert course.go(LEAK, 48).told == [FOUND, REMINDED]


def test_a_silence_shorter_than_the_time_between_two_looks_reminds_as_well() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 0.01)).go(LEAK)
    assert course.told == [FOUND, REMINDED]


def test_a_silence_that_ends_in_a_pause_reminds_when_it_leaks_again() -> None:
    course = leaking(24)
    course.note(silence=silence(course, 3)).go(LEAK, 2).go(WATCH, 2)
    assert course.told == [FOUND]
    assert course.go(LEAK).told == [FOUND, REMINDED]


def test_a_silence_taken_back_reminds_too() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 300)).go(LEAK).note(silence=None).go(LEAK, 1)
    assert course.told == [FOUND, REMINDED]


def test_what_was_silenced_before_it_was_a_leak_is_told_as_a_new_one_after() -> None:
    course = Course().go(WATCH, suspected=True)
    course.note(silence=silence(course, 2)).go(LEAK, 1)
    assert (course.state, course.told) == ("confirmed", [])
    assert course.go(LEAK, 2).told == [FOUND]


def test_a_silence_keeps_a_reopening_quiet_until_its_end() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 12)).go(OK, 5)
    assert course.state == "resolved"
    course.go(LEAK, 1)
    assert (course.state, course.told) == ("confirmed", [FOUND, OVER])
    assert course.go(LEAK, 12).told == [FOUND, OVER, REOPENED]


def test_acknowledged_and_silenced_nothing_is_told_at_the_end_of_the_silence() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 1), acknowledgement=acknowledgement(course)).go(LEAK, 5)
    assert course.told == [FOUND]
    assert course.kinds[-1] == "expired"


def test_a_silence_lasts_no_longer_than_asked_for_when_the_clock_is_set_back() -> None:
    course = leaking(2)
    course.note(silence=silence(course, 3)).set_clock(-365 * 24 * HOUR_MS).go(LEAK, 2.9)
    assert course.told == [FOUND]
    assert course.go(LEAK, 1).told == [FOUND, REMINDED]


def test_a_silence_is_over_at_its_end() -> None:
    one = Silence(1000, 5000, "anna")
    assert one.at(1000) == one.at(4999) == one
    assert one.at(5000) is None
    assert one.at(0) == Silence(0, 4000, "anna")


# Whatever comes


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_seen_the_history_tells_the_state(seed: int) -> None:
    rng = random.Random(seed)
    course, ids = Course(), set()
    for _ in range(150):
        if rng.random() < 0.1:
            course.restart(rng.randint(10, 99))
        if rng.random() < 0.02:
            course.set_clock(rng.randint(-40, 40) * 24 * HOUR_MS)
        if course.incident is not None and rng.random() < 0.05:
            course.note(silence=silence(course, rng.choice([0.5, 6])))
        verdict = rng.choice([LEAK, WATCH, OK, LEARNING, None])
        course.go(verdict, rng.choice([0, 1, 8]), suspected=rng.random() < 0.2, level=rng.choice([55, 100]) * MIB)
        if course.incident is not None:
            ids.add(course.incident.id)
    events = course.events
    by_id = {id_: [event for event in events if event.incident_id == id_] for id_ in ids}
    assert set(by_id) == {event.incident_id for event in events}
    assert course.incident is not None
    for id_, history in by_id.items():
        states = [e.kind for e in history if e.kind in ("opened", "confirmed", "resolved", "reopened")]
        assert states[0] == "opened"
        for one, other in itertools.pairwise(states):
            assert (one, other) in {
                ("opened", "confirmed"), ("opened", "resolved"), ("confirmed", "resolved"), ("resolved", "opened"),
                ("resolved", "reopened"), ("reopened", "resolved"),
            }  # fmt: skip
        assert id_ == course.incident.id or states[-1] == "resolved"
    # Nobody hears of an end without having heard of a beginning, nor twice of the same.
    for one, other in itertools.pairwise(course.told):
        assert (one is OVER) != (other is OVER) or other is REMINDED


def test_the_pace_is_bounded_by_the_windows() -> None:
    assert PACE.bounded(0) == PACE.shortest_ms
    assert PACE.bounded(7 * HOUR_MS) == 7 * HOUR_MS
    assert PACE.bounded(10**15) == PACE.longest_ms


def test_an_incident_s_acknowledgement_is_of_its_round_and_not_of_what_is_resolved() -> None:
    course = leaking(2)
    course.note(acknowledgement=acknowledgement(course))
    assert course.incident is not None
    assert course.incident.acknowledged is not None
    assert replace(course.incident, reopened=1).acknowledged is None
    assert replace(course.incident, state=IncidentState.RESOLVED).acknowledged is None


@pytest.mark.parametrize(
    ("leaked", "quiet", "pid", "over"),
    [
        ("process.uss_swap_bytes", "process.uss_swap_bytes", 7, True),
        ("process.uss_swap_bytes", "process.uss_swap_bytes", 8, False),
        ("process.uss_swap_bytes", "service.uss_swap_bytes", 8, True),
        ("service.uss_swap_bytes", "process.uss_swap_bytes", 7, False),
    ],
)
def test_one_worker_s_level_does_not_tell_that_all_are_back(leaked: str, quiet: str, pid: int, over: bool) -> None:
    course = Course().go(OK, 1)
    course.metric = leaked
    course.go(LEAK, 24)
    course.metric, course.pid = quiet, pid
    course.go(OK, 2, level=BASE)
    assert (course.state == "resolved") is over
