"""The look that costs nothing: most series stand still, and numpy need not be asked about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.model import Assessment, Criterion, Verdict
from leakwatch.units import format_duration

if TYPE_CHECKING:
    from leakwatch.analysis.blocks import Pyramid
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.spans import Window

MARGIN = 0.8
"""Of the growth a window must show: the range of the troughs bounds what a line rises, but for the ends."""


def screen(
    pyramid: Pyramid, windows: tuple[Window, ...], criteria: LeakCriteria, current_bytes: int
) -> Assessment | None:
    """Return the verdict `ok` when no window's troughs span enough to be growth; None when it takes a closer look."""
    evidence: Criterion | None = None
    for level, window in enumerate(windows):
        ring = pyramid.ring(level)
        lows = ring.lows[-window.blocks :]
        if len(lows) < criteria.min_blocks or len(lows) * window.span_s < criteria.min_fill * window.window_s:
            continue
        fill = min(1.0, len(lows) * window.span_s / window.window_s)
        reach, floor = max(lows) - min(lows), criteria.min_growth_bytes * fill
        if reach >= MARGIN * floor:
            return None
        evidence = Criterion("growth in the window", reach, floor, False, "bytes", window.window_s)
    if evidence is None or evidence.window_s is None:
        return None
    reason = f"no growth within {format_duration(evidence.window_s)}"
    return Assessment(Verdict.OK, current_bytes, (evidence,), slope_bytes_per_hour=0.0, reason=reason)
