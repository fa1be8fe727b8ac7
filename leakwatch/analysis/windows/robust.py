"""Robust statistics of a few evenly spaced values, in plain Python: the daemon loads no numpy.

``robust_rows`` has the same of many series at once. Both are held against each other and against scipy by tests.
"""

from __future__ import annotations

import itertools
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAD_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


def theil_sen(y: Sequence[float]) -> float:
    """Return the slope a step (Theil 1950, Sen 1968), 0 for fewer than two values."""
    slopes = [(y[j] - y[i]) / (j - i) for i in range(len(y)) for j in range(i + 1, len(y))]
    return median(slopes) if slopes else 0.0


def residuals_of(y: Sequence[float], slope: float) -> list[float]:
    """Return what a line of this slope leaves, with a median of 0."""
    rest = [value - slope * at for at, value in enumerate(y)]
    middle = median(rest)
    return [value - middle for value in rest]


def mad_sigma(values: Iterable[float]) -> float:
    """Return the standard deviation about 0 that normal values of this median absolute deviation would have."""
    return MAD_SIGMA * median(map(abs, values))


def step_noise(y: Sequence[float]) -> float:
    """Return the noise of values by their differences: a trend is not in it."""
    steps = [after - before for before, after in itertools.pairwise(y)]
    middle = median(steps)
    return mad_sigma(step - middle for step in steps) / 2**0.5


def bend_noise(y: Sequence[float]) -> float:
    """Return the noise of values by their second differences: neither a trend nor a bend is in it."""
    return mad_sigma(a - 2 * b + c for a, b, c in zip(y, y[1:], y[2:], strict=False)) / 6**0.5
