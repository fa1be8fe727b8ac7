"""Robust statistics: plain Python against numpy, the line against scipy's and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leakwatch.analysis.windows import robust, robust_rows
from leakwatch.analysis.windows.robust_rows import (
    MAX_AUTOCORRELATION,
    _sen_interval,
    fit_line,
    pairwise_slopes,
)

LEVELS = hnp.arrays(np.float64, st.integers(8, 24), elements=st.integers(0, 10**9).map(float), unique=True)
POINTS = 12


ROWS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(3, 24)), elements=st.integers(0, 10**9).map(float)
)


@given(ROWS)
def test_rows_are_measured_as_in_plain_python(y: np.ndarray) -> None:
    slope = robust_rows.theil_sen(y)
    rest = robust_rows.residuals_of(y, slope)
    for at, row in enumerate(y.tolist()):
        assert slope[at] == robust.theil_sen(row)
        assert rest[at] == pytest.approx(robust.residuals_of(row, slope[at]), abs=1e-6)
        for name in ("mad_sigma", "step_noise", "bend_noise"):
            assert getattr(robust_rows, name)(y)[at] == pytest.approx(getattr(robust, name)(row), rel=1e-12), name


def test_sigma_is_that_of_normal_noise() -> None:
    from scipy import stats  # here: every worker collects this module, one needs half a second of scipy

    y = np.random.default_rng(7).normal(0, 3.0, (1, 20_000))
    for name in ("mad_sigma", "step_noise", "bend_noise"):
        assert getattr(robust_rows, name)(y)[0] == pytest.approx(3.0, rel=0.05), name
    assert robust_rows.mad_sigma(y)[0] == pytest.approx(stats.median_abs_deviation(y[0], scale="normal"), rel=0.01)


def test_the_autocorrelation_is_that_of_numpy() -> None:
    x = np.cumsum(np.random.default_rng(3).normal(size=(4, 50)), axis=1)
    for at, row in enumerate(x):
        centred = row - row.mean()
        assert robust_rows.lag1(x)[at] == pytest.approx(
            np.correlate(centred[1:], centred[:-1])[0] / centred.dot(centred)
        )
    assert robust_rows.lag1(np.ones((1, 12)))[0] == 0


def hours(n: int) -> np.ndarray:
    return np.arange(n) / 12


@given(LEVELS)
def test_the_slope_is_that_of_scipy(y: np.ndarray) -> None:
    from scipy import stats

    line = fit_line(hours(len(y)), y)
    assert line.slope == pytest.approx(stats.theilslopes(y, hours(len(y))).slope)


@given(LEVELS)
def test_without_autocorrelation_the_interval_is_that_of_scipy(y: np.ndarray) -> None:
    from scipy import stats

    # Distinct values: for ties scipy narrows it, which asks for more trust in quantised values than they earn.
    t = hours(len(y))
    theirs = stats.theilslopes(y, t, alpha=0.95)
    assert _sen_interval(pairwise_slopes(t, y), len(t)) == pytest.approx((theirs.low_slope, theirs.high_slope))


@given(LEVELS)
def test_autocorrelation_only_ever_widens_it(y: np.ndarray) -> None:
    t = hours(len(y))
    low, high = _sen_interval(pairwise_slopes(t, y), len(t))
    line = fit_line(t, y)
    tolerance = 1e-9 * (1 + abs(low) + abs(high))
    assert line.low <= low + tolerance
    assert line.high >= high - tolerance


def test_neighbours_that_resemble_each_other_widen_it_by_the_formula() -> None:
    # GIVEN residuals in two long runs, THEN each end is (1+r)/(1-r) to the root times as far away
    t = hours(POINTS)
    y = 1000 * t + np.repeat([0.0, 50.0, 0.0], 4) + np.random.default_rng(1).normal(0, 5, POINTS)
    line = fit_line(t, y)
    residuals = y - line.slope * t - line.intercept
    centred = residuals - residuals.mean()
    r = float(centred[1:] @ centred[:-1] / (centred @ centred))
    assert 0.2 < r < MAX_AUTOCORRELATION
    low, _ = _sen_interval(pairwise_slopes(t, y), POINTS)
    assert line.slope - line.low == pytest.approx(((1 + r) / (1 - r)) ** 0.5 * (line.slope - low))


def test_too_few_points_claim_no_direction() -> None:
    for n in (2, 3):
        line = fit_line(hours(n), np.arange(n) * 1e6)
        assert line.low <= 0 < line.high


def test_one_wild_point_in_twelve_moves_nothing() -> None:
    y = 1e6 * hours(POINTS)
    y[7] += 1e12
    line = fit_line(hours(POINTS), y)
    assert line.slope == pytest.approx(1e6)
    assert line.noise == pytest.approx(0, abs=1)


@given(LEVELS, st.sampled_from([1024.0, 2.0**20, 2.0**-10]))
def test_other_units_scale_it(y: np.ndarray, factor: float) -> None:
    one, other = fit_line(hours(len(y)), y), fit_line(hours(len(y)), y * factor)
    assert np.array(other) == pytest.approx(np.array(one) * factor, abs=1e-3 * factor)


@given(LEVELS, st.integers(-(2**40), 2**40))
def test_a_higher_level_moves_the_intercept_alone(y: np.ndarray, shift: int) -> None:
    one, other = fit_line(hours(len(y)), y), fit_line(hours(len(y)), y + shift)
    assume(robust_rows.lag1((y - one.slope * hours(len(y)))[None, :])[0] < MAX_AUTOCORRELATION - 0.01)
    assert other.slope == pytest.approx(one.slope, rel=1e-6, abs=1)
    assert other.intercept - one.intercept == pytest.approx(shift, rel=1e-6, abs=1)


@given(LEVELS, st.integers(1, 1000))
@example(np.arange(8.0), 3)
def test_another_time_moves_the_intercept_alone(y: np.ndarray, blocks: int) -> None:
    t = hours(len(y))
    one, other = fit_line(t, y), fit_line(t + blocks / 12, y)
    assert other.slope == pytest.approx(one.slope, rel=1e-6, abs=1)
    assert (other.low, other.high) == pytest.approx((one.low, one.high), rel=1e-5, abs=10)


@given(LEVELS)
def test_what_falls_is_what_rises_upside_down(y: np.ndarray) -> None:
    up, down = fit_line(hours(len(y)), y), fit_line(hours(len(y)), -y)
    assert (down.slope, down.low, down.high) == pytest.approx((-up.slope, -up.high, -up.low), abs=1e-3)


def _ar1(rng: np.random.Generator, r: float) -> np.ndarray:
    y = rng.normal(size=POINTS + 20)
    for at in range(1, len(y)):
        y[at] += r * y[at - 1]
    return y[20:]


@pytest.mark.parametrize(
    ("r", "least"),
    [
        (0.0, 0.93),  # measured 0.963; nominal is 0.95
        (0.3, 0.85),  # measured 0.918
        (0.6, 0.72),  # measured 0.823
        (0.9, 0.50),  # measured 0.653: twelve points say little of their own autocorrelation
    ],
)
def test_the_interval_covers_the_true_slope_as_often_as_is_known(r: float, least: float) -> None:
    rng = np.random.default_rng(20_240_501)
    lines = [fit_line(hours(POINTS), 5.0 * hours(POINTS) + _ar1(rng, r)) for _ in range(1000)]
    covered = sum(line.low <= 5.0 <= line.high for line in lines) / len(lines)
    assert covered >= least
    if not r:
        assert covered <= 0.99, "an interval that always covers says nothing"
