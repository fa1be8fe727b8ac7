"""Holds measured windows against the criteria: one table of tests decides, and is the evidence shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS, TimePlan
from leakwatch.analysis.windows.block_table import Bools, Ints
from leakwatch.analysis.windows.cut import Track
from leakwatch.analysis.windows.features import WindowFeatures, WindowRows, measure, rises_of, thirds_of
from leakwatch.analysis.windows.robust_rows import Floats
from leakwatch.model.verdict import Criterion

HOUR_S = 3600
STEEPER = 1000.0
"""Stands for any larger ratio: a ratio to nothing is no number that JSON can carry."""
T95 = 2.228
"""Student's t for 95 % and the ten degrees of freedom a line through twelve blocks leaves."""


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """One criterion for every row."""

    name: str
    measured: Floats
    threshold: Floats
    passed: Bools
    unit: str = ""
    grows: bool = False
    """Whether it is about growing at all, rather than about going on."""

    __test__ = False  # not a test of ours, whatever pytest thinks of its name


@dataclass(frozen=True, slots=True, eq=False)
class TestResults:
    """Every row, measured and held against the criteria."""

    rows: WindowRows
    shapes: WindowFeatures
    tests: tuple[Test, ...]
    slope: Floats
    """Bytes an hour, and the half width of its 95 % interval."""
    half_width: Floats
    growing: Bools
    """It grows, whatever will come of it."""
    hit: Bools
    """Everything a suspicion takes."""
    strong: Bools
    """Clearly straight."""
    memory: Bools
    """Enough for a service whose past lives grew at this slope."""
    veto: Bools
    """It has levelled off."""


def judge(rows: WindowRows, plan: TimePlan, criteria: Sequence[LeakCriteria], series_of: Ints) -> TestResults:
    """Return the judgement of every row; row ``i`` belongs to the series with ``criteria[series_of[i]]``."""
    s = measure(rows.y)
    seconds = np.array([span.seconds for span in plan.spans], dtype=np.float64)[rows.span]
    hours = np.array([span.rule_hours for span in plan.spans])[rows.span]
    per_hour = s.slope * BLOCKS * HOUR_S / seconds
    c = _Thresholds(criteria, series_of)
    noise = s.noise * c.sensitivity
    slack = k.SLACK * np.minimum(noise, 1.5 * s.jitter)
    straight = (s.growth >= k.STRONG_NOISE_RATIO * noise) & (s.growth >= k.STRONG_GROWTH_RATIO * s.level)
    strong = straight & (s.residual <= k.STRONG_RESIDUAL * s.growth)
    grows = _growth(s, per_hour, hours, noise, c)
    lasts = _lasting(s, rows, plan, seconds, slack, strong)
    shape = _shape(s, rows, noise)
    patience = _patience(s, rows, seconds, hours, strong, c)
    tests = (*grows, *lasts, *shape, *patience)
    growing = np.logical_and.reduce([test.passed for test in grows])
    return TestResults(
        rows=rows,
        shapes=s,
        tests=tests,
        slope=per_hour,
        half_width=T95 * s.doubt * BLOCKS * HOUR_S / seconds,
        growing=growing,
        hit=growing & np.logical_and.reduce([test.passed for test in (*lasts, *shape, *patience)]),
        strong=strong,
        memory=_memory(s, rows, per_hour, hours, noise, slack, c),
        veto=_veto(s, noise),
    )


class _Thresholds:
    """The configured thresholds, a value a row."""

    def __init__(self, criteria: Sequence[LeakCriteria], series_of: Ints) -> None:
        self.rate = np.array([c.min_rate_bytes_per_hour for c in criteria])[series_of]
        self.growth = np.array([c.min_growth_bytes for c in criteria])[series_of]
        self.ratio = np.array([c.min_growth_ratio for c in criteria])[series_of]
        self.sensitivity = np.array([c.sensitivity for c in criteria])[series_of]


