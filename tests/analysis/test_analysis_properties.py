"""What must hold of every verdict, and of every interval, whatever the series."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.replay.capture import Capture, Settings
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.rules.tests import T95
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, plan_of
from leakwatch.analysis.windows.features import measure
from leakwatch.model.verdict import Verdict
from leakwatch.report.phrases import text
from tests.analysis.shapes import CRITERIA, DAY, DEFAULT, HOUR, MIB, MINUTES, START_MS, settle
from tests.examples import examples

if TYPE_CHECKING:
    from leakwatch.analysis.replay.capture import ReplayOutcome
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.model.verdict import Assessment

HOURS = np.arange(0, 40, 1 / 60)
RNG = np.random.default_rng(20_251_101)
NOISE = RNG.normal(0, 1, len(HOURS))
SERIES = {
    "flat": 300 + NOISE,
    "leak": 200 + 12 * HOURS + NOISE / 4,
    "slow leak": 200 + 0.6 * HOURS + NOISE / 8,
    "late leak": 200 + 10 * np.maximum(0, HOURS - 15) + NOISE / 4,
    "fills": 150 + 12 * np.minimum(HOURS, 9) + NOISE / 8,
    "warms up": 200 + 100 * (1 - np.exp(-HOURS / 6)),
    "saw": 200 + HOURS % 3 * 30 + NOISE,
    "saw that rises": 200 + HOURS % 0.5 * 60 + 6 * HOURS + NOISE / 4,
    "stairs": 200 + 10 * (HOURS // 1.5),
    "step": 200 + 80 * (HOURS > 20) + NOISE,
    "day": 300 - 80 * np.cos(HOURS / 24 * 2 * np.pi) + NOISE,
    "walk": 500 + np.cumsum(NOISE),
    "restarts": 100 + 15 * (HOURS % 17) + NOISE / 4,
}
CLEAR_LEAKS = ("leak", "late leak", "saw that rises", "stairs")
CLEARLY_HEALTHY = ("flat", "warms up", "saw", "step", "day")
NAMES = st.sampled_from(sorted(SERIES))


def capture(mib: np.ndarray, name: str = "x", hours: np.ndarray = HOURS, start_ms: int = START_MS) -> Capture:
    times = start_ms + np.round(hours * HOUR).astype(np.int64) * 1000
    return Capture(name, subject_of(name), times, np.round(mib * MIB))


def said(one: Capture, criteria: LeakCriteria = CRITERIA, windows_s: tuple[int, ...] = DEFAULT) -> ReplayOutcome:
    (outcome,) = replay([one], Settings(windows_s, lambda _: criteria))
    return outcome


# Scale, time, order


@examples(10)
@given(NAMES, st.sampled_from([2, 8, 64]))
def test_larger_programs_with_larger_thresholds_get_the_same_verdicts(name: str, factor: int) -> None:
    larger = replace(
        CRITERIA,
        min_growth_bytes=CRITERIA.min_growth_bytes * factor,
        min_rate_bytes_per_hour=CRITERIA.min_rate_bytes_per_hour * factor,
    )
    one = capture(SERIES[name])
    ours, theirs = said(replace(one, values=one.values * factor), larger), said(one)
    assert ours.alerts == theirs.alerts
    assert ours.assessment.verdict is theirs.assessment.verdict
    assert ours.assessment.slope_bytes_per_hour == pytest.approx(
        (theirs.assessment.slope_bytes_per_hour or 0.0) * factor
    )


@examples(10)
@given(NAMES, st.integers(-20_000, 20_000))
def test_another_time_gives_the_same_verdicts(name: str, coarse_blocks: int) -> None:
    # Blocks lie on a grid of 1970's: by whole coarse blocks, which are whole checkpoints, all moves with the time.
    plan = plan_of(DEFAULT, 60.0)
    shift_ms = coarse_blocks * plan.coarse_s * 1000
    assert COARSE_OF % plan.checkpoint_blocks == 0
    ours, theirs = said(capture(SERIES[name], start_ms=START_MS + shift_ms)), said(capture(SERIES[name]))
    assert [(a - shift_ms, b if b is None else b - shift_ms) for a, b in ours.alerts] == list(theirs.alerts)
    assert ours.assessment.verdict is theirs.assessment.verdict
    assert text(ours.assessment.reasons) == text(theirs.assessment.reasons)


@examples(2)
@given(st.permutations(sorted(SERIES)))
def test_the_order_of_series_means_nothing(order: list[str]) -> None:
    outcomes = replay([capture(SERIES[name], name) for name in order], Settings(DEFAULT, lambda _: CRITERIA))
    assert [outcome.name for outcome in outcomes] == order
    for outcome in outcomes:
        alone = said(capture(SERIES[outcome.name], outcome.name))
        assert (outcome.alerts, outcome.assessment) == (alone.alerts, alone.assessment)


@pytest.mark.parametrize("turned", [False, True])
def test_lives_of_one_service_are_known_in_the_order_they_ended(turned: bool) -> None:
    # GIVEN three past_runs of one program, each growing at the same slope for seven hours, in any order in the file
    hours = np.arange(0, 7, 1 / 60)
    starts = [START_MS + at * 8 * HOUR * 1000 for at in range(3)]
    past_runs = [capture(100 + 10 * hours, f"proc/web[{at}]", hours, start) for at, start in enumerate(starts)]
    outcomes = replay(past_runs[::-1] if turned else past_runs, Settings(DEFAULT, lambda _: CRITERIA))
    delays = {
        outcome.name: (outcome.alerts[0][0] - starts[int(outcome.name[-2])]) / 3.6e6 if outcome.alerts else None
        for outcome in outcomes
    }
    # THEN the first is a leak when its own data say so, the others when the slope is known again
    first, second, third = (delays[f"proc/web[{at}]"] for at in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert second < first / 2
    assert third < first / 2


# More growth, fewer points


@examples(15)
@given(st.sampled_from(CLEAR_LEAKS), st.floats(0.5, 50))
def test_more_growth_never_makes_a_leak_ok(name: str, more: float) -> None:
    assert said(capture(SERIES[name])).assessment.verdict is Verdict.LEAK
    steeper = said(capture(SERIES[name] + more * HOURS))
    assert steeper.assessment.verdict is not Verdict.OK
    assert steeper.alerts


@examples(15)
@given(st.sampled_from(CLEAR_LEAKS + CLEARLY_HEALTHY), st.integers(0, 2**31))
def test_a_fifth_of_the_points_missing_keeps_the_verdict(name: str, seed: int) -> None:
    kept = np.random.default_rng(seed).random(len(HOURS)) >= 0.2
    kept[:10] = True  # the interval is told by the first samples
    part = said(capture(SERIES[name][kept], hours=HOURS[kept]))
    whole = said(capture(SERIES[name]))
    leaks = name in CLEAR_LEAKS
    assert (whole.assessment.verdict is Verdict.LEAK) is leaks
    assert (part.assessment.verdict is Verdict.LEAK) is leaks
    if leaks:
        assert part.assessment.slope_bytes_per_hour == pytest.approx(whole.assessment.slope_bytes_per_hour, rel=0.1)
        assert abs(part.alerts[0][0] - whole.alerts[0][0]) <= 3 * HOUR * 1000


# The interval of the slope


def _ar1(rng: np.random.Generator, keep: float, rows: int) -> np.ndarray:
    noise = rng.normal(size=(rows, BLOCKS + 60))
    for at in range(1, noise.shape[1]):
        noise[:, at] += keep * noise[:, at - 1]
    return noise[:, 60:]


@pytest.mark.parametrize(
    ("keep", "least", "measured"),
    [
        (0.0, 0.94, 0.965),
        (0.3, 0.90, 0.928),
        (0.6, 0.84, 0.876),
        (0.9, 0.72, 0.775),
    ],
)
def test_the_interval_covers_the_true_slope_as_often_as_is_known(keep: float, least: float, measured: float) -> None:
    rows, true = 20_000, 5.0
    noise = 1e6 * _ar1(np.random.default_rng(20_251_125), keep, rows)
    shapes = measure(1e9 + true * np.arange(BLOCKS) + noise)
    covered = float((np.abs(shapes.slope - true) <= T95 * shapes.doubt).mean())
    assert covered >= least
    assert covered == pytest.approx(measured, abs=0.01)


# Bad input


def numbers(found: Assessment) -> list[float]:
    values = [found.slope_bytes_per_hour, found.slope_low, found.slope_high, found.grown_bytes, found.confidence]
    values += [v for c in found.evidence for v in (c.measured, c.threshold)]
    values += [v for t in found.windows for v in (t.slope_bytes_per_hour, t.slope_low, t.slope_high)]
    return [float(value) for value in values if value is not None]


def raw(times_ms: list[int], values: list[float]) -> Capture:
    return Capture("x", subject_of("x"), np.array(times_ms, dtype=np.int64), np.array(values, dtype=np.float64))


@pytest.mark.parametrize("windows_s", [DEFAULT, MINUTES])
@pytest.mark.parametrize("count", range(12))
@pytest.mark.parametrize("every_s", [1, 60, 300, DAY])
def test_too_few_samples_are_learning(windows_s: tuple[int, ...], count: int, every_s: int) -> None:
    few = [START_MS + at * every_s * 1000 for at in range(count)]
    outcome = said(raw(few, [1e8 + at * 1e7 for at in range(count)]), windows_s=windows_s)
    assert np.isfinite(numbers(outcome.assessment)).all()
    if count < 6 or (count < 8 and every_s == DAY):
        assert outcome.alerts == ()
        assert outcome.assessment.verdict is Verdict.LEARNING
        assert text(outcome.assessment.reasons)


VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, 4096.0, 2.0**40, 2.0**62, 1e30]),
    st.integers(0, 2**50).map(float),
    st.floats(0, 1e18),
)
STEPS = st.one_of(
    st.integers(1, 100_000),
    st.sampled_from([0, -1, -60_000, -3_600_000, -86_400_000, 60_000, 300_000, 3_600_000, 10**9, 10**12]),
)


@examples(100)
@given(
    st.lists(st.tuples(STEPS, VALUES), max_size=60),
    st.integers(1, 8),
    st.sampled_from([DEFAULT, MINUTES, (180,), (HOUR, 4 * HOUR)]),
)
def test_no_input_is_an_error_or_a_number_json_cannot_carry(
    steps: list[tuple[int, float]], repeat: int, windows_s: tuple[int, ...]
) -> None:
    times, values, now = [], [], START_MS
    for step, value in steps * repeat:
        now += step
        times.append(now)
        values.append(value)
    outcome = said(raw(times, values), windows_s=windows_s)
    assert all(isfinite(number) for number in numbers(outcome.assessment))
    assert text(outcome.assessment.reasons)
    for start, end in outcome.alerts:
        assert end is None or isinstance(end, int)
        assert isinstance(start, int)
    state = SeriesState(plan_of(windows_s, 60.0), CRITERIA)
    for ts_ms, value in zip(times, values, strict=True):
        state.feed(ts_ms, value)
    if times:
        assert all(isfinite(number) for number in numbers(settle(state)))


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0**40, 2.0**62, 1e30])
def test_what_never_changes_is_ok(value: float) -> None:
    outcome = said(raw([START_MS + at * 60_000 for at in range(3000)], [value] * 3000))
    assert (outcome.assessment.verdict, outcome.alerts) == (Verdict.OK, ())


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6, 1e12])
def test_growth_of_any_size_has_finite_numbers(factor: float) -> None:
    outcome = said(replace(capture(SERIES["leak"]), values=SERIES["leak"] * factor * MIB))
    assert np.isfinite(numbers(outcome.assessment)).all()
    assert (outcome.assessment.verdict is Verdict.LEAK) is (factor >= 1)
