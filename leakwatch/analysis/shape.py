"""Where a rise began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from leakwatch.analysis.trend import Floats


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
