"""The timeline never steps; how it is shown does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.clock import Instant
from leakwatch.model.incident import Silence
from leakwatch.model.timeline import LEAST_MS, STEP_TOLERANCE_MS, Stamps, Timeline

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


@dataclass
class Manual:
    """A machine's clocks, moved by hand."""

    wall_ms: int = NOW_MS
    monotonic_ms: int = 60_000
    boottime_ms: int = 60_000

    def now(self) -> Instant:
        return Instant(self.wall_ms, self.monotonic_ms, self.boottime_ms)

    def go(self, ms: int, *, step_ms: int = 0, asleep: bool = False) -> Manual:
        self.wall_ms += ms + step_ms
        self.boottime_ms += ms
        self.monotonic_ms += 0 if asleep else ms
        return self

    def reboot(self, wall_ms: int) -> Manual:
        self.wall_ms, self.monotonic_ms, self.boottime_ms = wall_ms, 5_000, 5_000
        return self


def timeline(clock: Manual, before: Timeline | None = None, last_ms: int | None = None, boot: str = "a") -> Timeline:
    stored = None if before is None else json.loads(json.dumps(before.to_json()))
    return Timeline(clock, boot, stored, last_ms, 60.0)


@pytest.mark.parametrize("step_ms", [600, -600, HOUR_MS, -HOUR_MS, 24 * HOUR_MS, 26 * YEAR_MS, -26 * YEAR_MS])
def test_a_step_moves_what_is_shown_and_not_the_timeline(step_ms: int) -> None:
    clock = Manual()
    line = timeline(clock)
    began = line.now()
    assert (began.ts_ms, began.offset_ms) == (NOW_MS, 0)
    clock.go(60_000, step_ms=step_ms)
    after = line.now()
    assert after.ts_ms == began.ts_ms + 60_000
    assert after.offset_ms == step_ms
    assert line.stamps.wall(after.ts_ms) == clock.wall_ms
    assert line.stamps.wall(began.ts_ms) == clock.wall_ms - 60_000  # the first minute is the one before the setting


