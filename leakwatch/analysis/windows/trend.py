"""A robust line: Theil-Sen slope with Sen's interval, widened for autocorrelation.

Shapes: ``t`` and ``y`` are one-dimensional float arrays of the same length, ``t`` in hours and increasing.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from leakwatch.analysis.thresholds import Z95

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MAX_AUTOCORRELATION = 0.9
"""Beyond it a dozen blocks tell nothing of the slope anyway, and the correction would divide by almost nothing."""


class FittedLine(NamedTuple):
    """Slope per hour with its 95 % interval, intercept at t = 0, and the residuals' median absolute deviation."""

    slope: float
    low: float
    high: float
    intercept: float
    noise: float


def fit_line(t: Floats, y: Floats) -> FittedLine:
    """Return the Theil-Sen line (Sen 1968). Needs at least two points.

    The interval is Sen's (normal approximation of Kendall's S), its width multiplied by sqrt((1+r)/(1-r)) with r the
    residuals' lag-1 autocorrelation: n points that resemble their neighbours weigh as n(1-r)/(1+r) independent ones.
    """
    slopes = pairwise_slopes(t, y)
    slope = float(np.median(slopes))
    intercept = float(np.median(y - slope * t))
    residuals = y - slope * t - intercept
    low, high = _sen_interval(slopes, len(t))
    r = _autocorrelation(residuals)
    widen = ((1 + r) / (1 - r)) ** 0.5
    low, high = slope - widen * (slope - low), slope + widen * (high - slope)
    return FittedLine(slope, low, high, intercept, float(np.median(np.abs(residuals))))


def pairwise_slopes(t: Floats, y: Floats) -> Floats:
    """Return the sorted slopes of all pairs of points with different times."""
    i, j = np.triu_indices(len(t), 1)
    dt = t[j] - t[i]
    apart = dt > 0
    return np.sort((y[j] - y[i])[apart] / dt[apart])


def slope_of(t: Floats, y: Floats) -> float:
    """Return the Theil-Sen slope alone, 0 for fewer than two points."""
    return float(np.median(pairwise_slopes(t, y))) if len(t) > 1 else 0.0


def _sen_interval(slopes: Floats, n: int) -> tuple[float, float]:
    reach = Z95 * (n * (n - 1) * (2 * n + 5) / 18) ** 0.5
    count = len(slopes)
    # Gilbert 1987, section 16.5: of the ordered slopes the one numbered (count - reach) / 2, and its counterpart.
    first, last = round((count - reach) / 2) - 1, round((count + reach) / 2)
    if first < 0:
        # Too few points for the level: the extremes are the most that can be said, opened to both signs so that
        # nothing is claimed of the direction.
        return min(float(slopes[0]), 0.0), max(float(slopes[-1]), 0.0)
    return float(slopes[first]), float(slopes[min(count - 1, last)])


def _autocorrelation(residuals: Floats) -> float:
    """Lag-1 autocorrelation, only positive values count: alternation is no reason for confidence."""
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    return min(MAX_AUTOCORRELATION, max(0.0, float(centred[1:] @ centred[:-1]) / power))
