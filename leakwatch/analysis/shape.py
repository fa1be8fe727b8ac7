"""Where a rise began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from leakwatch.analysis.trend import Floats


def onset(t: Floats, y: Floats) -> tuple[int, float]:
    """Return the index where the growth began and the level there: the best fit of a flat part and then a line."""
    best, at, level = np.inf, 0, float(y[0])
    for k in range(max(1, len(t) - 3)):
        base = float(np.mean(y[: k + 1]))
        x, z = t[k:] - t[k], y[k:] - base
        factor = float(x @ z) / max(float(x @ x), 1e-12)
        squares = float(((y[: k + 1] - base) ** 2).sum() + ((z - factor * x) ** 2).sum())
        if squares < best * 0.98:  # a later onset must explain more, not merely as much
            best, at, level = squares, k, base
    return at, level
