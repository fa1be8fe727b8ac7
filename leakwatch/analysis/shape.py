"""What a rise looks like: a ramp, a plateau reached, a step, the tooth of a saw.

All functions take block troughs ``y`` at times ``t`` in hours and return plain numbers.
"""

from __future__ import annotations

import numpy as np

from leakwatch.analysis.trend import Floats, slope_of

STEEPER = 1000.0
"""Stands for any larger ratio of slopes: a ratio to nothing is no number that JSON can carry."""


def envelope(y: Floats) -> Floats:
    """Return for each block the lowest trough from there on: the supporting line under a sawtooth, never falling."""
    return np.minimum.accumulate(y[::-1])[::-1]


def late_ratio(t: Floats, y: Floats) -> float:
    """Return the slope of the newer half over that of the older half, STEEPER where the older half does not rise."""
    middle = len(t) // 2
    early, late = slope_of(t[: middle + 1], y[: middle + 1]), slope_of(t[middle:], y[middle:])
    if early <= 0:
        return STEEPER if late > 0 else 0.0
    return min(STEEPER, late / early)


def tail_ratio(y: Floats) -> float:
    """Return the rise over the newest third of the blocks as a share of what even growth would rise there."""
    total = _rise(y)
    third = max(2, len(y) // 3)
    even = total * (third - 1) / (len(y) - 1)  # each end is the median of two: their middles are a block nearer
    return float((np.median(y[-2:]) - np.median(y[-third - 1 :][:2])) / even) if even > 0 else 0.0


def _rise(y: Floats) -> float:
    """Return the rise from the first to the last blocks, each end the median of two to forgive one odd block."""
    return float(np.median(y[-2:]) - np.median(y[:2])) * (len(y) - 1) / max(1, len(y) - 2)


def step_share(y: Floats) -> tuple[float, int]:
    """Return the largest rise of the envelope as a share of all its rises, and how many reach a tenth of it."""
    rises = np.diff(envelope(y))
    total = float(rises.sum())
    if total <= 0:
        return 1.0, 0
    largest = float(rises.max())
    return largest / total, int((rises >= 0.1 * largest).sum())


def saturation_gain(t: Floats, y: Floats) -> float:
    """Return by how much a saturating curve explains the blocks better than a line: AICc(line) - AICc(curve).

    The curve is a + b(1 - exp(-t/T)) with b > 0; T is searched on a grid up to the window's length, beyond which the
    two cannot be told apart. Negative where the line is as good.
    """
    x = t - t[0]
    span = float(x[-1])
    if span <= 0:
        return 0.0
    flat = np.ones_like(x)
    line = _squares(np.column_stack([flat, x]), y)[0]
    best = np.inf
    for part in (0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0):
        squares, factor = _squares(np.column_stack([flat, 1 - np.exp(-x / (part * span))]), y)
        if factor > 0:
            best = min(best, squares)
    if not np.isfinite(best):
        return 0.0
    n = len(x)
    # A floor under both: an exact fit of quantised values must not make a difference of nothing infinite.
    floor = max(line * 1e-6, 1.0)
    return float(n * np.log((line + floor) / (best + floor)) - _penalty(3, n) + _penalty(2, n))


def _squares(design: Floats, y: Floats) -> tuple[float, float]:
    """Return the residual sum of squares of a least squares fit and the factor of the last column."""
    factors = np.linalg.lstsq(design, y, rcond=None)[0]
    residuals = y - design @ factors
    return float(residuals @ residuals), float(factors[-1])


def _penalty(parameters: int, n: int) -> float:
    k = parameters + 1  # the residuals' variance is estimated too
    return 2 * k + (2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf)


def new_ground(y: Floats, known: float) -> float:
    """Return which share of the window's rise lies above ``known``, the highest trough before the window."""
    low, top = float(y[:2].min()), float(y[-2:].min())
    if top <= low:
        return 0.0
    return float(np.clip((top - max(low, known)) / (top - low), 0.0, 1.0))


def retreat(y: Floats) -> float:
    """Return how far the newest blocks lie below the window's highest trough, as a share of the window's range."""
    reach = float(y.max() - y.min())
    return float(y.max() - np.median(y[-2:])) / reach if reach > 0 else 0.0


def onset(t: Floats, y: Floats) -> tuple[int, float]:
    """Return the index where the growth began and the level there: the best fit of a flat part and then a line."""
    n = max(1, len(t) - 3)
    base = np.cumsum(y)[:n] / np.arange(1, n + 1)
    x = np.maximum(t - t[:n, None], 0.0)  # a row for each place the line could begin
    z = y - base[:, None]
    factor = (x * z).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1e-12)
    flat = np.tri(n, len(t), -1, dtype=np.bool_)  # before the line; the block it begins with counts for both
    part = np.where(flat, z, z - factor[:, None] * x)
    squares = (part * part).sum(axis=1) + np.diagonal(z) ** 2
    best, at = np.inf, 0
    for k, value in enumerate(squares.tolist()):
        if value < best * 0.98:  # a later onset must explain more, not merely as much
            best, at = value, k
    return at, float(base[at])