def test_what_ntp_slews_is_no_step_and_many_small_ones_are_one() -> None:
    clock = Manual()
    line = timeline(clock)
    for _ in range(5):
        assert line.now().offset_ms == 0
        clock.go(60_000, step_ms=STEP_TOLERANCE_MS // 5)
    assert line.now().offset_ms == 0
    clock.go(60_000, step_ms=1)
    assert line.now().offset_ms == 501


def test_sleep_is_time_that_passes() -> None:
    clock = Manual()
    line = timeline(clock)
    clock.go(8 * HOUR_MS, asleep=True)
    assert line.now().ts_ms == NOW_MS + 8 * HOUR_MS
    assert line.now().offset_ms == 0


def test_a_restart_goes_on_by_the_time_since_boot_whatever_was_done_to_the_clock_meanwhile() -> None:
    clock = Manual()
    line = timeline(clock)
    last = line.now()
    clock.go(10_000, step_ms=-YEAR_MS)
    again = timeline(clock, line, last.ts_ms)
    assert again.now().ts_ms == last.ts_ms + 10_000
    assert again.stamps.wall(last.ts_ms) == clock.wall_ms - 10_000


def test_another_boot_goes_on_by_the_time_of_day() -> None:
    clock = Manual()
    line = timeline(clock)
    last = line.now()
    again = timeline(clock.reboot(NOW_MS + HOUR_MS), line, last.ts_ms, boot="b")
    assert again.now().ts_ms == NOW_MS + HOUR_MS
    assert again.stamps.is_plain()


def test_a_board_without_a_clock_shows_each_boot_where_it_was_once_it_is_set() -> None:
    # GIVEN a day watched, and a boot in 1970 after two hours without power
    clock = Manual()
    line = timeline(clock)
    clock.go(24 * HOUR_MS)
    last = line.now()
    again = timeline(clock.reboot(5_000), line, last.ts_ms, boot="b")
    first = again.now()
    # THEN it goes on right after the last sample, and shows all of it before the present
    assert first.ts_ms == last.ts_ms + 60_000
    assert again.stamps.wall(first.ts_ms) == clock.wall_ms
    assert again.stamps.wall(last.ts_ms) <= clock.wall_ms
    # WHEN the clock is set a minute later
    clock.go(60_000, step_ms=NOW_MS + 26 * HOUR_MS - 5_000)
    again.now()
    # THEN this boot is shown where it was, and so is the day before
    assert again.stamps.wall(first.ts_ms) == NOW_MS + 26 * HOUR_MS
    assert again.stamps.wall(last.ts_ms) == NOW_MS + 24 * HOUR_MS
    assert again.stamps.timeline(NOW_MS + 25 * HOUR_MS) in (last.ts_ms, first.ts_ms)


def test_a_boot_with_the_clock_ahead_takes_nothing_along_once_it_is_corrected() -> None:
    clock = Manual()
    line = timeline(clock)
    last = line.now()
    again = timeline(clock.reboot(NOW_MS + 26 * YEAR_MS), line, last.ts_ms, boot="b")
    again.now()
    clock.go(60_000, step_ms=HOUR_MS - 26 * YEAR_MS)
    again.now()
    assert again.stamps.wall(last.ts_ms) == NOW_MS
    assert again.stamps.timeline(NOW_MS - HOUR_MS) == NOW_MS - HOUR_MS


def test_a_new_store_on_a_board_in_1970_begins_late_enough_for_every_window() -> None:
    clock = Manual(wall_ms=60_000)
    line = timeline(clock)
    assert line.now().ts_ms == LEAST_MS
    assert line.stamps.wall(LEAST_MS) == 60_000


def test_a_store_of_before_has_no_offset_and_one_that_is_ahead_is_gone_on_with() -> None:
    clock = Manual()
    assert timeline(clock, None, NOW_MS - HOUR_MS).now().ts_ms == NOW_MS
    line = timeline(clock, None, NOW_MS + HOUR_MS)
    assert line.now().ts_ms == NOW_MS + HOUR_MS + 60_000
    assert line.stamps.wall(line.now().ts_ms) == NOW_MS
    assert line.stamps.wall(NOW_MS + HOUR_MS) <= NOW_MS


@pytest.mark.parametrize("stored", [None, [], {}, 7, ["a", 1, 2], ["a", "x", 1, 2, []], ["a", 1, 2, 3, [[1, 2]]]])
def test_what_makes_no_sense_in_a_store_begins_anew(stored: object) -> None:
    line = Timeline(Manual(), "a", stored, None, 60.0)
    assert line.now().ts_ms == NOW_MS
    assert Stamps.of(stored) == Stamps()


BOOTS = st.lists(st.tuples(st.integers(0, 40 * YEAR_MS), st.integers(-YEAR_MS, 30 * YEAR_MS)), min_size=1, max_size=70)


@given(BOOTS)
def test_times_of_day_rise_with_the_timeline_over_any_boots_and_come_back(boots: list[tuple[int, int]]) -> None:
    clock, line, last_ms, seen = Manual(), None, None, []
    for number, (wall_ms, step_ms) in enumerate(boots):
        line = timeline(clock.reboot(wall_ms), line, last_ms, boot=str(number))
        seen.append(line.now().ts_ms)
        clock.go(60_000, step_ms=max(step_ms, -clock.wall_ms))
        last_ms = line.now().ts_ms
        seen.append(last_ms)
    assert line is not None
    assert seen == sorted(seen)
    shown = [line.stamps.wall(ts_ms) for ts_ms in seen]
    assert shown == sorted(shown)
    assert shown[-1] == pytest.approx(clock.wall_ms, abs=STEP_TOLERANCE_MS)
    assert line.stamps.timeline(shown[-1]) == seen[-1]


def test_times_are_shown_and_spans_are_not() -> None:
    clock = Manual()
    line = timeline(clock)
    line.now()
    clock.go(60_000, step_ms=-HOUR_MS)
    line.now()
    value = {"at_ms": NOW_MS, "grew_ms": 5, "deep": [{"since_ms": NOW_MS, "bytes": NOW_MS}]}
    moved = NOW_MS - HOUR_MS
    assert line.stamps.shown_json(value) == {
        "at_ms": moved, "grew_ms": 5, "deep": [{"since_ms": moved, "bytes": NOW_MS}],
    }  # fmt: skip
    silence = Silence(NOW_MS, NOW_MS + 1000, "me")
    assert line.stamps.shown(silence) == replace(silence, since_ms=moved, until_ms=moved + 1000)
