"""The look that costs nothing: most series stand still, and numpy need not be asked about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.model import Assessment, Criterion, Verdict
from leakwatch.units import format_duration

if TYPE_CHECKING:
    from leakwatch.analysis.blocks import Ring
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.spans import Window

MARGIN = 0.5
"""Of the growth a window must show. The range of the troughs bounds what the line can rise, but not at 1: a median of
slopes is ruled by near neighbours, and a search over shapes of 6 to 12 blocks found lines rising 1.75 times the range.
"""


def screen(
    windows: tuple[Window, ...], rings: tuple[Ring, ...], criteria: LeakCriteria, current_bytes: int
) -> Assessment | None:
    """Return `learning` or `ok` where that takes no closer look, else None.

    It is `ok` when no window's troughs span enough to be growth.
    """
    evidence: Criterion | None = None
    for window, ring in zip(windows, rings, strict=True):
        lows = ring.lows[ring.bounds()[1] :]
        if not criteria.enough(len(lows), window):
            continue
        fill = min(1.0, len(lows) * window.span_s / window.window_s)
        reach, floor = max(lows) - min(lows), criteria.min_growth_bytes * fill
        if reach >= MARGIN * floor:
            return None
        evidence = Criterion("growth in the window", reach, floor, False, "bytes", window.window_s)
    if evidence is None or evidence.window_s is None:
        return learning(windows, rings, criteria, current_bytes)
    reason = f"no growth within {format_duration(evidence.window_s)}"
    return Assessment(Verdict.OK, current_bytes, (evidence,), slope_bytes_per_hour=0.0, reason=reason)


def learning(
    windows: tuple[Window, ...], rings: tuple[Ring, ...], criteria: LeakCriteria, current_bytes: int
) -> Assessment:
    """Return that there is too little data, and how much it takes."""
    have = (len(rings[0]) - rings[0].bounds()[1]) * windows[0].span_s
    need = max(criteria.min_fill * windows[0].window_s, criteria.min_blocks * windows[0].span_s)
    evidence = (Criterion("data in the shortest window", have, need, False, "s", windows[0].window_s),)
    reason = f"{format_duration(have)} of data, {format_duration(need)} needed for a first verdict"
    return Assessment(Verdict.LEARNING, current_bytes, evidence, reason=reason)
