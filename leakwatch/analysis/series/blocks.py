"""Reduces a series to blocks as samples arrive: (n, min, median, max, last) of each span, fine and coarse at once.

Plain Python and typed arrays: this runs for every series at every scrape, where numpy would cost more than it saves.
"""

from __future__ import annotations

from array import array
from math import inf, isfinite, nan
from statistics import median
from typing import Final

from leakwatch.analysis.time_plan import COARSE_OF, FINE_KEPT, TimePlan
from leakwatch.model.sample import Block

MEDIAN_OF = 64
"""Values held to take a block's median of; beyond it every second one is dropped and every second one taken, so that a
block of any length costs the same memory and its median stays that of evenly spread values."""
FINE, COARSE = 0, 1
HELD_AS: Final = "f"
"""Type code of what a ring holds: single precision, 6 kB less a series after twenty days. Exact for memory counted in
pages up to 64 GiB, and to 64 bytes in a GiB for anything else."""

COARSE_STEP = 48
"""Coarse blocks that memory is taken for at a time: two days of them at the default windows. The fine ones, which fill
within 28 hours, have theirs at once: a daemon that fills for a day looks like one that leaks."""


class OpenBlock:
    """The block samples are falling into."""

    __slots__ = ("_every", "_held", "_skip", "index", "last", "maximum", "minimum", "n")

    def __init__(self, index: int) -> None:
        self.index = index
        self.n = 0
        self.minimum = inf
        self.maximum = -inf
        self.last = 0.0
        self._held = array("d")
        self._every = 1
        self._skip = 0

    def add(self, n: int, minimum: float, middle: float, maximum: float, last: float) -> None:
        """Take in a sample (n = 1, all values the same) or a smaller block."""
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
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

    def sealed(self, span_s: int) -> Block:
        """Return the block as it is now."""
        return Block(self.index * span_s * 1000, self.n, self.minimum, median(self._held), self.maximum, self.last)


