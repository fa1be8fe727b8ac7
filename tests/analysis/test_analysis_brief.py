"""A recording too short for the windows: its slope is told, and nothing so short is called a leak."""

from __future__ import annotations

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import LEAST_SAMPLES, Capture, Settings, look_briefly
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.model.verdict import Assessment, Verdict
from leakwatch.report.phrases import text
from tests.analysis.shapes import CRITERIA, DEFAULT, MIB, START_MS


def found(values: np.ndarray, *, every_s: float = 1.0) -> Assessment:
    times = (START_MS + np.arange(len(values)) * every_s * 1000).astype(np.int64)
    capture = Capture("proc/x[1]", subject_of("proc/x[1]"), times, values.astype(np.float64))
    (outcome,) = replay([capture], Settings(DEFAULT, lambda _: CRITERIA))
    return look_briefly(capture, outcome.assessment, lambda _: CRITERIA)


def test_ten_minutes_of_clear_growth_are_to_be_watched_with_their_slope() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1 * MIB, 600)
    one = found(100 * MIB + np.arange(600) * 0.1 * MIB + noise)
    assert one.verdict is Verdict.WATCH
    assert one.slope_bytes_per_hour == pytest.approx(360 * MIB, rel=0.02)
    assert (one.slope_low or 0) < 360 * MIB < (one.slope_high or 0)
    assert "too short" in text(one.reasons)
    assert any(test.criterion == "enough_data" and not test.passed for test in one.evidence)


@pytest.mark.parametrize("values", [np.full(600, 100.0 * MIB), 100.0 * MIB + np.arange(600) % 60 * MIB / 4])
def test_ten_minutes_of_nothing_or_of_a_saw_are_still_to_be_learnt(values: np.ndarray) -> None:
    assert found(values).verdict is Verdict.LEARNING


def test_a_handful_of_samples_has_no_slope() -> None:
    one = found(100 * MIB + np.arange(LEAST_SAMPLES - 1) * MIB)
    assert (one.verdict, one.slope_bytes_per_hour) == (Verdict.LEARNING, None)


def test_what_is_long_enough_is_left_as_it_is() -> None:
    one = found(100 * MIB + np.arange(240) * MIB, every_s=60)
    assert "too short" not in text(one.reasons)