def _growth(s: WindowFeatures, per_hour: Floats, hours: Floats, noise: Floats, c: _Thresholds) -> tuple[Test, ...]:
    """Return whether it grows, by enough to matter and by more than its noise."""
    z = s.slope / s.error
    is_long = hours >= k.LONG_HOURS
    ratio = np.where(is_long, c.ratio, np.maximum(c.ratio, k.MIN_GROWTH_RATIO_SHORT * (c.ratio > 0)))
    in_noise = s.growth / np.maximum(noise, 1.0)
    confident = is_long & (z >= k.MIN_Z_LONG * c.sensitivity)
    return (
        _at_least("significant_slope", z, np.full_like(z, k.MIN_Z) * c.sensitivity, "", grows=True),
        _at_least("min_rate", per_hour, c.rate, "bytes/h", grows=True),
        _at_least("min_growth", s.growth, c.growth, "bytes", grows=True),
        _at_least("min_growth_ratio", s.growth / s.level, ratio, "ratio", grows=True),
        _at_least(
            "above_noise", in_noise, np.where(confident, k.MIN_NOISE_RATIO_LONG, k.MIN_NOISE_RATIO), "ratio",
            grows=True,
        ),
    )  # fmt: skip


def _lasting(
    s: WindowFeatures, rows: WindowRows, plan: TimePlan, seconds: Floats, slack: Floats, strong: Bools
) -> tuple[Test, ...]:
    """Return whether the growth goes on, at the pace it had."""
    young = rows.age < k.YOUNG_HOURS
    third = np.where(young, k.MIN_THIRD_RATIO_YOUNG, k.MIN_THIRD_RATIO)
    has = np.isfinite(rows.previous) & (rows.previous > 2 * s.noise)
    now = s.slope * BLOCKS
    before = np.where(has, rows.previous, 1.0)
    previous = _ratio("as_fast_as_before", now, before, k.MIN_PREVIOUS_RATIO, slack)
    last = _ratio("rises_in_newest_block", s.last_step, s.growth / 11, k.MIN_LAST_RATIO, slack, positive=False)
    since_checkpoint = s.slope * BLOCKS * plan.checkpoint_blocks * plan.base_s / seconds
    rise = np.where(np.isfinite(rows.newest), rows.newest, 0.0)
    newest = _ratio("rises_since_checkpoint", rise, since_checkpoint, k.MIN_NEWEST_RATIO, 0.0 * slack, positive=False)
    return (
        _ratio("newer_half_as_steep", s.late, s.early, k.MIN_LATE_RATIO, k.HALVES_ERROR * slack),
        _ratio("newest_third_as_steep", s.last_rise, s.middle_rise, third, k.THIRDS_ERROR * slack),
        _ratio("rises_at_end", s.tail, s.growth * 3 / 11, k.MIN_TAIL_RATIO, slack, positive=False),
        _unless(previous, ~has),
        _unless(last, ~strong),
        _unless(newest, ~(strong & (rows.usual >= k.MIN_NEWEST_RATIO * since_checkpoint))),
    )


def _shape(s: WindowFeatures, rows: WindowRows, noise: Floats) -> tuple[Test, ...]:
    """Return whether it is a ramp or a staircase on new ground."""
    share = np.full_like(s.growth, k.MAX_STEP_SHARE)
    above = np.where(np.isfinite(rows.known), s.now - rows.known, s.growth)
    below = (s.top - s.now) / np.maximum(noise, 1.0)
    most = np.full_like(below, k.MAX_BELOW_TOP)
    return (
        Test("not_a_step", s.step_share, share, s.step_share <= share, "ratio"),
        _at_least("separate_rises", s.rises, np.full_like(s.rises, k.MIN_RISES), ""),
        Test("above_previous_peak", above, np.zeros_like(above), above > 0, "bytes"),
        Test("near_window_peak", below, most, s.now >= s.top - k.MAX_BELOW_TOP * noise, "ratio"),
        _at_least("above_earlier_moves", s.growth, k.MIN_PRIOR_RATIO * rows.prior, "bytes"),
    )


def _patience(
    s: WindowFeatures, rows: WindowRows, seconds: Floats, hours: Floats, strong: Bools, c: _Thresholds
) -> tuple[Test, ...]:
    """Return whether it has gone on for long enough, and is above yesterday."""
    curved = (s.residual > k.CURVED_NOISE * s.jitter) & (s.residual > k.CURVED_GROWTH * s.growth)
    morning = np.where(s.growth >= k.LARGE_GROWTH * s.level, k.LARGE_HOURS, k.CURVED_HOURS)
    bent = np.where(s.bend > -k.S_SHAPED * s.growth, k.BENT_HOURS, morning)
    patience = np.where(curved, bent, np.where(strong, k.STRONG_HOURS, k.PLAIN_HOURS))
    needed = np.where(rows.age < k.YOUNG_HOURS, patience, k.GROWN_HOURS)
    rule_hour_s = seconds / hours
    day = np.isfinite(rows.day_rise)
    per_hour_grown = s.slope * BLOCKS / hours
    yesterday = np.maximum(k.DAY_RATIO * per_hour_grown * np.minimum(hours, 24.0), c.growth / 2)
    above = _at_least("above_yesterday", np.where(day, rows.day_rise, 0.0), yesterday, "bytes")
    return (
        _at_least("long_enough", seconds, needed * rule_hour_s, "s"),
        _unless(above, ~day),
    )


