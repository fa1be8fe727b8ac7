"""One series under watch: its blocks, its segment, its suspicion. Fed sample by sample, live or from history alike."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from leakwatch.analysis.assess import assess
from leakwatch.analysis.blocks import Pyramid
from leakwatch.analysis.confirm import Look, Suspicion, confirm
from leakwatch.analysis.screen import screen
from leakwatch.analysis.segments import TOOTH_WINDOWS, is_clock_break, is_fall
from leakwatch.model import Assessment, Verdict

if TYPE_CHECKING:
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.judge import WindowJudgement
    from leakwatch.analysis.spans import Window
    from leakwatch.model import Block


class SeriesState:
    """Everything that is known of one series, in bounded memory."""

    __slots__ = ("_fall_ms", "_pyramid", "_windows", "assessment", "previous", "segment_ms", "stale", "suspicion")

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self._windows = windows
        self._pyramid = Pyramid(windows)
        self.previous: tuple[int, float] | None = None
        """Time and value of the newest sample."""
        self.segment_ms = 0
        self._fall_ms = 0
        self.suspicion: Suspicion | None = None
        self.assessment: Assessment | None = None
        self.stale = True
        """Whether blocks were completed since the last assessment."""

    def feed(self, ts_ms: int, value: float, *, same_members: bool = True) -> list[tuple[int, Block]]:
        """Take a sample; return the blocks it completed, as (index of the window, block).

        ``same_members`` is False for a sum whose parts changed: a fall is then no reason to remember its old level.
        """
        if self.previous is None:
            self.segment_ms = self._fall_ms = ts_ms
        elif is_clock_break(self.previous, ts_ms):
            self.end_segment(ts_ms, remember=True)
        elif is_fall(self.previous, value):
            apart_s = (ts_ms - self._fall_ms) / 1000
            self._fall_ms = ts_ms
            if apart_s >= TOOTH_WINDOWS * self._windows[0].window_s:
                self.end_segment(ts_ms, remember=same_members)
        self.previous = (ts_ms, value)
        sealed = self._pyramid.add(ts_ms, value)
        self.stale = self.stale or bool(sealed)
        return sealed

    def end_segment(self, ts_ms: int, *, remember: bool) -> None:
        """Begin a new segment at ``ts_ms``, remembering the old one's level or not."""
        self._pyramid.end_segment(remember=remember)
        self.segment_ms = self._fall_ms = ts_ms
        self.suspicion = None
        self.previous = None
        self.stale = True

    def restore(self, level: int, block: Block, segment_ms: int) -> None:
        """Take a stored block, oldest first, the finest window's before the others'."""
        self.segment_ms = self._fall_ms = segment_ms
        if level == 0:
            self.previous = (block.start_ms, block.last)
        self._pyramid.restore(level, block)

    def remember(self, level: int, low: float) -> None:
        """Take the trough of a stored block of an earlier segment."""
        ring = self._pyramid.ring(level)
        ring.known = max(ring.known, low)

    def assess(self, criteria: LeakCriteria, now_ms: int, headroom_bytes: int | None) -> Assessment:
        """Return the verdict as of now; ``headroom_bytes`` is what is left to grow into, None when unknown."""
        assert self.previous is not None, "a series is assessed after its first sample"
        current = round(self.previous[1])
        if self.assessment is not None and not self.stale:
            return replace(self.assessment, current_bytes=current)
        self.stale = False
        flat = screen(self._pyramid, self._windows, criteria, current)
        if flat is not None:
            self.suspicion, self.assessment = None, flat
            return flat
        found, deciding = assess(self._pyramid, self._windows, criteria, current)
        if deciding is not None:
            found = self._confirmed(found, deciding, criteria, now_ms, headroom_bytes)
        self.assessment = found
        return found

    def _confirmed(
        self,
        found: Assessment,
        deciding: WindowJudgement,
        criteria: LeakCriteria,
        now_ms: int,
        headroom_bytes: int | None,
    ) -> Assessment:
        view, line = deciding.view, deciding.line
        look = Look(
            now_ms=now_ms,
            verdict=found.verdict,
            window_s=view.window.window_s,
            level=float(min(view.lows[-2:])),
            slope_bytes_per_hour=line.slope,
            exhaustion_s=headroom_bytes / line.slope * 3600 if headroom_bytes is not None and line.slope > 0 else inf,
        )
        verdict, self.suspicion, evidence = confirm(look, self.suspicion, criteria)
        reason = found.reason
        if verdict is Verdict.WATCH and found.verdict is Verdict.LEAK:
            reason = f"{reason}; not yet confirmed by fresh data"
        return replace(found, verdict=verdict, evidence=(*found.evidence, *evidence), reason=reason)
