"""A leak cut by a restart or a reboot under one name is one again after it; teeth of a saw are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture, Settings, prepared
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.restarts import past_runs_of
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.model.verdict import Verdict
from tests.analysis.shapes import CRITERIA, DEFAULT, HOUR, MIB, START_MS

if TYPE_CHECKING:
    from leakwatch.analysis.replay.capture import ReplayOutcome

QUARTER = 900
SETTINGS = Settings(DEFAULT, lambda _: CRITERIA)


def capture_of(name: str, values: np.ndarray, every_s: int = QUARTER) -> Capture:
    times = START_MS + np.arange(len(values)) * every_s * 1000
    return Capture(name, subject_of(name), times.astype(np.int64), np.round(values * MIB))


def replayed(*captures: Capture) -> list[ReplayOutcome]:
    return replay(captures, SETTINGS)


def past_runs(capture: Capture) -> int:
    (one,) = prepared([capture], SETTINGS)
    return len(past_runs_of(one, DEFAULT))


def reboots(hours: np.ndarray, every_h: float) -> np.ndarray:
    """A kernel that leaks 186 KiB/h until it has no memory left and starts anew."""
    rng = np.random.default_rng(1)
    return 13.8 + hours % every_h * 186 / 1024 + 0.02 * rng.random(len(hours))


def restart(hours: np.ndarray, at_h: float) -> np.ndarray:
    """A daemon that leaks 46.4 MiB/h before and after its restart."""
    return 110 + 46.4 * np.where(hours < at_h, hours, hours - at_h)


def hours_of(days: float) -> np.ndarray:
    return np.arange(0, days * 24, QUARTER / HOUR)


@pytest.mark.parametrize("every_h", [45, 37, 20])
def test_a_kernel_leak_is_one_again_in_each_boot_as_with_numbered_lives(every_h: float) -> None:
    hours = hours_of(6.7)
    whole = capture_of("kernel/SUnreclaim", reboots(hours, every_h))
    (outcome,) = replayed(whole)
    size = round(every_h * HOUR / QUARTER)
    cuts = range(0, len(hours), size)
    numbered = [
        Capture(
            f"kernel/SUnreclaim#{number}",
            subject_of(f"kernel/SUnreclaim#{number}"),
            whole.times_ms[at : at + size],
            whole.values[at : at + size],
        )
        for number, at in enumerate(cuts, 1)
    ]
    apart = replayed(*numbered)
    assert outcome.assessment.verdict is apart[-1].assessment.verdict
    assert outcome.assessment.since_ms == apart[-1].assessment.since_ms
    assert [begin for begin, _ in outcome.alerts] == [begin for one in apart for begin, _ in one.alerts]
    assert len(outcome.alerts) >= len(cuts) - 1  # the last one may have just begun
    starts = [int(whole.times_ms[at]) for at in cuts]
    for begin, end in outcome.alerts:
        following = next((start for start in starts if start > begin), None)
        assert end == following if end is None else following is None or end <= following


@pytest.mark.parametrize("at_h", [48, 30, 20])
def test_a_process_that_is_restarted_under_its_name_leaks_on(at_h: float) -> None:
    values = restart(hours_of(3), at_h)
    (outcome,) = replayed(capture_of("proc/sysmon[1]", values))
    assert outcome.assessment.verdict is Verdict.LEAK
    assert len(outcome.alerts) == 2
    begins = START_MS + round(at_h * HOUR * 1000)
    assert outcome.assessment.since_ms == begins
    assert (outcome.assessment.grown_bytes or 0) / MIB == pytest.approx(46.4 * (72 - at_h), rel=0.02)


def test_a_fall_over_two_samples_and_a_first_sample_too_low_are_a_restart_too() -> None:
    hours = hours_of(3)
    values = restart(hours, 48)
    at = int(np.argmax(hours >= 48))
    values[at - 1], values[at] = 900.0, 30.0  # while it ends; before all of it is loaded
    (outcome,) = replayed(capture_of("proc/sysmon[1]", values))
    assert outcome.assessment.verdict is Verdict.LEAK


def test_nothing_of_the_future_tells_a_restart() -> None:
    values = restart(hours_of(3), 48)
    (whole,) = replayed(capture_of("proc/sysmon[1]", values))
    for count in range(150, len(values), 17):
        (part,) = replayed(capture_of("proc/sysmon[1]", values[:count]))
        known = [(a, b) for a, b in part.alerts if b is not None]
        assert list(whole.alerts[: len(known)]) == known


@pytest.mark.parametrize("period_h", [0.5, 2, 4, 8, 11])
@pytest.mark.parametrize("name", ["proc/java[1]", "heap", "kernel/SUnreclaim"])
def test_the_teeth_of_a_saw_are_a_shape_and_no_restarts(name: str, period_h: float) -> None:
    hours = hours_of(5)
    capture = capture_of(name, 200 + 150 * (hours % period_h) / period_h)
    assert past_runs(capture) == 1
    assert replayed(capture)[0].assessment.verdict is not Verdict.LEAK


def test_a_nightly_rhythm_is_taken_for_a_restart_once_at_most() -> None:
    hours = hours_of(10)
    capture = capture_of("proc/batch[1]", 200 + 20 * (hours % 24))
    assert past_runs(capture) == 2
    assert replayed(capture)[0].assessment.verdict is not Verdict.LEAK


def test_a_leak_below_a_saw_is_not_cut_at_its_teeth() -> None:
    hours = hours_of(4)
    capture = capture_of("proc/java[1]", 200 + 2 * hours + 300 * (hours % 3) / 3)
    assert past_runs(capture) == 1


def test_where_lives_are_known_shape_decides_nothing() -> None:
    values = restart(hours_of(3), 48)
    assert past_runs(capture_of("proc/sysmon[1]", values)) == 2
    assert past_runs(capture_of("proc/sysmon#1", values)) == 1
    one = capture_of("kernel/SUnreclaim", reboots(hours_of(3), 45))
    known = Capture(one.name, one.subject, one.times_ms, one.values, begins_ms=())
    assert past_runs(known) == 1
    boots = (int(one.times_ms[100]), int(one.times_ms[200]))
    assert past_runs(Capture(one.name, one.subject, one.times_ms, one.values, begins_ms=boots)) == 3
