"""How time is cut: blocks, checkpoints and windows, all scaled to the windows that are configured.

Rules are written in hours of the default windows (1 h to 10 d). Other windows stretch or shrink that hour, which is the
*rule hour* (``TimePlan.rule_hour_s``), so that minute-long windows give verdicts in minutes by the same rules. It is an
hour where the windows are the default ones. Ages, lengths of windows and thresholds called ``..._hours`` are in it;
rates and slopes are always in bytes per real hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Blocks = TypeVar("_Blocks", int, "NDArray[np.int64]")
"""A fine block, or many."""

BLOCKS = 12
"""Blocks a window is judged by: twelve points carry a robust line; more only cost."""
SPAN_HOURS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 36, 48, 60, 96, 132, 192, 240)
"""Lengths judged, in rule hours: dyadic with steps between, since half an octave too long is hours of delay."""
FINE_HOURS = 24
"""Windows up to this long are cut from fine blocks, longer ones from coarse blocks."""
FINE_KEPT = 28 * BLOCKS
"""Fine blocks held: 28 rule hours at 12 a rule hour, the same time yesterday with two hours around it."""
COARSE_OF = 12
"""Fine blocks in a coarse one."""
ALL_HOURS = 240.0
"""The longest default window in the shortest: a ladder of windows this long is the default, scaled."""
SHORTEST_HOUR = 0.2
"""Of the shortest window. Where only minutes are configured (1 m, 2 m) the rules' five hours of patience are one
window: who asks for minutes is not served by a rule about the rhythm of days."""
LEAST_HOURS = 6
"""In the longest window: growth has to go on for six rule hours, and a shorter window could not show it."""
HUMAN_S = 1800
"""From windows of half an hour on, a rule hour is no less than the shortest window or an hour: days pass in it."""
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Span:
    """A window that is judged: twelve blocks of ``q`` fine or coarse blocks."""

    q: int
    coarse: bool
    seconds: int
    rule_hours: float


@dataclass(frozen=True, slots=True)
class TimePlan:
    """Everything about time that follows from the configured windows and the sampling interval."""

    windows_s: tuple[int, ...]
    base_s: int
    """Of a fine block."""
    rule_hour_s: float
    """Seconds of a rule hour: what the rules call an hour."""
    spans: tuple[Span, ...]
    """Shortest first."""
    checkpoint_blocks: int
    """Fine blocks from one checkpoint to the next: a quarter of a rule hour."""
    coarse_kept: int

    @property
    def coarse_s(self) -> int:
        """Seconds of a coarse block."""
        return self.base_s * COARSE_OF

    @property
    def levels(self) -> tuple[int, int]:
        """The two spans blocks are stored at, in seconds."""
        return self.base_s, self.coarse_s

    @property
    def longest_gap_ms(self) -> int:
        """Milliseconds without a sample after which a segment ends: all that is held would be a gap."""
        return self.coarse_kept * self.coarse_s * 1000

    def due(self, block: _Blocks) -> _Blocks:
        """Return the fine block that the first checkpoint at or after a fine block ends with."""
        return -(-(block + 1) // self.checkpoint_blocks) * self.checkpoint_blocks - 1

    def blocks_of(self, hours: float) -> int:
        """Return how many fine blocks make up so many rule hours, at least 1."""
        return max(1, round(hours * self.rule_hour_s / self.base_s))

    def seconds(self, hours: float) -> float:
        """Return rule hours in seconds."""
        return hours * self.rule_hour_s


def plan_of(windows_s: tuple[int, ...], interval_s: float) -> TimePlan:
    """Return the plan for these windows; a fine block holds at least one sample."""
    return _plan_of(tuple(sorted(windows_s)), -int(-interval_s // 1))


@lru_cache(maxsize=64)
def _plan_of(ordered: tuple[int, ...], whole_s: int) -> TimePlan:
    shortest, longest = ordered[0], ordered[-1]
    base = max(1, round(shortest / BLOCKS), whole_s)
    hour = min(shortest, max(SHORTEST_HOUR * shortest, longest / ALL_HOURS))
    if shortest >= HUMAN_S:
        hour = max(hour, min(shortest, HOUR_S))
    hour = min(hour, longest / LEAST_HOURS)
    spans = _spans(base, float(hour), longest)
    coarse_kept = max(2 * BLOCKS, 2 * max((s.q * BLOCKS for s in spans if s.coarse), default=0))
    return TimePlan(ordered, base, float(hour), spans, max(1, round(hour / base / 4)), coarse_kept)


def _spans(base: int, hour: float, longest: int) -> tuple[Span, ...]:
    found: dict[int, Span] = {}
    for hours in SPAN_HOURS:
        blocks = hours * hour / base
        coarse = hours > FINE_HOURS
        q = max(1, round(blocks / BLOCKS / (COARSE_OF if coarse else 1)))
        seconds = q * BLOCKS * base * (COARSE_OF if coarse else 1)
        if (coarse or q * BLOCKS <= FINE_KEPT - BLOCKS) and (seconds <= longest or not found):
            found.setdefault(seconds, Span(q, coarse, seconds, seconds / hour))
    return tuple(found[seconds] for seconds in sorted(found))