class Ring:
    """The newest blocks of one span on a grid, oldest first; NaN where no sample fell.

    Its memory is taken ``step`` blocks at a time and never given back: arrays that grow block by block leave holes all
    over the heap.
    """

    __slots__ = ("_count", "_lows", "_medians", "_room", "_step", "end")

    def __init__(self, room: int, step: int) -> None:
        self._room = room
        self._step = step
        self._count = 0
        self.end = -1
        """Index of the newest block, -1 while there is none."""
        self._lows = array(HELD_AS)
        self._medians = array(HELD_AS)

    def __len__(self) -> int:
        return self._count

    @property
    def lows(self) -> array[float]:
        """The lowest value of each block held, a copy."""
        return self._lows[: self._count]

    @property
    def medians(self) -> array[float]:
        """The median of each block held, a copy."""
        return self._medians[: self._count]

    @property
    def start(self) -> int:
        """Index of the oldest block held."""
        return self.end - self._count + 1

    def append(self, index: int, low: float, middle: float) -> None:
        """Add the block with this index, newer than all held; the missing ones before it are NaN."""
        if self._count:
            self.pad(index - 1)
        self._push(1, low, middle)
        self.end = index

    def pad(self, index: int) -> None:
        """Hold NaN up to and with this index."""
        missing = min(index - self.end, self._room)
        if missing > 0:
            self._push(missing, nan, nan)
            self.end = index

    def _push(self, number: int, low: float, middle: float) -> None:
        """Add so many blocks of these values; the oldest make room for them."""
        before = self._count
        kept = min(before, self._room - number)
        count = kept + number
        for held, value in ((self._lows, low), (self._medians, middle)):
            if count > len(held):
                held.extend([nan] * min(-(-(count - len(held)) // self._step) * self._step, self._room - len(held)))
            if kept < before:
                held[:kept] = held[before - kept : before]
            held[kept:count] = array(HELD_AS, [value]) * number
        self._count = count

    def clear(self) -> None:
        """Hold nothing."""
        self.end = -1
        self._count = 0


class Trail:
    """The fine and the coarse blocks of one series. Feed it samples in order; it never looks back at them."""

    __slots__ = ("_open", "_plan", "coarse", "fine", "first", "top_before")

    def __init__(self, plan: TimePlan) -> None:
        self._plan = plan
        self.fine = Ring(FINE_KEPT, FINE_KEPT)
        self.coarse = Ring(plan.coarse_kept, COARSE_STEP)
        self.first = -1
        """Fine block the current segment began with, -1 before its first sample."""
        self.top_before = -inf
        """Highest trough of earlier segments."""
        self._open: list[OpenBlock | None] = [None, None]

    def add(self, ts_ms: int, value: float) -> list[tuple[int, Block]]:
        """Take a sample; return the blocks it completed, as (FINE or COARSE, block).

        A block is completed by the first sample after its end: only then is it known that nothing more falls into it.
        """
        index = ts_ms // (self._plan.base_s * 1000)
        sealed: list[tuple[int, Block]] = []
        current = self._open[FINE]
        if current is not None and current.index != index:
            sealed = self._seal(current)
            self._seal_coarse(index // COARSE_OF, sealed)
            current = None
        if current is None:
            current = self._open[FINE] = OpenBlock(index)
            if self.first < 0:
                self.first = index
        current.add(1, value, value, value, value)
        return sealed

    def _seal(self, current: OpenBlock) -> list[tuple[int, Block]]:
        block = current.sealed(self._plan.base_s)
        self.fine.append(current.index, block.minimum, block.median)
        self._into_coarse(current.index, block)
        return [(FINE, block)]

    def _into_coarse(self, index: int, block: Block) -> None:
        longer = self._open[COARSE]
        if longer is None or longer.index != index // COARSE_OF:
            longer = self._open[COARSE] = OpenBlock(index // COARSE_OF)
        longer.add(block.n, block.minimum, block.median, block.maximum, block.last)

    def _seal_coarse(self, now: int, sealed: list[tuple[int, Block]]) -> None:
        """Complete the coarse block that was open when time has passed beyond it."""
        longer = self._open[COARSE]
        if longer is not None and longer.index < now:
            block = longer.sealed(self._plan.coarse_s)
            self.coarse.append(longer.index, block.minimum, block.median)
            self._open[COARSE] = None
            sealed.append((COARSE, block))

    def pad(self, index: int) -> None:
        """Hold NaN for the fine blocks up to this index, in which no sample fell."""
        self.fine.pad(index)
        last = (index + 1) // COARSE_OF - 1
        if len(self.coarse):
            self.coarse.pad(last)

    def end_segment(self, *, remember: bool) -> None:
        """Forget the current segment: no line may join what was before with what comes."""
        lows = [low for low in (*self.coarse.lows, *self.fine.lows) if isfinite(low)]
        self.top_before = max([self.top_before, *lows]) if remember else -inf
        self.fine.clear()
        self.coarse.clear()
        self.first = -1
        self._open = [None, None]

    def restore(self, level: int, block: Block, first: int) -> None:
        """Put back a sealed block that was stored, oldest first; ``first`` is the fine block its segment began with."""
        self.first = first
        if level == COARSE:
            self.coarse.append(block.start_ms // (self._plan.coarse_s * 1000), block.minimum, block.median)
            return
        index = block.start_ms // (self._plan.base_s * 1000)
        self.fine.append(index, block.minimum, block.median)
        self._into_coarse(index, block)

    def remember(self, low: float) -> None:
        """Take the trough of a stored block of an earlier segment."""
        self.top_before = max(self.top_before, array(HELD_AS, (low,))[0])  # as it was held


RESET_RATIO = 0.5
"""A fall below half of the sample before is a restart, a flush or a freed cache (coroot and others split there too)."""
RESET_FLOOR_BYTES = 4 << 20
"""Below this level a halving is everyday noise: 60 kB instead of 130 kB is no restart."""
TOOTH_HOURS = 2
"""Falls closer together than this are the teeth of a saw, a part of the shape and no new beginning: cutting there would
leave nothing long enough to judge."""


def is_fall(previous: tuple[int, float] | None, value: float) -> bool:
    """Return whether ``value`` fell so far below the sample before that what grew was given back."""
    return previous is not None and previous[1] >= RESET_FLOOR_BYTES and value < RESET_RATIO * previous[1]
