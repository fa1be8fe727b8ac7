"""The cheap look against the close one, and what an assessment says for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.rules.evaluate import answers_at, blocks_of, shape_name
from leakwatch.analysis.rules.tests import evidence, judge
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import COARSE_OF, plan_of
from leakwatch.analysis.tracking.alarm_state import Checkpoint, LevelHistory, worth_judging
from leakwatch.analysis.tracking.past_runs import NO_LIVES
from leakwatch.analysis.window_request import BlockSnapshot
from leakwatch.analysis.windows.block_table import Blocks, Table
from leakwatch.analysis.windows.cut import Track, WindowRows
from leakwatch.analysis.windows.cut import cut as cut_windows
from leakwatch.model.verdict import Verdict
from leakwatch.report.phrases import text
from tests.analysis.shapes import (
    BASE,
    CRITERIA,
    DEFAULT,
    HOUR,
    MIB,
    MINUTES,
    START_MS,
    checkpoints,
    first_leak,
    seconds,
)
from tests.examples import examples

if TYPE_CHECKING:
    from leakwatch.analysis.rules.tests import TestResults
    from leakwatch.analysis.time_plan import TimePlan
    from leakwatch.analysis.window_request import WindowResult

PLAN = plan_of(DEFAULT, 60.0)
FIRST = START_MS // (PLAN.base_s * 1000)


def cut(held: Blocks, plan: TimePlan, ends: np.ndarray) -> WindowRows:
    return cut_windows(Table([held], plan), np.zeros(len(ends), dtype=np.int64), ends)


def blocks(lows: np.ndarray, *, top_before: float = -np.inf) -> Blocks:
    """Return fine blocks from a midnight on, and the coarse ones they make."""
    whole = len(lows) // COARSE_OF * COARSE_OF
    coarse = lows[:whole].reshape(-1, COARSE_OF)
    return Blocks(
        FIRST, FIRST, lows, lows, FIRST // COARSE_OF, coarse.min(axis=1), np.median(coarse, axis=1), top_before
    )  # fmt: skip


def judged_of(held: Blocks, criteria: LeakCriteria = CRITERIA) -> TestResults:
    end = FIRST + len(held.lows) - 1
    rows = cut(held, PLAN, np.array([end], dtype=np.int64))
    return judge(rows, PLAN, [criteria], np.zeros(len(rows.checkpoint), dtype=np.int64))


def answer_at(held: Blocks, end: int) -> WindowResult:
    (found,) = answers_at(Table([held], PLAN), [held], [CRITERIA], np.zeros(1, np.int64), np.array([end]))
    return found


def window(judged: TestResults, hours: float) -> int:
    """Return the row of the troughs of so many hours."""
    rule_hours = np.array([PLAN.spans[int(at)].rule_hours for at in judged.rows.span])
    return int(np.flatnonzero((rule_hours == hours) & (judged.rows.track == Track.LOWS))[0])


def failed(judged: TestResults, row: int) -> set[str]:
    return {criterion.criterion for criterion in evidence(judged, row, PLAN) if not criterion.passed}


def twelve(values: list[float], hours: int = 12, base: float = 200.0) -> np.ndarray:
    """Return the blocks of a window whose twelve troughs are these MiB above a level."""
    return np.repeat((base + np.array(values, dtype=float)) * MIB, hours)


RAMP = [10.0 * at for at in range(12)]


def straight(hours: int = 12) -> np.ndarray:
    """Return a rise of ten MiB a twelfth of the window, without a stair."""
    return (200 + 120 * np.arange(12 * hours) / (12 * hours)) * MIB


def test_a_straight_rise_passes_every_test() -> None:
    judged = judged_of(blocks(straight()))
    row = window(judged, 12)
    assert failed(judged, row) == set()
    assert judged.hit[row]
    assert judged.strong[row]
    assert judged.slope[row] == pytest.approx(10 * MIB)
    assert shape_name(judged, row) == "ramp"


@pytest.mark.parametrize(
    ("criterion", "shape", "values"),
    [
        ("newer_half_as_steep", "plateau", [0, 10, 20, 30, 40, 50, 54, 58, 62, 66, 70, 74]),
        ("not_a_step", "step", [0, 3, 6, 9, 12, 60, 63, 66, 69, 72, 75, 78]),
        ("separate_rises", "step", [0, 0, 0, 30, 30, 30, 60, 60, 60, 90, 90, 90]),
        ("rises_at_end", "plateau", [0, 10, 20, 30, 40, 50, 60, 70, 80, 80, 80, 80]),
        ("near_window_peak", "sawtooth", [0, 10, 20, 30, 40, 50, 60, 70, 80, 130, 110, 100]),
    ],
)
def test_each_shape_fails_the_test_that_is_about_it(criterion: str, shape: str, values: list[float]) -> None:
    judged = judged_of(blocks(twelve(values)))
    row = window(judged, 12)
    assert criterion in failed(judged, row)
    assert not judged.hit[row]
    assert judged.growing[row]
    assert shape_name(judged, row) == shape


def test_what_stands_still_or_falls_does_not_grow() -> None:
    for values in ([0.0] * 12, [at % 2 for at in range(12)], RAMP[::-1]):
        judged = judged_of(blocks(twelve(values)))
        row = window(judged, 12)
        assert not judged.growing[row]
        assert shape_name(judged, row) == "flat"


def test_a_rise_back_to_known_ground_is_no_leak() -> None:
    judged = judged_of(blocks(straight(), top_before=400.0 * MIB))
    row = window(judged, 12)
    assert failed(judged, row) == {"above_previous_peak"}
    assert shape_name(judged, row) == "sawtooth"


def test_a_slower_stretch_after_a_faster_one_is_levelling_off() -> None:
    fast = np.linspace(0, 480, 144, endpoint=False)
    judged = judged_of(blocks(np.concatenate([fast, 480 + np.linspace(0, 120, 144)]) * MIB + 200 * MIB))
    assert "as_fast_as_before" in failed(judged, window(judged, 12))


def test_growth_no_higher_than_yesterday_at_this_time_is_a_cycle() -> None:
    # GIVEN days that rise by day and fall by night
    t = np.arange(2.4 * 24 * 12) / 12
    judged = judged_of(blocks(200 * MIB + 100 * MIB * (1 - np.cos(t / 24 * 2 * np.pi))))
    assert {"above_yesterday", "above_previous_peak"} <= failed(judged, window(judged, 7))


def test_short_growth_must_go_on_for_longer_while_young() -> None:
    judged = judged_of(blocks(straight(4)))
    assert failed(judged, window(judged, 4)) == {"long_enough"}


@pytest.mark.parametrize(
    ("criteria", "criterion"),
    [
        (LeakCriteria(min_rate_bytes_per_hour=11.0 * MIB), "min_rate"),
        (LeakCriteria(min_growth_bytes=1 << 30), "min_growth"),
        (LeakCriteria(min_growth_ratio=100.0), "min_growth_ratio"),
    ],
)
def test_each_configured_threshold_can_silence_a_leak(criteria: LeakCriteria, criterion: str) -> None:
    judged = judged_of(blocks(straight()), criteria)
    assert failed(judged, window(judged, 12)) == {criterion}


def test_sensitivity_is_what_growth_must_be_in_noise() -> None:
    noisy = blocks(twelve(RAMP) + np.repeat(np.random.default_rng(3).normal(0, 6 * MIB, 12), 12))
    usual, less = judged_of(noisy), judged_of(noisy, LeakCriteria(sensitivity=8.0))
    assert usual.growing[window(usual, 12)]
    assert {"significant_slope", "above_noise"} & failed(less, window(less, 12))


def test_every_series_is_held_against_its_own_thresholds() -> None:
    # GIVEN two series alike, one of which may grow by a gigabyte
    held = blocks(straight())
    rows = cut(held, PLAN, np.array([FIRST + 143, FIRST + 143], dtype=np.int64))
    judged = judge(rows, PLAN, [CRITERIA, LeakCriteria(min_growth_bytes=1 << 30)], rows.checkpoint)
    assert judged.hit[rows.checkpoint == 0].any()
    assert not judged.hit[rows.checkpoint == 1].any()


# Windows


def test_a_window_ends_with_the_block_asked_for_and_knows_nothing_later() -> None:
    lows = np.random.default_rng(1).normal(200 * MIB, MIB, 900)
    later = lows.copy()
    later[600:] = np.nan
    end = np.array([FIRST + 599], dtype=np.int64)
    one = cut(blocks(lows), PLAN, end)
    whole = blocks(later)
    other = cut(whole, PLAN, end)
    assert len(one.checkpoint) == len(other.checkpoint) > 10
    for name in ("y", "span", "track", "known", "prior", "previous", "day_rise", "age"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_many_looks_at_once_are_each_look_alone() -> None:
    held = blocks(np.random.default_rng(2).normal(200 * MIB, MIB, 900))
    ends = FIRST + np.array([11, 40, 143, 300, 611, 899])
    together = cut(held, PLAN, ends)
    for at, end in enumerate(ends):
        alone = cut(held, PLAN, np.array([end]))
        mine = together.checkpoint == at
        for name in ("y", "span", "track", "known", "prior", "previous", "day_rise", "age"):
            assert np.array_equal(getattr(together, name)[mine], getattr(alone, name), equal_nan=True), (name, end)


@pytest.mark.parametrize(("missing", "is_judged"), [(3, True), (4, False)])
def test_a_window_needs_nine_of_its_twelve_blocks(missing: int, is_judged: bool) -> None:
    lows = np.linspace(200.0, 212.0, 12) * MIB
    lows[4 : 4 + missing] = np.nan
    rows = cut(blocks(lows), PLAN, np.array([FIRST + 11]))
    assert bool(len(rows.checkpoint)) is is_judged
    if is_judged:
        assert rows.y[0] == pytest.approx(np.linspace(200.0, 212.0, 12) * MIB)


def test_yesterday_is_the_median_of_two_hours_around_this_time() -> None:
    lows = np.full(28 * 12, 100.0 * MIB)
    lows[-12:] = 130.0 * MIB
    rows = cut(blocks(lows), PLAN, np.array([FIRST + len(lows) - 1]))
    assert rows.day_rise == pytest.approx(30 * MIB)
    assert np.isnan(cut(blocks(lows[:300]), PLAN, np.array([FIRST + 299])).day_rise).all()


# The cheap checkpoint


@examples(150)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 3.0), st.sampled_from(["walk", "ramp", "saw", "stairs"]))
def test_what_the_cheap_look_passes_over_the_close_one_would_not_flag(seed: int, size: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(144) / 144
    noise = rng.normal(0, rng.uniform(0.005, 0.2), 144)
    y = {"walk": np.cumsum(noise) / 4, "ramp": t + noise, "saw": t * 5 % 1 + t, "stairs": np.floor(t * 6) / 6 + noise}
    lows = 5 * MIB + size * MIB * np.abs(y[kind])
    record, lowest = float(lows.max()), float(lows.min())
    trough = float(lows[-6:].min())
    history = LevelHistory(record=record, lowest=lowest, record_age=12.0)
    if not worth_judging(history, Checkpoint(0, 12.0, trough, trough, 0.0), NO_LIVES, CRITERIA):
        judged = judged_of(blocks(lows))
        near = trough >= record - k.BELOW_RECORD * (record - lowest)
        assert not (near and judged.hit.any())


# What is said


def _reasons(values: np.ndarray, windows_s: tuple[int, ...] = MINUTES) -> list[str]:
    return [text(assessment.reasons) for _, assessment in checkpoints(values, windows_s)]


def test_each_verdict_says_why() -> None:
    t = seconds(300)
    leak = _reasons(BASE + t * MIB)
    assert leak[0] == "5 s of data, 30 s needed for a first verdict"
    assert "looks like a leak; data that come now will decide" in leak
    assert leak[-1] == (
        "a straight rise over 2 min, and data that came after the first suspicion went on as forecast"
    )  # fmt: skip
    assert _reasons(np.full(300, BASE))[-1] == "no growth within 2 min"
    assert "grew within 60 s, but is slowing: it may be bounded" in _reasons(BASE + 100 * MIB * (1 - np.exp(-t / 30)))
    assert "below its highest level of 2 min" in _reasons(BASE + 20 * MIB * np.sin(t / 40))
    assert any("few steps" in reason or "one step" in reason for reason in _reasons(BASE + 20 * MIB * (t // 40)))


def test_too_little_data_is_learning_and_says_how_much_it_takes() -> None:
    for at, found in checkpoints(np.full(60, BASE), every_s=1):
        if at < 30:
            assert found.verdict is Verdict.LEARNING
            assert found.evidence[0].threshold == 30
            assert found.evidence[0].measured == at  # from the first sample to the newest, not whole blocks
        else:
            assert found.verdict is Verdict.OK


def test_growth_before_the_first_window_is_whole_says_how_much_it_takes() -> None:
    at, found = checkpoints(BASE + seconds(60) * MIB)[7]
    assert at == 40
    assert (found.verdict, text(found.reasons)) == (Verdict.LEARNING, "40 s of data, 60 s needed for a first verdict")


def test_growth_with_holes_is_learning_and_says_why() -> None:
    values = BASE + seconds(300) * MIB
    values[np.arange(300) % 60 >= 15] = np.nan  # three of twelve blocks
    said = [one for at, one in checkpoints(values) if at > 130]
    assert {one.verdict for one in said} == {Verdict.LEARNING}
    assert text(said[-1].reasons) == "too many samples are missing within 60 s for a verdict"


def test_a_leak_carries_its_evidence_whole() -> None:
    _, found = first_leak(checkpoints(BASE + seconds(200) * MIB)) or pytest.fail("not found")
    names = [criterion.criterion for criterion in found.evidence]
    assert names == [
        "significant_slope", "min_rate", "min_growth", "min_growth_ratio",
        "above_noise", "newer_half_as_steep", "newest_third_as_steep", "rises_at_end",
        "rises_in_newest_block", "rises_since_checkpoint", "not_a_step", "separate_rises",
        "above_previous_peak", "near_window_peak",
        "above_earlier_moves", "long_enough", "near_highest_level", "fresh_data",
        "checkpoints_agree", "follows_forecast", "confirmed_by_fresh_data",
    ]  # fmt: skip
    assert all(criterion.passed for criterion in found.evidence)
    assert all(np.isfinite(criterion.measured or 0) for criterion in found.evidence)
    assert found.slope_low is not None
    assert found.slope_high is not None
    assert found.slope_low <= (found.slope_bytes_per_hour or 0) <= found.slope_high
    assert 0 < found.confidence <= 1


def test_the_onset_and_the_growth_since_are_told() -> None:
    t = seconds(240)
    _, found = checkpoints(BASE + np.maximum(0, t - 120) * MIB)[-1]
    assert found.verdict is Verdict.LEAK
    assert found.since_ms is not None
    assert abs(found.since_ms - START_MS - 120_000) <= 15_000
    assert found.grown_bytes == pytest.approx(115 * MIB, rel=0.1)
    assert found.current_bytes == round(BASE + 115 * MIB)


def test_an_answer_without_windows_says_nothing() -> None:
    found = answer_at(blocks(straight()), FIRST)
    assert (found.marks, found.trends, found.evidence, found.growing) == ((), (), (), False)


def test_trends_are_of_the_configured_windows() -> None:
    held = blocks(np.linspace(100.0, 500.0, 20 * 12) * MIB)
    found = answer_at(held, FIRST + 239)
    assert [trend.window_s for trend in found.trends] == [HOUR, 4 * HOUR, 16 * HOUR]
    for trend in found.trends:
        assert trend.slope_bytes_per_hour == pytest.approx(400 * MIB / 239 * 12)
        assert trend.slope_low <= trend.slope_bytes_per_hour <= trend.slope_high


def test_blocks_travel_unchanged() -> None:
    from array import array

    held = BlockSnapshot(
        5, 9, array("d", [1.0, 2.0]), array("d", [3.0, 4.0]), 1, array("d", [7.0]), array("d", [8.0]), 6.0
    )
    again = blocks_of(held)
    assert (again.first, again.start, again.coarse_start, again.top_before) == (5, 8, 1, 6.0)
    assert (again.lows.tolist(), again.medians.tolist()) == ([1.0, 2.0], [3.0, 4.0])
    assert (again.coarse_lows.tolist(), again.coarse_medians.tolist()) == ([7.0], [8.0])
