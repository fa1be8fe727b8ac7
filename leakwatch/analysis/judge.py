"""One window's blocks in, a trend with its criteria out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis import shape
from leakwatch.analysis.trend import Floats, Line, fit_line
from leakwatch.model import Criterion, Trend, Verdict

if TYPE_CHECKING:
    from leakwatch.analysis.blocks import Ring
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.spans import Window

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class WindowView:
    """The blocks of one window that count now."""

    window: Window
    starts_ms: Floats
    """Start of each block, of the window's length."""
    t: Floats
    """The same in hours since the first."""
    lows: Floats
    all_starts_ms: Floats
    """Of every block of the segment that is held, up to twice the window."""
    all_lows: Floats
    known: float
    """The highest trough before the window, -inf where there is none."""

    @property
    def covered_s(self) -> int:
        """Seconds of the window for which there are blocks."""
        return len(self.lows) * self.window.span_s


@dataclass(frozen=True, slots=True)
class WindowJudgement:
    """What one window says, and why."""

    view: WindowView
    line: Line
    trend: Trend
    evidence: tuple[Criterion, ...]


def view_of(window: Window, ring: Ring, criteria: LeakCriteria) -> WindowView | None:
    """Return the window's newest blocks, None while it does not count."""
    whole, first = ring.bounds()
    if not criteria.enough(len(ring) - first, window):
        return None
    starts = np.array(ring.starts, dtype=np.float64)
    lows = np.array(ring.lows, dtype=np.float64)
    known = max([ring.known, *ring.lows[whole:first]])
    return WindowView(
        window, starts[first:], (starts[first:] - starts[first]) / HOUR_MS, lows[first:], starts[whole:], lows[whole:],
        known,
    )  # fmt: skip


def judge_window(view: WindowView, criteria: LeakCriteria) -> WindowJudgement:
    """Return the window's trend, with a verdict on this window alone."""
    line = fit_line(view.t, view.lows)
    grows = _growth_criteria(view, line, criteria)
    bounded = _shape_criteria(view, criteria) if all(c.passed for c in grows) else ()
    verdict, name = _verdict(grows, bounded, criteria)
    trend = Trend(
        window_s=view.window.window_s,
        covered_s=view.covered_s,
        blocks=len(view.lows),
        slope_bytes_per_hour=line.slope,
        slope_low=line.low,
        slope_high=line.high,
        verdict=verdict,
        shape=name,
    )
    return WindowJudgement(view, line, trend, (*grows, *bounded))


def _growth_criteria(view: WindowView, line: Line, c: LeakCriteria) -> tuple[Criterion, ...]:
    """Return whether it grows, by enough to matter and by more than its noise."""
    window_s = view.window.window_s
    grown = line.slope * view.covered_s / 3600
    level = max(float(np.median(view.lows)), 1.0)

    def at_least(name: str, measured: float, threshold: float, unit: str) -> Criterion:
        return Criterion(name, measured, threshold, measured >= threshold, unit, window_s)

    # Strictly above: at a slope interval that touches zero nothing grows.
    significant = Criterion("growth is significant", line.low, 0.0, line.low > 0, "bytes/h", window_s)
    return (
        significant,
        at_least("rate is worth waking for", line.slope, c.min_rate_bytes_per_hour, "bytes/h"),
        at_least("growth in the window", grown, _growth_floor(view, c), "bytes"),
        at_least("growth relative to the level", grown / level, _scaled(c.min_growth_ratio, view), "ratio"),
        at_least("growth against noise", grown / max(line.noise, 1.0), c.min_noise_ratio, "ratio"),
    )


def _scaled(per_window: float, view: WindowView) -> float:
    # A half-full window needs half the growth of a full one.
    return per_window * min(1.0, view.covered_s / view.window.window_s)


def _growth_floor(view: WindowView, c: LeakCriteria) -> float:
    return _scaled(c.min_growth_bytes, view)


def _shape_criteria(view: WindowView, c: LeakCriteria) -> tuple[Criterion, ...]:
    """Return whether it is a ramp that goes on, rather than one of the shapes that are bounded."""
    window_s = view.window.window_s
    t, y = view.t, view.lows
    share, rises = shape.step_share(y)
    tail, late = shape.tail_ratio(y), shape.late_ratio(t, y)
    ground, back = shape.new_ground(y, view.known), shape.retreat(y)
    gain = shape.saturation_gain(t, y)
    return (
        Criterion("still rising", tail, c.min_tail_ratio, tail >= c.min_tail_ratio, "ratio", window_s),
        Criterion("newer half as steep", late, c.min_late_ratio, late >= c.min_late_ratio, "ratio", window_s),
        Criterion("not one step", share, c.max_step_share, share <= c.max_step_share, "ratio", window_s),
        Criterion("separate rises", rises, c.min_rises, rises >= c.min_rises, "", window_s),
        Criterion("new ground", ground, c.min_new_ground, ground >= c.min_new_ground, "ratio", window_s),
        Criterion("not coming down", back, c.max_retreat, back <= c.max_retreat, "ratio", window_s),
        Criterion("no levelling curve", gain, c.min_saturation_gain, gain <= c.min_saturation_gain, "", window_s),
    )


def _verdict(grows: tuple[Criterion, ...], bounded: tuple[Criterion, ...], c: LeakCriteria) -> tuple[Verdict, str]:
    if not all(criterion.passed for criterion in grows):
        return Verdict.OK, "flat"
    failed = {criterion.criterion: criterion.measured or 0.0 for criterion in bounded if not criterion.passed}
    if not failed:
        return Verdict.LEAK, "ramp"
    if failed.get("still rising", 1.0) < c.stopped_ratio:
        return Verdict.OK, "step" if {"not one step", "separate rises"} & failed.keys() else "plateau"
    if {"not one step", "separate rises"} & failed.keys():
        return Verdict.WATCH, "step"
    if {"new ground", "not coming down"} & failed.keys():
        return Verdict.OK, "sawtooth"
    return Verdict.WATCH, "plateau"
