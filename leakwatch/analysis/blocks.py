"""Reduces a series to blocks as samples arrive: (n, min, median, max, last) of each span, for every window at once.

Plain Python and typed arrays: this runs for every series at every scrape, where numpy would cost more than it saves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import inf
from statistics import median
from typing import TYPE_CHECKING

from leakwatch.analysis.spans import KEPT_WINDOWS
from leakwatch.model import Block

if TYPE_CHECKING:
    from leakwatch.analysis.spans import Window

MEDIAN_OF = 64
"""Values held to take a block's median of; beyond it every second one is dropped and every second one taken, so that a
block of any length costs the same memory and its median stays that of evenly spread values."""
WHOLE = 0.75
"""Share of the usual number of samples below which the first block of a segment is not whole: the minimum of half a
block of a ramp lies too high."""
GAP_BLOCKS = 3
"""More missing blocks in a row than this are a gap: the blocks before it say nothing of a window that holds a dozen."""


class OpenBlock:
    """The block samples are falling into."""

    __slots__ = ("_every", "_held", "_skip", "last", "maximum", "minimum", "n", "start_ms")

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.n = 0
        self.minimum = 0.0
        self.maximum = 0.0
        self.last = 0.0
        self._held = array("d")
        self._every = 1
        self._skip = 0

    def add(self, n: int, minimum: float, middle: float, maximum: float, last: float) -> None:
        """Take in a sample (n = 1, all values the same) or a smaller block."""
        self.minimum = minimum if not self.n else min(self.minimum, minimum)
        self.maximum = maximum if not self.n else max(self.maximum, maximum)
        self.last = last
        self.n += n
        if self._skip:
            self._skip -= 1
            return
        self._skip = self._every - 1
        self._held.append(middle)
        if len(self._held) >= MEDIAN_OF:
            self._held = self._held[::2]
            self._every *= 2

    def sealed(self) -> Block:
        """Return the block as it is now."""
        return Block(self.start_ms, self.n, self.minimum, median(self._held), self.maximum, self.last)


class Ring:
    """The newest sealed blocks of one window, of the current segment, oldest first."""

    __slots__ = ("_gap_ms", "_reach_ms", "_room", "_window", "counts", "known", "lows", "medians", "starts")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._room = KEPT_WINDOWS * window.blocks
        self._reach_ms = (window.window_s - window.span_s) * 1000
        self._gap_ms = (GAP_BLOCKS + 1) * window.span_s * 1000
        self.starts = array("q")
        self.lows = array("d")
        self.medians = array("d")
        self.counts = array("q")
        self.known = -inf
        """The highest trough ever seen before the blocks held here, of this target's earlier segments too."""

    def __len__(self) -> int:
        return len(self.starts)

    def append(self, block: Block) -> None:
        """Add the newest block, dropping the oldest when full, and all of them when it lies behind a gap."""
        if self.starts and block.start_ms - self.starts[-1] > self._gap_ms:
            self.clear(remember=True)
        self.starts.append(block.start_ms)
        self.lows.append(block.minimum)
        self.medians.append(block.median)
        self.counts.append(block.n)
        if len(self.starts) > self._room:
            self.known = max(self.known, self.lows[0])
            del self.starts[0], self.lows[0], self.medians[0], self.counts[0]

    def copy(self) -> Ring:
        """Return the same blocks apart from this one."""
        other = Ring(self._window)
        other.known = self.known
        other.starts, other.lows = self.starts[:], self.lows[:]
        other.medians, other.counts = self.medians[:], self.counts[:]
        return other

    def bounds(self) -> tuple[int, int]:
        """Return the index of the first block that is whole, and of the first that lies in the window now."""
        if not self.starts:
            return 0, 0
        whole = int(self.counts[0] < WHOLE * median(self.counts))
        return whole, max(whole, bisect_left(self.starts, self.starts[-1] - self._reach_ms))

    def clear(self, *, remember: bool) -> None:
        """Start a new segment, with or without remembering how high the target has been."""
        self.known = max([self.known, *self.lows]) if remember else -inf
        del self.starts[:], self.lows[:], self.medians[:], self.counts[:]


class Pyramid:
    """All windows' blocks of one series. Feed it samples in order; it never looks back at them."""

    __slots__ = ("_open", "_rings", "_windows")

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self._windows = windows
        self._rings = tuple(Ring(window) for window in windows)
        self._open: list[OpenBlock | None] = [None] * len(windows)

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The sealed blocks of every window, shortest first."""
        return self._rings

    def ring(self, level: int) -> Ring:
        """Return the sealed blocks of the window with this index."""
        return self._rings[level]

    def add(self, ts_ms: int, value: float) -> list[tuple[int, Block]]:
        """Take a sample; return the blocks it completed, as (index of the window, block), finest first.

        A block is completed by the first sample after its end: only then is it known that nothing more falls into it.
        """
        return self._take(0, ts_ms, (1, value, value, value, value))

    def _take(self, level: int, ts_ms: int, what: tuple[int, float, float, float, float]) -> list[tuple[int, Block]]:
        span_ms = self._windows[level].span_s * 1000
        start = ts_ms - ts_ms % span_ms
        current = self._open[level]
        sealed: list[tuple[int, Block]] = []
        if current is not None and current.start_ms != start:
            sealed = self._seal(level, current)
            current = None
        if current is None:
            current = self._open[level] = OpenBlock(start)
        current.add(*what)
        return sealed

    def _seal(self, level: int, current: OpenBlock) -> list[tuple[int, Block]]:
        block = current.sealed()
        self._rings[level].append(block)
        sealed = [(level, block)]
        if level == 0:  # the finest blocks are what all longer windows are made of
            what = (block.n, block.minimum, block.median, block.maximum, block.last)
            for longer in range(1, len(self._windows)):
                sealed += self._take(longer, block.start_ms, what)
        return sealed

    def end_segment(self, *, remember: bool) -> None:
        """Forget the current segment: no line may join what was before with what comes."""
        for ring in self._rings:
            ring.clear(remember=remember)
        self._open = [None] * len(self._windows)

    def restore(self, level: int, block: Block) -> None:
        """Put back a sealed block that was stored, oldest first, finest windows first."""
        self._rings[level].append(block)
        if level == 0:
            self._restore_open(block)
        for finer in self._rings[:level]:  # their own older blocks are not held any more; this is what is left of them
            if finer.starts and block.start_ms + self._windows[level].span_s * 1000 <= finer.starts[0]:
                finer.known = max(finer.known, block.minimum)

    def remember(self, level: int, low: float) -> None:
        """Take the trough of a stored block of an earlier segment."""
        for ring in self._rings[: level + 1]:
            ring.known = max(ring.known, low)

    def _restore_open(self, block: Block) -> None:
        # The longer blocks that were open are made again from the finest ones inside them.
        for longer in range(1, len(self._windows)):
            span_ms = self._windows[longer].span_s * 1000
            start = block.start_ms - block.start_ms % span_ms
            current = self._open[longer]
            if current is None or current.start_ms != start:
                current = self._open[longer] = OpenBlock(start)
            current.add(block.n, block.minimum, block.median, block.maximum, block.last)
