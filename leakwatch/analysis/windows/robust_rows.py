"""Robust statistics of many rows of values at once, and of one series with times: ``robust`` in numpy.

Shapes: ``y`` and ``x`` are (rows, values), finite and evenly spaced. Where there is a ``t``, both are one-dimensional
of the same length, ``t`` in hours and increasing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np

from leakwatch.analysis.thresholds import Z95
from leakwatch.analysis.windows.robust import MAD_SIGMA

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MAX_AUTOCORRELATION = 0.9
"""Beyond it a dozen blocks tell nothing of the slope anyway, and the correction would divide by almost nothing."""
ROWS = 2048
"""Rows whose slopes are computed at a time: of twelve values a megabyte, which a core's own cache holds."""


def row_medians(x: Floats) -> Floats:
    """Return the medians of the rows, in a sixth of the time of np.median, which minds NaN."""
    middle = x.shape[1] // 2
    parted = np.partition(x, middle, axis=1)
    if x.shape[1] % 2:
        return parted[:, middle]
    out: Floats = (parted[:, :middle].max(axis=1) + parted[:, middle]) / 2
    return out


def theil_sen(y: Floats) -> Floats:
    """Return the slope of each row a step (Theil 1950, Sen 1968)."""
    i, j, apart = _pairs(y.shape[1])
    out = np.empty(len(y))
    for at in range(0, len(y), ROWS):
        part = y[at : at + ROWS]
        slopes = np.take(part, j, axis=1)
        slopes -= np.take(part, i, axis=1)
        slopes /= apart
        out[at : at + ROWS] = row_medians(slopes)
    return out


@cache
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray, Floats]:
    i, j = np.triu_indices(count, 1)
    return i, j, (j - i).astype(np.float64)


def residuals_of(y: Floats, slope: Floats) -> Floats:
    """Return what lines of these slopes leave of the rows, each with a median of 0."""
    rest = y - slope[:, None] * np.arange(y.shape[1], dtype=np.float64)
    rest -= row_medians(rest)[:, None]
    return rest


def mad_sigma(x: Floats) -> Floats:
    """Return the standard deviation about 0 that normal values of a row's median absolute deviation would have."""
    return row_medians(np.abs(x)) * MAD_SIGMA


def step_noise(y: Floats) -> Floats:
    """Return the noise of each row by its differences: a trend is not in it."""
    steps = np.diff(y, axis=1)
    return mad_sigma(steps - row_medians(steps)[:, None]) / 2**0.5


def bend_noise(y: Floats) -> Floats:
    """Return the noise of each row by its second differences: neither a trend nor a bend is in it."""
    return mad_sigma(np.diff(y, 2, axis=1)) / 6**0.5


def lag1(residuals: Floats) -> Floats:
    """Return the lag-1 autocorrelation of each row, 0 of a row that never moves."""
    centred = residuals - residuals.mean(axis=1)[:, None]
    power = np.maximum((centred * centred).sum(axis=1), 1e-9)
    out: Floats = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / power
    return out


def widening(r: Floats) -> Floats:
    """Return by what a standard error grows at a lag-1 autocorrelation of r.

    n points that resemble their neighbours weigh as n(1-r)/(1+r) independent ones. Only positive r counts: alternation
    is no reason for confidence.
    """
    r = np.clip(r, 0.0, MAX_AUTOCORRELATION)
    out: Floats = np.sqrt((1 + r) / (1 - r))
    return out


class FittedLine(NamedTuple):
    """Slope per hour with its 95 % interval, intercept at t = 0, and the residuals' median absolute deviation."""

    slope: float
    low: float
    high: float
    intercept: float
    noise: float


def fit_line(t: Floats, y: Floats) -> FittedLine:
    """Return the Theil-Sen line of one series. Needs at least two points.

    The interval is Sen's (normal approximation of Kendall's S), its width multiplied by ``widening``.
    """
    slopes = pairwise_slopes(t, y)
    slope = float(np.median(slopes))
    intercept = float(np.median(y - slope * t))
    residuals = y - slope * t - intercept
    low, high = _sen_interval(slopes, len(t))
    widen = float(widening(lag1(residuals[None, :]))[0])
    low, high = slope - widen * (slope - low), slope + widen * (high - slope)
    return FittedLine(slope, low, high, intercept, float(np.median(np.abs(residuals))))


def pairwise_slopes(t: Floats, y: Floats) -> Floats:
    """Return the sorted slopes of all pairs of points with different times."""
    i, j, _ = _pairs(len(t))
    dt = t[j] - t[i]
    apart = dt > 0
    return np.sort((y[j] - y[i])[apart] / dt[apart])


def slope_of(t: Floats, y: Floats) -> float:
    """Return the Theil-Sen slope of one series, 0 for fewer than two points."""
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