def _memory(
    s: WindowFeatures,
    rows: WindowRows,
    per_hour: Floats,
    hours: Floats,
    noise: Floats,
    slack: Floats,
    c: _Thresholds,
) -> Bools:
    enough: Bools = (
        (rows.track == Track.LOWS)
        & (hours >= k.MEMORY_HOURS)
        & (s.slope / s.error >= k.MIN_Z)
        & (s.growth >= np.maximum(c.growth, c.ratio * s.level))
        & (s.growth >= k.MEMORY_NOISE_RATIO * noise)
        & (per_hour >= c.rate)
        & (s.late >= k.MIN_LATE_RATIO * s.early - k.HALVES_ERROR * slack)
        & (s.last_rise > 0)
        & (s.last_rise >= k.MIN_THIRD_RATIO_YOUNG * s.middle_rise - k.THIRDS_ERROR * slack)
        & (s.step_share <= k.MAX_STEP_SHARE)
        & (s.rises >= k.MIN_RISES)
        & (s.now > s.top - noise)
    )
    return enough


def _veto(s: WindowFeatures, noise: Floats) -> Bools:
    bends: Bools = (
        (s.slope / s.error >= k.MIN_Z)
        & (s.growth >= k.VETO_NOISE_RATIO * noise)
        & (s.middle_rise > 0)
        & (s.last_rise < k.VETO_RATIO * s.middle_rise - noise)
        & (s.now > s.top - k.VETO_BELOW_NOISE * noise - k.VETO_BELOW_GROWTH * s.growth)
    )
    return bends


def may_hit(y: Floats) -> Bools:
    """Return which windows are worth measuring for a hit: no other passes the tests of rises and newest third."""
    share, rises = rises_of(y)
    return (share <= k.MAX_STEP_SHARE) & (rises >= k.MIN_RISES) & (thirds_of(y)[1] > 0)


def may_veto(y: Floats) -> Bools:
    """Return which windows are worth measuring for a veto."""
    middle, last = thirds_of(y)
    return (middle > 0) & (last < k.VETO_RATIO * middle)


def _at_least(name: str, measured: Floats, threshold: Floats, unit: str, *, grows: bool = False) -> Test:
    return Test(name, measured, threshold, measured >= threshold, unit, grows)


def _ratio(
    name: str, over: Floats, under: Floats, least: Floats | float, slack: Floats, *, positive: bool = True
) -> Test:
    """Return whether ``over`` is that share of ``under``, or would be but for noise; ``positive``: and rises."""
    passed = over >= least * under - slack
    if positive:
        passed &= over > 0
    safe = np.where(np.abs(under) > 1e-9, under, 1e-9)
    measured = np.where(under > 0, np.clip(over / safe, -STEEPER, STEEPER), np.where(over > 0, STEEPER, 0.0))
    threshold = np.where(under > 0, np.maximum(least - slack / safe, -STEEPER), 0.0)
    return Test(name, measured, threshold, passed, "ratio")


def _unless(test: Test, void: Bools) -> Test:
    """Return the test, passed where it is void; what was not measured is NaN."""
    return Test(
        test.name, np.where(void, np.nan, test.measured), test.threshold, test.passed | void, test.unit, test.grows
    )


def evidence(judged: TestResults, row: int, plan: TimePlan) -> tuple[Criterion, ...]:
    """Return one row's tests, without those that were void."""
    window_s = plan.spans[int(judged.rows.span[row])].seconds
    measured = [float(test.measured[row]) for test in judged.tests]
    return tuple(
        Criterion(test.name, value, float(test.threshold[row]), bool(test.passed[row]), test.unit, window_s)
        for test, value in zip(judged.tests, measured, strict=True)
        if isfinite(value)
    )
