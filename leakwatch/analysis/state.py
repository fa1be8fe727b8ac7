"""One series under watch: its blocks, its segment, its suspicion. Fed sample by sample, live or from history alike."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from leakwatch.analysis.blocks import Pyramid
from leakwatch.analysis.confirm import Look, Suspicion, confirm
from leakwatch.analysis.question import Question
from leakwatch.analysis.screen import screen
from leakwatch.analysis.segments import TOOTH_WINDOWS, is_clock_break, is_fall
from leakwatch.model import Assessment, Verdict

if TYPE_CHECKING:
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.question import Answer
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
        if self.segment_ms != segment_ms:
            self.segment_ms = self._fall_ms = segment_ms
        if level == 0:
            if is_fall(self.previous, block.minimum) or is_fall((block.start_ms, block.maximum), block.last):
                self._fall_ms = block.start_ms  # a tooth of a saw: the next is to be seen as one too
            self.previous = (block.start_ms, block.last)
        self._pyramid.restore(level, block)

    def remember(self, level: int, low: float) -> None:
        """Take the trough of a stored block of an earlier segment."""
        self._pyramid.remember(level, low)

    def ask(self, criteria: LeakCriteria) -> Question | None:
        """Look at what is new; return the question to be answered, None when the cheap look has settled it.

        Either way ``assessment`` is the verdict once ``settle`` has been called with the answer, if one was asked for.
        """
        assert self.previous is not None, "a series is assessed after its first sample"
        current = round(self.previous[1])
        if self.assessment is not None and not self.stale:
            self.assessment = replace(self.assessment, current_bytes=current)
            return None
        self.stale = False
        settled = screen(self._windows, self._pyramid.rings, criteria, current)
        if settled is not None:
            self.suspicion, self.assessment = None, settled
            return None
        return Question(self._windows, tuple(ring.copy() for ring in self._pyramid.rings), criteria, current)

    def settle(self, answer: Answer, criteria: LeakCriteria, now_ms: int, headroom_bytes: int | None) -> None:
        """Take the answer; ``headroom_bytes`` is what is left to grow into, None when unknown."""
        found, slope = answer.assessment, answer.assessment.slope_bytes_per_hour
        if answer.window_s is None or slope is None:
            self.assessment = found
            return
        look = Look(
            now_ms=now_ms,
            verdict=found.verdict,
            window_s=answer.window_s,
            level=answer.level,
            slope_bytes_per_hour=slope,
            exhaustion_s=headroom_bytes / slope * 3600 if headroom_bytes is not None and slope > 0 else inf,
        )
        verdict, self.suspicion, evidence = confirm(look, self.suspicion, criteria)
        reason = found.reason
        if verdict is Verdict.WATCH and found.verdict is Verdict.LEAK:
            reason = f"{reason}; not yet confirmed by fresh data"
        self.assessment = replace(found, verdict=verdict, evidence=(*found.evidence, *evidence), reason=reason)

    def assess(self, criteria: LeakCriteria, now_ms: int, headroom_bytes: int | None) -> Assessment:
        """Ask, answer in this process, settle: return the verdict as of now."""
        question = self.ask(criteria)
        if question is not None:
            from leakwatch.analysis.assess import assess  # noqa: PLC0415 - numpy, which not every process needs

            self.settle(assess(question), criteria, now_ms, headroom_bytes)
        assert self.assessment is not None
        return self.assessment
