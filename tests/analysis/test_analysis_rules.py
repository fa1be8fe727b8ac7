"""Segments, shapes and the confirmation, each alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from analysis_shapes import BASE, MIB, MINUTES, START_MS
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.analysis import shape
from leakwatch.analysis.confirm import Look, Suspicion, confirm, from_json
from leakwatch.analysis.criteria import LeakCriteria
from leakwatch.analysis.segments import RESET_FLOOR_BYTES, is_clock_break, is_fall
from leakwatch.analysis.spans import plan_windows
from leakwatch.analysis.state import SeriesState
from leakwatch.model import Block, Verdict

CRITERIA = LeakCriteria()
T = np.arange(12) / 12
UP = np.arange(12.0)


# Segments


def test_a_clock_that_stands_or_goes_back_is_a_break() -> None:
    assert not is_clock_break(None, 1000)
    assert not is_clock_break((999, 1.0), 1000)
    assert is_clock_break((1000, 1.0), 1000)
    assert is_clock_break((1001, 1.0), 1000)


def test_a_fall_below_half_is_one_unless_it_is_small() -> None:
    high = 2.0 * RESET_FLOOR_BYTES
    assert not is_fall(None, 0.0)
    assert is_fall((0, high), high / 2 - 1)
    assert not is_fall((0, high), high / 2)
    assert not is_fall((0, RESET_FLOOR_BYTES - 1), 0.0)


def _state(values: list[float]) -> SeriesState:
    state = SeriesState(plan_windows(MINUTES, 1.0))
    for at, value in enumerate(values):
        state.feed(START_MS + at * 1000, value)
    return state


def test_a_fall_after_long_growth_begins_a_segment() -> None:
    state = _state([BASE] * 150 + [BASE / 4] * 10)
    assert state.segment_ms == START_MS + 150_000
    assert state._pyramid.ring(0).known == BASE


def test_falls_close_together_are_teeth_of_one_segment() -> None:
    # GIVEN falls to a quarter every 40 s under a shortest window of 60 s
    state = _state([BASE / 4 + at % 40 * MIB for at in range(400)])
    assert state.segment_ms == START_MS


def test_a_fall_of_a_sum_that_lost_a_part_is_not_remembered() -> None:
    state = _state([BASE] * 150)
    state.feed(START_MS + 150_000, BASE / 4, same_members=False)
    assert state._pyramid.ring(0).known == float("-inf")


def test_a_clock_set_back_begins_a_segment() -> None:
    state = _state([BASE] * 100)
    state.feed(START_MS + 40_000, BASE)
    assert state.segment_ms == START_MS + 40_000
    assert len(state._pyramid.ring(0)) == 0


def test_a_new_segment_forgets_the_old_forecast() -> None:
    state = _state([BASE + at * MIB for at in range(150)])
    assert state.assess(CRITERIA, START_MS + 150_000, None).verdict is Verdict.WATCH
    assert state.suspicion is not None
    state.feed(START_MS + 150_000, BASE / 4)
    assert state.suspicion is None


def test_teeth_are_known_as_such_after_a_restart() -> None:
    # GIVEN a saw whose newest fall is 10 s old, stored as blocks
    windows = plan_windows(MINUTES, 1.0)
    first = _state([BASE / 4 + at % 40 * MIB for at in range(130)])
    other = SeriesState(windows)
    ring = first._pyramid.ring(0)
    for start_ms, low, middle, n in zip(ring.starts, ring.lows, ring.medians, ring.counts, strict=True):
        other.restore(0, Block(start_ms, n, low, middle, low + 5 * MIB, low + 4 * MIB), first.segment_ms)
    # WHEN it goes on and falls again
    for at in range(130, 170):
        other.feed(START_MS + at * 1000, BASE / 4 + at % 40 * MIB)
    # THEN no segment is cut, as none would have been without the restart
    assert other.segment_ms == START_MS


# Shapes


def test_a_ramp() -> None:
    assert shape.late_ratio(T, UP) == pytest.approx(1)
    assert shape.step_share(UP) == (pytest.approx(1 / 11), 11)
    assert shape.saturation_gain(T, UP) < 0
    assert shape.new_ground(UP, -np.inf) == 1
    assert shape.retreat(UP) == pytest.approx(0.5 / 11)
    assert shape.onset(T, UP)[0] == 0


@pytest.mark.parametrize("blocks", range(6, 25))
def test_the_tail_of_a_ramp_rises_as_the_whole(blocks: int) -> None:
    assert shape.tail_ratio(3.0 * np.arange(blocks)) == pytest.approx(1)


def test_a_plateau_reached() -> None:
    y = 100 * (1 - np.exp(-T / 0.15))
    assert shape.late_ratio(T, y) < 0.2
    assert shape.tail_ratio(y) < 0.1
    assert shape.saturation_gain(T, y) > CRITERIA.min_saturation_gain


def test_a_step() -> None:
    y = np.where(UP > 5, 100.0, 0.0)
    assert shape.step_share(y) == (1.0, 1)
    assert shape.tail_ratio(y) == 0


def test_no_rise_at_all() -> None:
    flat = np.full(12, 7.0)
    assert shape.step_share(flat) == (1.0, 0)
    assert shape.tail_ratio(flat) == shape.late_ratio(T, flat) == shape.retreat(flat) == 0
    assert shape.new_ground(flat, 5.0) == 0
    assert shape.saturation_gain(np.zeros(12), flat) == 0


def test_the_tooth_of_a_saw() -> None:
    y = np.array([0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12.0])
    assert shape.envelope(y).tolist() == [0] * 9 + [4, 8, 12]
    assert shape.new_ground(np.arange(12.0), 9.0) < 0.5  # the rise lies below what was known
    assert shape.retreat(np.array([*range(10), 1.0, 0.0])) > CRITERIA.max_retreat


def test_an_older_half_that_stands_still_gives_a_number_json_can_carry() -> None:
    y = np.array([0.0] * 7 + [5, 10, 15, 20, 25])
    assert shape.late_ratio(T, y) == shape.STEEPER


def test_the_onset_after_flat_time_is_found() -> None:
    y = np.concatenate([np.full(8, 50.0), 50 + 10 * np.arange(1, 9)])
    at, level = shape.onset(np.arange(16) / 12, y)
    assert at in (7, 8)
    assert level == pytest.approx(50, abs=3)


@given(st.lists(st.integers(0, 2**40), min_size=6, max_size=24), st.sampled_from([2.0**10, 2.0**-6]))
def test_shapes_do_not_depend_on_the_unit(values: list[int], factor: float) -> None:
    y = np.array(values, dtype=float)
    t = np.arange(len(y)) / 12
    for function in (shape.tail_ratio, shape.retreat, shape.step_share, lambda z: shape.late_ratio(t, z)):
        assert function(y * factor) == pytest.approx(function(y), rel=1e-6, abs=1e-9)


@given(st.lists(st.integers(0, 2**40), min_size=6, max_size=24), st.integers(0, 2**40))
def test_shapes_are_shares_and_finite(values: list[int], known: int) -> None:
    y = np.array(values, dtype=float)
    t = np.arange(len(y)) / 12
    assert 0 <= shape.new_ground(y, known) <= 1
    assert 0 <= shape.retreat(y) <= 1
    assert 0 < shape.step_share(y)[0] <= 1
    assert np.isfinite([shape.tail_ratio(y), shape.late_ratio(t, y), shape.saturation_gain(t, y)]).all()
    at, level = shape.onset(t, y)
    assert 0 <= at < len(y)
    assert y.min() - 1 <= level <= y.max() + 1


# Confirmation

WINDOW_S = 100
LOOK = Look(START_MS, Verdict.LEAK, WINDOW_S, level=1000.0, slope_bytes_per_hour=3600.0)
"""A byte a second."""


def later(
    after_s: float, *, verdict: Verdict = Verdict.LEAK, level: float = 0.0, exhaustion_s: float | None = None
) -> Look:
    return replace(
        LOOK, now_ms=START_MS + round(after_s * 1000), verdict=verdict, level=level, exhaustion_s=exhaustion_s
    )


def suspected() -> Suspicion:
    verdict, suspicion, _ = confirm(LOOK, None, CRITERIA)
    assert verdict is Verdict.WATCH
    assert suspicion is not None
    return suspicion


def test_the_first_look_freezes_the_line() -> None:
    assert suspected() == Suspicion(WINDOW_S, START_MS, 1000.0, 3600.0, None, START_MS)


def test_looks_before_there_is_fresh_data_change_nothing() -> None:
    verdict, suspicion, (waited,) = confirm(later(29.9, level=2000), suspected(), CRITERIA)
    assert verdict is Verdict.WATCH
    assert suspicion == replace(suspected(), last_ms=START_MS + 29_900)
    assert (waited.measured, waited.threshold, waited.passed) == (29.9, 30.0, False)


def test_fresh_data_on_the_line_confirm() -> None:
    verdict, suspicion, evidence = confirm(later(30, level=1015), suspected(), CRITERIA)
    assert verdict is Verdict.LEAK
    assert suspicion is not None
    assert suspicion.confirmed_ms == START_MS + 30_000
    assert [c.passed for c in evidence] == [True, True]


def test_fresh_data_below_half_the_line_freeze_another() -> None:
    verdict, suspicion, (_, followed) = confirm(later(30, level=1014), suspected(), CRITERIA)
    assert verdict is Verdict.WATCH
    assert suspicion == Suspicion(WINDOW_S, START_MS + 30_000, 1014, 3600.0, None, START_MS + 30_000)
    assert not followed.passed


def test_a_leak_that_would_fill_memory_sooner_is_not_waited_for() -> None:
    verdict, suspicion, evidence = confirm(later(10, level=1010, exhaustion_s=19.0), suspected(), CRITERIA)
    assert verdict is Verdict.LEAK
    assert suspicion is not None
    assert suspicion.confirmed_ms is not None
    assert evidence[-1].criterion == "memory lasts until confirmed"
    verdict, _, _ = confirm(later(10, level=1010, exhaustion_s=21.0), suspected(), CRITERIA)
    assert verdict is Verdict.WATCH


def test_a_confirmed_leak_outlasts_a_short_pause_but_not_a_long_one() -> None:
    _, confirmed, _ = confirm(later(30, level=1030), suspected(), CRITERIA)
    assert confirm(later(60, verdict=Verdict.WATCH), confirmed, CRITERIA)[0] is Verdict.LEAK
    assert confirm(later(61, verdict=Verdict.WATCH), confirmed, CRITERIA)[:2] == (Verdict.WATCH, None)


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.LEARNING])
def test_nothing_survives_the_end_of_growth(verdict: Verdict) -> None:
    _, confirmed, _ = confirm(later(30, level=1030), suspected(), CRITERIA)
    assert confirm(later(31, verdict=verdict), confirmed, CRITERIA) == (verdict, None, ())


def test_an_unconfirmed_suspicion_outlasts_a_short_pause() -> None:
    suspicion = suspected()
    assert confirm(later(20, verdict=Verdict.WATCH), suspicion, CRITERIA)[:2] == (Verdict.WATCH, suspicion)


def test_a_falling_forecast_is_never_followed() -> None:
    _, falling, _ = confirm(replace(LOOK, slope_bytes_per_hour=-1.0), None, CRITERIA)
    assert confirm(later(30, level=0), falling, CRITERIA)[0] is Verdict.WATCH


def test_a_suspicion_is_stored_and_read_back() -> None:
    for suspicion in (suspected(), replace(suspected(), confirmed_ms=START_MS + 5)):
        assert from_json(suspicion.to_json()) == suspicion
