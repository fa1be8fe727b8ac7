"""What was irregular about the time of a scrape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.collectors.scrape import TickClock
from leakwatch.model.sample import Tick
from leakwatch.model.timeline import Moment

T0 = Moment(ts_ms=1_700_000_000_000, offset_ms=7_000, monotonic_ms=5_000_000, boottime_ms=9_000_000)


def after(awake_ms: int, *, slept_ms: int = 0, step_ms: int = 0) -> Moment:
    gone = awake_ms + slept_ms
    return Moment(T0.ts_ms + gone, T0.offset_ms + step_ms, T0.monotonic_ms + awake_ms, T0.boottime_ms + gone)


def second(moment: Moment, interval_s: float = 60.0) -> Tick:
    clock = TickClock(interval_s, "boot")
    assert clock.tick(T0) == Tick(T0.ts_ms, "boot")
    return clock.tick(moment)


@pytest.mark.parametrize(
    ("moment", "late_ms", "missed", "suspended_ms", "clock_step_ms"),
    [
        (after(60_000), 0, 0, 0, 0),
        (after(60_100), 0, 0, 0, 0),
        (after(60_101), 101, 0, 0, 0),
        (after(89_999), 29_999, 0, 0, 0),
        (after(90_000), 0, 1, 0, 0),
        (after(120_000), 0, 1, 0, 0),
        (after(610_000), 10_000, 9, 0, 0),
        (after(1), 0, 0, 0, 0),
        (after(60_000, slept_ms=50), 0, 0, 0, 0),
        (after(60_000, slept_ms=3_600_000), 0, 0, 3_600_000, 0),
        (after(60_000, step_ms=501), 0, 0, 0, 501),
        (after(60_000, step_ms=-3_600_000), 0, 0, 0, -3_600_000),
        (after(130_000, slept_ms=7_000, step_ms=9_000), 10_000, 1, 7_000, 9_000),
    ],
)
def test_a_tick_says_what_was_irregular(
    moment: Moment, late_ms: int, missed: int, suspended_ms: int, clock_step_ms: int
) -> None:
    assert second(moment) == Tick(moment.ts_ms, "boot", late_ms, missed, suspended_ms, clock_step_ms)


def test_each_tick_is_compared_with_the_one_before() -> None:
    clock = TickClock(1.0, "boot")
    clock.tick(T0)
    clock.tick(after(1000, step_ms=9000))
    assert clock.tick(after(2000, step_ms=9000)).clock_step_ms == 0


@given(st.integers(0, 10**7), st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.sampled_from([0.1, 1.0, 60.0]))
def test_the_parts_explain_the_time_that_went_by(awake: int, slept: int, step: int, interval_s: float) -> None:
    tick = second(after(awake, slept_ms=slept, step_ms=step), interval_s)
    assert tick.missed >= 0
    assert 0 <= tick.late_ms <= interval_s * 1000 / 2
    assert tick.suspended_ms in (0, slept)
    assert tick.clock_step_ms == step
    expected = awake - (tick.missed + 1) * interval_s * 1000
    assert abs(expected - tick.late_ms) <= max(100, interval_s * 1000)
