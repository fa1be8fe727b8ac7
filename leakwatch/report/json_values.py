"""How verdicts and evidence are written in JSON: bytes as integers, slopes in bytes per hour, times as RFC 3339."""

from __future__ import annotations

from math import isfinite
from typing import Any

from leakwatch.clock import has_name, rfc3339
from leakwatch.model.verdict import Assessment, Criterion, Trend


def growth(found: Assessment | Trend, unit: str) -> dict[str, Any]:
    """Return a slope with its interval, which is in bytes or, of a count, in numbers; the other is None."""
    slope = found.slope_bytes_per_hour
    if unit == "count":
        return {
            "slope_bytes_per_hour": None,
            "slope_count_per_hour": hundredth(slope),
            "slope_low": hundredth(found.slope_low),
            "slope_high": hundredth(found.slope_high),
        }
    return {
        "slope_bytes_per_hour": integer(slope),
        "slope_low": integer(found.slope_low),
        "slope_high": integer(found.slope_high),
    }


def window(trend: Trend, unit: str = "") -> dict[str, Any]:
    """Return one window's trend."""
    return {
        "window_s": trend.window_s,
        "covered_s": trend.covered_s,
        "blocks": trend.blocks,
        **growth(trend, unit),
        "verdict": str(trend.verdict),
        "shape": trend.shape,
    }


def criterion(test: Criterion) -> dict[str, Any]:
    """Return one test of a verdict."""
    whole = test.unit.startswith("bytes")
    return {
        "criterion": test.criterion,
        "measured": integer(test.measured) if whole else finite(test.measured),
        "threshold": integer(test.threshold) if whole else finite(test.threshold),
        "passed": bool(test.passed),
        "unit": test.unit,
        "window_s": test.window_s,
    }


def integer(value: float | None) -> int | None:
    """Return the nearest integer, None for what is not finite."""
    return None if value is None or not isfinite(value) else round(value)


def hundredth(value: float | None) -> float | None:
    """Return the number to two places, None for what is not finite."""
    return None if value is None or not isfinite(value) else round(value, 2)


def finite(value: float | None) -> float | None:
    """Return the number, None for what is not finite: JSON has no such numbers."""
    return None if value is None or not isfinite(value) else value


def time(ts_ms: int | None) -> str | None:
    """Return UTC milliseconds as RFC 3339, None where it cannot name the year."""
    return None if ts_ms is None or not has_name(ts_ms) else rfc3339(ts_ms)
