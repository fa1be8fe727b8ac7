"""How much it has grown and since when belong together: both from one estimate of where the climb began."""

from __future__ import annotations

import json

import numpy as np
import pytest

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.replay.capture import Capture, Settings, interval_s
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.time_plan import plan_of
from leakwatch.model.verdict import Assessment, Verdict
from tests.analysis.shapes import CRITERIA, DEFAULT, HOUR, MIB, settle

START_MS = 1_749_999_600_000  # 2025-06-15 15:00Z
RATE = 1_166_666.0  # bytes an hour: 1.11 MiB


def capture_of(values: np.ndarray, every_s: int) -> Capture:
    times = START_MS + np.arange(len(values)) * every_s * 1000
    return Capture("proc/a[1]", subject_of("proc/a[1]"), times.astype(np.int64), np.round(values))


def replayed(capture: Capture) -> Assessment:
    return replay([capture], Settings(DEFAULT, lambda _: CRITERIA))[0].assessment


def live(capture: Capture) -> Assessment:
    """Return what the daemon says of it, that is started anew in the middle of it from what it stored."""
    plan = plan_of(DEFAULT, interval_s(capture))
    state = SeriesState(plan, CRITERIA)
    for ts_ms, value in zip(capture.times_ms.tolist(), capture.values.tolist(), strict=True):
        state.feed(ts_ms, value)
        settle(state)
    assert state.assessment is not None
    assert json.loads(state.to_json() or "{}")["climb"]["alarm"]["onset_ms"] == state.assessment.since_ms
    return state.assessment


@pytest.mark.parametrize(("every_s", "count", "grown_mib"), [(HOUR, 120, 132), (HOUR, 400, 444), (600, 40 * 144, 1068)])
def test_linear_growth_is_told_from_its_first_sample_on(every_s: int, count: int, grown_mib: float) -> None:
    capture = capture_of(14e6 + RATE * np.arange(count) * every_s / HOUR, every_s)
    found = replayed(capture)
    assert (found.verdict, found.since_ms) == (Verdict.LEAK, START_MS)
    assert (found.grown_bytes or 0) / MIB == pytest.approx(grown_mib, abs=1)
    if every_s == HOUR:
        said = live(capture)
        assert (said.since_ms, said.grown_bytes) == (found.since_ms, found.grown_bytes)


@pytest.mark.parametrize("noise_mib", [0.0, 2.0])
@pytest.mark.parametrize("flat_hours", [10, 30, 24 * 8])
def test_growth_after_flat_time_is_told_from_where_it_begins(flat_hours: int, noise_mib: float) -> None:
    hours = np.arange(0, flat_hours + 72, 1 / 12)
    rng = np.random.default_rng(3)
    level = 300 + 5 * np.maximum(0, hours - flat_hours) + noise_mib * rng.random(len(hours))
    capture = capture_of(level * MIB, 300)
    found = replayed(capture)
    assert found.verdict is Verdict.LEAK
    assert ((found.since_ms or 0) - START_MS) / 1000 / HOUR == pytest.approx(flat_hours, abs=0.5 + noise_mib)
    # What has grown since then is what the shape says of that time: the two belong together.
    since = ((found.since_ms or 0) - START_MS) / 1000 / HOUR
    shape = 300 + 5 * max(0.0, since - flat_hours)
    assert found.current_bytes - (found.grown_bytes or 0) == pytest.approx(shape * MIB, abs=(1.5 + noise_mib) * MIB)


def test_a_step_before_the_climb_is_no_part_of_it() -> None:
    hours = np.arange(0, 24 * 4, 1 / 12)
    level = 200 + 300 * (hours > 24) + 8 * np.maximum(0, hours - 72)
    found = replayed(capture_of(level * MIB, 300))
    assert found.verdict is Verdict.LEAK
    assert ((found.since_ms or 0) - START_MS) / 1000 / HOUR == pytest.approx(72, abs=1)
    assert (found.grown_bytes or 0) / MIB == pytest.approx(8 * 24, abs=10)


def test_what_is_sampled_seldom_is_told_from_where_it_begins_too() -> None:
    days = np.arange(40)
    found = replayed(capture_of((200 + 20 * np.maximum(0, days - 12)) * MIB, 24 * HOUR))
    assert found.verdict is Verdict.LEAK
    assert ((found.since_ms or 0) - START_MS) / 1000 / HOUR / 24 == pytest.approx(12, abs=1)
    assert (found.grown_bytes or 0) / MIB == pytest.approx(27 * 20, abs=25)


def test_between_looks_growth_follows_the_level() -> None:
    capture = capture_of(14e6 + RATE * 5 * np.arange(12 * 24) / 12, 300)
    plan = plan_of(DEFAULT, 300)
    state = SeriesState(plan, CRITERIA)
    for ts_ms, value in zip(capture.times_ms.tolist(), capture.values.tolist(), strict=True):
        state.feed(ts_ms, value)
        found = settle(state)
        if found.verdict is Verdict.LEAK:
            assert found.current_bytes == round(value)
            assert (found.grown_bytes or 0) == pytest.approx(value - 14e6, abs=MIB / 2)
    assert found.verdict is Verdict.LEAK


@pytest.mark.parametrize("flat_days", [0, 2, 6])
def test_what_fills_and_stops_is_alarmed_no_longer_for_the_flat_days_before_it(flat_days: int) -> None:
    hours = np.arange(0, 24 * (flat_days + 5), 1 / 12)
    filled = np.clip((hours - 24 * flat_days) / 24, 0, 1)
    (outcome,) = replay([capture_of((57 + 53 * filled) * MIB, 300)], Settings(DEFAULT, lambda _: CRITERIA))
    assert outcome.assessment.verdict is Verdict.OK
    stopped_ms = START_MS + 24 * (flat_days + 1) * HOUR * 1000
    assert all(end is not None and end <= stopped_ms + 48 * HOUR * 1000 for _, end in outcome.alerts)
