"""Segments, the onset, the ground a level has covered and the climb over time, each alone."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.series.blocks import COARSE, FINE, RESET_FLOOR_BYTES, is_fall
from leakwatch.analysis.time_plan import plan_of
from leakwatch.analysis.tracking.alarm_state import (
    AlarmState,
    Checkpoint,
    LevelHistory,
    follow,
    from_values,
    to_values,
    worth_judging,
)
from leakwatch.analysis.tracking.alarm_transitions import step
from leakwatch.analysis.tracking.past_runs import NO_LIVES, PastRuns, RunSummary, summarise
from leakwatch.analysis.window_request import WindowHit
from leakwatch.analysis.windows.robust import course_of, noise_of, onset
from leakwatch.model.verdict import Verdict
from tests.analysis.shapes import BASE, CRITERIA, HOUR, MIB, MINUTES, START_MS, settle

PLAN = plan_of(MINUTES, 1.0)

# Segments


def test_a_fall_below_half_is_one_unless_it_is_small() -> None:
    high = 2.0 * RESET_FLOOR_BYTES
    assert not is_fall(None, 0.0)
    assert is_fall((0, high), high / 2 - 1)
    assert not is_fall((0, high), high / 2)
    assert not is_fall((0, RESET_FLOOR_BYTES - 1), 0.0)


def _state(values: list[float]) -> SeriesState:
    state = SeriesState(PLAN, CRITERIA)
    for at, value in enumerate(values):
        state.feed(START_MS + at * 1000, value)
    return state


def test_a_fall_of_one_series_is_a_part_of_its_shape() -> None:
    assert _state([BASE] * 150 + [BASE / 4] * 10).segment_ms == START_MS


def test_a_fall_of_a_sum_that_lost_a_part_begins_a_segment_and_is_not_remembered() -> None:
    state = _state([BASE] * 150)
    state.feed(START_MS + 150_000, BASE / 4, same_members=False)
    assert state.segment_ms == START_MS + 150_000
    assert state._trail.top_before == -inf


def test_falls_of_a_sum_close_together_are_teeth_of_one_segment() -> None:
    # GIVEN a pool that loses parts twice within two units of 12 s
    state = _state([BASE] * 150)
    state.feed(START_MS + 150_000, BASE / 4, same_members=False)
    state.feed(START_MS + 151_000, BASE, same_members=False)
    state.feed(START_MS + 170_000, BASE / 4, same_members=False)
    assert state.segment_ms == START_MS + 150_000
    # THEN one after these two units is another beginning
    state.feed(START_MS + 171_000, BASE, same_members=False)
    state.feed(START_MS + 195_000, BASE / 4, same_members=False)
    assert state.segment_ms == START_MS + 195_000


@pytest.mark.parametrize("back_ms", [0, 1, 12_000, 10**9])
def test_what_is_measured_twice_is_left_out_once(back_ms: int) -> None:
    state = _state([BASE] * 100)
    held = list(state._trail.fine.lows)
    state.feed(START_MS + 99_000 - back_ms, 0.0)
    assert state.segment_ms == START_MS
    assert list(state._trail.fine.lows) == held
    assert state.previous == (START_MS + 99_000, BASE)


def test_a_gap_longer_than_all_that_is_held_begins_a_segment() -> None:
    longest_ms = PLAN.coarse_kept * PLAN.coarse_s * 1000
    for gap_ms, begins in ((longest_ms, False), (longest_ms + 1, True)):
        state = _state([BASE] * 100)
        state.feed(START_MS + 99_000 + gap_ms, BASE)
        assert (state.segment_ms != START_MS) is begins


def test_a_new_segment_forgets_the_old_forecast() -> None:
    state = _state([BASE + at * MIB for at in range(68)])
    assert settle(state).verdict is Verdict.WATCH
    assert state.is_suspected
    state.end_segment(START_MS + 68_000, remember=True)
    assert not state.is_suspected
    assert state.questions() == []


def test_a_new_segment_is_learnt_anew_at_once() -> None:
    state = _state([BASE + at * MIB for at in range(100)])
    assert settle(state).verdict is Verdict.LEAK
    state.feed(START_MS + 100_000 + PLAN.coarse_kept * PLAN.coarse_s * 1000, BASE)
    assert settle(state).verdict is Verdict.LEARNING


@pytest.mark.parametrize("stop", range(600, 640, 7))
@pytest.mark.parametrize("evaluated", [0, 20], ids=["at once", "a while before"])
def test_a_series_taken_up_again_from_its_blocks_says_what_it_would_have_said(stop: int, evaluated: int) -> None:
    # GIVEN growth under a saw, sampled every minute, with what was sealed and what was said in the end
    plan = plan_of((HOUR, 16 * HOUR), 60.0)
    values = [BASE + at % 40 * MIB / 8 + at * MIB / 2 for at in range(800)]
    straight, sealed = SeriesState(plan, CRITERIA), []
    for at in range(stop):
        sealed += straight.feed(START_MS + at * 60_000, values[at])
        if at == stop - 1 - evaluated:
            settle(straight)
            payload = straight.to_json()
    # WHEN another takes the blocks and what was stored
    other = SeriesState(plan, CRITERIA)
    for level in (COARSE, FINE):
        for of, block in sealed:
            if of == level:
                other.restore(level, block, START_MS)
    other.recollect(payload)
    # THEN both say the same from then on
    first = len([block for of, block in sealed if of == FINE]) * 5
    for at in range(first, stop):
        other.feed(START_MS + at * 60_000, values[at])
    for at in range(stop, 800):
        straight.feed(START_MS + at * 60_000, values[at])
        other.feed(START_MS + at * 60_000, values[at])
        theirs, ours = settle(straight), settle(other)
        assert straight.history == other.history, at
        assert (ours.verdict, straight.alarm_state.alarm) == (theirs.verdict, other.alarm_state.alarm), at
    assert straight.alarm_state.alarm is not None


def test_what_an_earlier_detector_stored_is_left_out() -> None:
    state = _state([BASE] * 100)
    state.recollect('{"window_s": 60, "since_ms": 5}')
    assert settle(state).verdict is Verdict.OK


# The onset


def test_the_onset_after_flat_time_is_found() -> None:
    y = np.concatenate([np.full(8, 50.0), 50 + 10 * np.arange(1, 9)])
    at, level = onset((np.arange(16) / 12).tolist(), y.tolist())
    assert at in (7, 8)
    assert level == pytest.approx(50, abs=3)
    assert onset((np.arange(12) / 12).tolist(), np.arange(12.0).tolist()) == (0, pytest.approx(0.0, abs=1e-9))


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=72))
def test_an_onset_lies_inside_what_was_seen(values: list[int]) -> None:
    at, level = onset([number / 12 for number in range(len(values))], [float(value) for value in values])
    assert 0 <= at < len(values)
    assert min(values) <= level <= max(values)


# The ground


def checkpoint(age: float, trough: float, *, top: float | None = None, noise: float = 0.0) -> Checkpoint:
    return Checkpoint(round(START_MS + age * HOUR * 1000), age, trough, trough if top is None else top, noise)


def history_of(*troughs: float, noise: float = 0.0) -> LevelHistory:
    """Follow troughs a unit apart."""
    history = LevelHistory()
    for age, trough in enumerate(troughs):
        history = follow(history, checkpoint(age, trough, noise=noise))
    return history


def test_a_record_is_a_level_never_reached_before_by_more_than_noise() -> None:
    assert history_of(100, 200, 150).record == 200
    assert history_of(100, 200, 201).record == 200, "two percent of the rise is no new record"
    assert history_of(100, 200, 203).record == 203
    assert history_of(100, 200, 203, noise=5).record == 200


def test_the_longest_pause_is_that_between_two_records() -> None:
    history = history_of(100, 200, 200, 200, 200, 300, 300)
    assert (history.longest_pause, history.record_age) == (4, 5)


def test_a_release_is_a_fall_by_two_fifths_of_what_was_gained_and_counts_once() -> None:
    falling = history_of(100, 200, 159, 150)
    assert (falling.falls, falling.falling, falling.peak, falling.depth) == (1, True, 200, 50)
    assert history_of(100, 200, 161).falls == 0
    assert not history_of(100, 200, 150, 190).falling
    assert history_of(100, 200, 150, 190, 110).falls == 2


def test_a_look_without_data_changes_no_ground() -> None:
    history = history_of(100, 200)
    assert follow(history, checkpoint(9, nan, noise=nan)) == history


def test_only_what_is_near_its_record_and_moved_by_enough_is_worth_a_closer_look() -> None:
    def worth(trough: float, *before: float) -> bool:
        return worth_judging(history_of(*before), checkpoint(9, trough), NO_LIVES, CRITERIA)

    assert worth(52 * MIB, 50 * MIB, 52 * MIB)
    assert not worth(50.4 * MIB, 50 * MIB, 50.4 * MIB), "it has moved by less than half a MiB"
    assert not worth(51 * MIB, 50 * MIB, 52 * MIB), "it is half way down"
    assert not worth(nan, 50 * MIB, 52 * MIB)


# The alarm_state

MARK = WindowHit(12.0, 12 * HOUR, True, True, True, False, True, 10.0 * MIB, 0.0, 100.0 * MIB, 220.0 * MIB)
"""A window of twelve hours that hits: ten MiB an hour, from 100 to 220 MiB."""


ONSET = (START_MS, 100.0 * MIB)
"""When the climb began and the level there."""


def hit_at(age: float) -> WindowHit:
    return MARK._replace(first=MARK.first + (age - 12) * MARK.slope, now=MARK.now + (age - 12) * MARK.slope)


def large(age: float) -> WindowHit:
    """Return the same climb on top of a level it is small beside."""
    return hit_at(age)._replace(first=hit_at(age).first + 1000 * MIB, now=hit_at(age).now + 1000 * MIB)


def climbed(
    alarm_state: AlarmState,
    age: float,
    marks: list[WindowHit] | None = None,
    *,
    trough: float | None = None,
    history: LevelHistory | None = None,
    headroom: float | None = None,
    past_runs: PastRuns = NO_LIVES,
    course: tuple[float, ...] = (),
) -> AlarmState:
    """Take one look of the straight climb of ten MiB an hour from 100 MiB on, or of what is said otherwise."""
    level = 100 * MIB + age * 10 * MIB if trough is None else trough
    history = history or LevelHistory(record=level, lowest=100 * MIB, record_age=age)
    step(
        alarm_state, checkpoint(age, level), history, [hit_at(age)] if marks is None else marks, past_runs, CRITERIA,
        rule_hour_s=HOUR, course=lambda _: course, onset=lambda _: ONSET, headroom_bytes=headroom,
    )  # fmt: skip
    return alarm_state


def alarmed() -> AlarmState:
    alarm_state = climbed(AlarmState(), 12)
    for age in (13, 14, 15):
        climbed(alarm_state, age)
    assert alarm_state.alarm is not None
    return alarm_state


def test_the_first_hit_freezes_a_forecast_and_is_no_alarm() -> None:
    alarm_state = climbed(AlarmState(), 12)
    assert alarm_state.alarm is None
    assert alarm_state.suspicion is not None
    assert (alarm_state.suspicion.age, alarm_state.suspicion.level, alarm_state.suspicion.slope) == (
        12,
        MARK.now,
        MARK.slope,
    )


def test_fresh_data_on_the_line_confirm_after_a_quarter_of_the_window() -> None:
    # GIVEN growth by less than half of the level, which does not cut the waiting short
    alarm_state = climbed(climbed(AlarmState(), 12, [large(12)]), 14.9, [large(14.9)])
    assert alarm_state.alarm is None
    climbed(alarm_state, 15, [large(15)])
    assert alarm_state.alarm is not None
    assert (alarm_state.alarm.by, alarm_state.alarm.since_age, alarm_state.alarm.base) == (
        "fresh_data",
        0,
        large(15).first,
    )


def test_growth_by_half_of_the_level_waits_for_half_an_hour() -> None:
    alarm_state = climbed(climbed(AlarmState(), 12), 12.4)
    assert alarm_state.alarm is None
    assert climbed(alarm_state, 12.5).alarm is not None


def test_fresh_data_below_two_fifths_of_the_line_drop_the_forecast() -> None:
    alarm_state = climbed(AlarmState(), 12)
    climbed(alarm_state, 15, [MARK._replace(now=MARK.now + 0.39 * 3 * MARK.slope)])
    assert (alarm_state.alarm, alarm_state.suspicion) == (None, None)
    alarm_state = climbed(AlarmState(), 12)
    climbed(alarm_state, 15, [MARK._replace(now=MARK.now + 0.41 * 3 * MARK.slope)])
    assert alarm_state.alarm is not None


def test_a_suspicion_that_is_not_seen_again_is_dropped() -> None:
    alarm_state = climbed(climbed(AlarmState(), 12), 18, [])
    assert alarm_state.suspicion is not None
    climbed(alarm_state, 18.1, [])
    assert alarm_state.suspicion is None


def test_a_leak_that_would_fill_memory_sooner_is_not_waited_for() -> None:
    assert climbed(AlarmState(), 12, [large(12)], headroom=31 * MIB).alarm is None
    alarm_state = climbed(AlarmState(), 12, [large(12)], headroom=29 * MIB)
    assert alarm_state.alarm is not None
    assert alarm_state.alarm.by == "exhaustion"
    assert alarm_state.why[-1].criterion == "outlasts_confirmation"


def test_a_longer_window_that_levels_off_takes_a_shorter_one_s_word_back() -> None:
    for hours, taken_back in ((12.0, False), (24.0, True), (48.0, True), (49.0, False)):
        veto = MARK._replace(rule_hours=hours, hit=False, veto=True)
        alarm_state = climbed(AlarmState(), 12, [MARK, veto])
        assert (alarm_state.suspicion is None) is taken_back, hours


def test_a_level_below_its_record_or_its_last_peak_is_no_suspicion() -> None:
    low = LevelHistory(record=400 * MIB, lowest=100 * MIB, record_age=12)
    alarm_state = climbed(AlarmState(), 12, history=low)
    assert alarm_state.suspicion is None
    assert [c.criterion for c in alarm_state.why if not c.passed] == ["near_highest_level"]
    released = LevelHistory(record=220 * MIB, lowest=100 * MIB, record_age=12, falls=1, peak=219 * MIB, depth=50 * MIB)
    alarm_state = climbed(AlarmState(), 12, history=released)
    assert alarm_state.suspicion is None
    assert [c.criterion for c in alarm_state.why if not c.passed] == ["beyond_last_release"]
    assert climbed(AlarmState(), 12, history=released._replace(falls=3)).suspicion is not None, "a saw's troughs tell"


def test_a_pause_longer_than_any_before_is_no_suspicion() -> None:
    paused = LevelHistory(record=220 * MIB, lowest=100 * MIB, record_age=10.5)
    assert climbed(AlarmState(), 12, history=paused).suspicion is None
    assert climbed(AlarmState(), 12, history=paused._replace(longest_pause=2)).suspicion is not None


def test_an_alarm_ends_when_the_memory_is_given_back() -> None:
    alarm_state = climbed(alarmed(), 16, [], trough=110 * MIB, history=LevelHistory(250 * MIB, 100 * MIB, 15.0))
    assert (alarm_state.alarm, alarm_state.past) == (None, None)
    assert alarm_state.ended == "memory_given_back"


def test_an_alarm_ends_when_growth_has_stopped_and_reopens_when_it_goes_on() -> None:
    held = LevelHistory(250 * MIB, 100 * MIB, 15.0)
    alarm_state = climbed(alarmed(), 18.7, [], trough=250 * MIB, history=held)
    assert alarm_state.alarm is not None, "a quarter of fifteen hours has not passed"
    climbed(alarm_state, 18.8, [], trough=250 * MIB, history=held)
    assert alarm_state.alarm is None
    assert alarm_state.ended == "growth_stopped"
    assert alarm_state.past is not None
    # WHEN growth goes on, on ground never reached before
    going_on = MARK._replace(rule_hours=3.0, hit=False)
    climbed(alarm_state, 25, [going_on], trough=259 * MIB)
    assert alarm_state.alarm is not None
    assert (alarm_state.alarm.by, alarm_state.alarm.since_age) == ("reopened", 0)


def test_an_alarm_ends_when_the_climb_levels_off() -> None:
    straight, level = tuple(map(float, range(12))), (*map(float, range(8)), 6.0, 6.0, 6.0, 6.0)
    assert climbed(alarmed(), 16, course=straight).alarm is not None
    alarm_state = climbed(alarmed(), 16, course=level)
    assert alarm_state.alarm is None
    assert alarm_state.ended == "growth_levels_off"


def test_thirds_of_a_climb_that_has_paused_prove_nothing() -> None:
    paused = LevelHistory(250 * MIB, 100 * MIB, 16.0, longest_pause=5.0)
    assert climbed(alarmed(), 16, course=LEVEL, history=paused).alarm is not None


LEVEL = (*map(float, range(8)), 6.0, 6.0, 6.0, 6.0)


def test_a_restart_is_no_levelling_off() -> None:
    # The newest third of a alarm_state is low at once, while the highest block of two hours still is of before.
    fallen = Checkpoint(round(START_MS + 16 * HOUR * 1000), 16.0, 60.0 * MIB, 250.0 * MIB, 0.0)
    alarm_state = alarmed()
    step(
        alarm_state, fallen, LevelHistory(250 * MIB, 60 * MIB, 15.0), [], NO_LIVES, CRITERIA,
        rule_hour_s=HOUR, course=lambda *_: LEVEL, onset=lambda _: ONSET,
    )  # fmt: skip
    assert alarm_state.ended == "memory_given_back"


def test_an_alarm_takes_the_slope_of_the_longest_window_that_hits() -> None:
    longer = hit_at(16)._replace(rule_hours=16.0, slope=11.0 * MIB)
    alarm_state = climbed(alarmed(), 16, [hit_at(16), longer])
    assert alarm_state.alarm is not None
    assert (alarm_state.alarm.slope, alarm_state.alarm.rule_hours) == (11 * MIB, 16)


def test_a_climb_is_stored_and_read_back() -> None:
    stopped = climbed(alarmed(), 30, [], trough=250 * MIB, history=LevelHistory(250 * MIB, 100 * MIB, 15.0))
    for alarm_state in (AlarmState(), climbed(AlarmState(), 12), alarmed(), stopped):
        again = from_values(json.loads(json.dumps(to_values(alarm_state))))
        assert again == replace(alarm_state, why=())


def test_what_is_stored_has_the_keys_that_earlier_versions_wrote() -> None:
    suspect, alarm = to_values(climbed(AlarmState(), 12))["suspicion"], to_values(alarmed())["alarm"]
    assert list(suspect) == ["age", "units", "level", "slope", "last_age", "looks", "hits"]
    assert list(alarm) == [
        "since_age", "base", "slope", "half_width", "units", "seconds", "started_ms", "by", "onset_ms", "onset_level",
    ]  # fmt: skip
    older = {name: value for name, value in alarm.items() if not name.startswith("onset")}
    again = from_values({"suspicion": suspect, "alarm": older, "past": None, "growing": True, "ended": ""})
    assert again.suspicion is not None
    assert again.alarm is not None
    assert again.suspicion.checkpoints == suspect["looks"]
    assert (again.suspicion.rule_hours, again.alarm.rule_hours) == (suspect["units"], alarm["units"])
    assert again.alarm.onset_ms is None


def test_a_course_is_twelve_medians_up_to_its_end_and_nothing_where_some_are_not_held() -> None:
    ramp = np.arange(120.0).tolist()
    assert course_of(ramp, 120, 120) == tuple(np.arange(4.5, 120, 10))
    assert course_of(ramp, 60, 60) == tuple(np.arange(2.0, 60, 5)), "what comes after the end is not looked at"
    assert course_of(ramp, 120, 132) == (), "a climb older than what is held"
    assert course_of([*ramp[:100], *[nan] * 10, *ramp[110:]], 120, 120) == ()


def test_noise_is_that_of_differences_and_needs_two_whole_units() -> None:
    plan = plan_of((HOUR, 16 * HOUR), 60.0)
    ramp = list(1000.0 * np.arange(24))
    assert noise_of(ramp, plan) == 0
    assert np.isnan(noise_of(ramp[1:], plan))
    assert np.isnan(noise_of([*ramp[:-2], nan, nan], plan))
    rng = np.random.default_rng(5)
    measured = [noise_of(list(rng.normal(0, 100.0, 24)), plan) for _ in range(300)]
    # The lower of two has 0.83 of the deviation of one.
    assert np.median(measured) == pytest.approx(83, rel=0.15)


# Past past_runs


def life(
    ended: float, *, grew: bool, level: float = 200.0 * MIB, slope: float = 10.0 * MIB, age: float = 8.0
) -> RunSummary:
    return RunSummary("x", round(START_MS + ended * HOUR * 1000), age, grew, slope, level, 0.0 if grew else 2.0)


def test_lives_that_settled_hold_back_what_is_below_and_younger() -> None:
    known = PastRuns((life(1, grew=False, level=300.0 * MIB),))
    alarm_state = climbed(AlarmState(), 12, past_runs=known)
    assert alarm_state.suspicion is None
    assert [c.criterion for c in alarm_state.why if not c.passed] == ["above_past_plateau"]
    assert climbed(AlarmState(), 25, past_runs=known).suspicion is not None


def test_a_life_counts_from_its_end_on() -> None:
    known = PastRuns((life(20, grew=False, level=900.0 * MIB),))
    assert climbed(AlarmState(), 12, past_runs=known).suspicion is not None
    assert climbed(AlarmState(), 21, past_runs=known).suspicion is None


def test_lives_that_grew_at_this_slope_need_no_fresh_data() -> None:
    mark = MARK._replace(rule_hours=2.0, hit=False)
    one, two, three = (life(at, grew=True, age=2) for at in (1, 2, 3))
    assert climbed(AlarmState(), 12, [mark], past_runs=PastRuns((one, two))).alarm is None, (
        "two short lives are no habit"
    )
    longer = PastRuns((replace(one, age_hours=3.5), replace(two, age_hours=3.5)))
    assert climbed(AlarmState(), 12, [mark], past_runs=longer).alarm is not None, (
        "two in which a window could be judged are"
    )
    alarm_state = climbed(AlarmState(), 12, [mark], past_runs=PastRuns((one, two, three)))
    assert alarm_state.alarm is not None
    assert alarm_state.alarm.by == "past_lives"
    assert climbed(AlarmState(), 12, [mark], past_runs=PastRuns((replace(one, age_hours=6),))).alarm is not None
    other = PastRuns(tuple(replace(each, slope=100.0 * MIB) for each in (one, two, three)))
    assert climbed(AlarmState(), 12, [mark], past_runs=other).alarm is None


def _summary(lows: np.ndarray) -> RunSummary | None:
    return summarise("x", lows.tolist(), 7, 300, 3600.0, CRITERIA)


def test_a_life_is_summarised_by_how_it_went() -> None:
    t = np.arange(96.0)  # eight hours
    grown = _summary(100 * MIB + t * MIB)
    assert grown is not None
    assert (grown.grew, grown.age_hours) == (True, 8)
    assert grown.slope == pytest.approx(12 * MIB, rel=0.01)
    settled = _summary(100 * MIB * (1 - np.exp(-t / 6)))
    assert settled is not None
    assert not settled.grew
    assert settled.level == pytest.approx(100 * MIB, rel=0.01)
    assert settled.settled_hours == pytest.approx(1.5, abs=0.1)
    assert _summary(100 * MIB + t[:11] * MIB) is None, "too short to teach"
    assert _summary(100 * MIB * (1 - np.exp(-t / 30))) is None, "bent for all of its life: neither straight nor settled"
    assert _summary(np.where(t < 80, 100.0 * MIB, 150.0 * MIB)) is None, "neither straight nor settled"


def test_climbing_is_pure() -> None:
    # The same checkpoints give the same alarm_state, whatever was asked before.
    one, other = alarmed(), alarmed()
    assert to_values(one) == to_values(other)
    assert to_values(climbed(one, 16)) == to_values(climbed(other, 16))
