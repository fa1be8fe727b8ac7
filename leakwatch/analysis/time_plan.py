"""How time is cut: blocks, looks and windows, all scaled to the windows that are configured.

Rules are written in hours of the default windows (1 h to 10 d). Other windows stretch or shrink that hour (the *unit*),
so that minute-long windows give verdicts in minutes by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

BLOCKS = 12
"""Blocks a window is judged by: twelve points carry a robust line; more only cost."""
UNITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 36, 48, 60, 96, 132, 192, 240)
"""Lengths judged, in units: dyadic with steps between, since half an octave too long is hours of delay."""
FINE_UNITS = 24
"""Windows up to this long are cut from fine blocks, longer ones from coarse blocks."""
FINE_KEPT = 28 * BLOCKS
"""Fine blocks held: 28 units at 12 a unit, the same time yesterday with two hours around it."""
COARSE_OF = 12
"""Fine blocks in a coarse one."""
ALL_UNITS = 240.0
"""The longest default window in the shortest: a ladder of windows this long is the default, scaled."""
SHORTEST_UNIT = 0.2
"""Of the shortest window. Where only minutes are configured (1 m, 2 m) the rules' five hours of patience are one
window: who asks for minutes is not served by a rule about the rhythm of days."""
LEAST_UNITS = 6
"""In the longest window: growth is asked to go on for six units, and with fewer there it could not be seen doing so."""
HUMAN_S = 1800
"""From windows of half an hour on, a unit is never less than the shortest window or an hour: there are days in it."""
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Span:
    """A window that is judged: twelve blocks of ``q`` fine or coarse blocks."""

    q: int
    coarse: bool
    seconds: int
    units: float


@dataclass(frozen=True, slots=True)
class TimePlan:
    """Everything about time that follows from the configured windows and the sampling interval."""

    windows_s: tuple[int, ...]
    base_s: int
    """Of a fine block."""
    unit_s: float
    """What the rules call an hour."""
    spans: tuple[Span, ...]
    """Shortest first."""
    checkpoint_blocks: int
    """Fine blocks from one look to the next: a quarter of a unit."""
    coarse_kept: int

    @property
    def coarse_s(self) -> int:
        """Seconds of a coarse block."""
        return self.base_s * COARSE_OF

    @property
    def levels(self) -> tuple[int, int]:
        """The two spans blocks are stored at, in seconds."""
        return self.base_s, self.coarse_s

    def blocks_of(self, units: float) -> int:
        """Return how many fine blocks make up so many units, at least 1."""
        return max(1, round(units * self.unit_s / self.base_s))

    def seconds(self, units: float) -> float:
        """Return units in seconds."""
        return units * self.unit_s


def plan_of(windows_s: tuple[int, ...], interval_s: float) -> TimePlan:
    """Return the plan for these windows; a fine block holds at least one sample."""
    return _plan_of(tuple(sorted(windows_s)), -int(-interval_s // 1))


@lru_cache(maxsize=64)
def _plan_of(ordered: tuple[int, ...], whole_s: int) -> TimePlan:
    shortest, longest = ordered[0], ordered[-1]
    base = max(1, round(shortest / BLOCKS), whole_s)
    unit = min(shortest, max(SHORTEST_UNIT * shortest, longest / ALL_UNITS))
    if shortest >= HUMAN_S:
        unit = max(unit, min(shortest, HOUR_S))
    unit = min(unit, longest / LEAST_UNITS)
    spans = _spans(base, float(unit), longest)
    coarse_kept = max(2 * BLOCKS, 2 * max((s.q * BLOCKS for s in spans if s.coarse), default=0))
    return TimePlan(ordered, base, float(unit), spans, max(1, round(unit / base / 4)), coarse_kept)


def _spans(base: int, unit: float, longest: int) -> tuple[Span, ...]:
    found: dict[int, Span] = {}
    for units in UNITS:
        blocks = units * unit / base
        coarse = units > FINE_UNITS
        q = max(1, round(blocks / BLOCKS / (COARSE_OF if coarse else 1)))
        seconds = q * BLOCKS * base * (COARSE_OF if coarse else 1)
        if (coarse or q * BLOCKS <= FINE_KEPT - BLOCKS) and (seconds <= longest or not found):
            found.setdefault(seconds, Span(q, coarse, seconds, seconds / unit))
    return tuple(found[seconds] for seconds in sorted(found))
