"""What is asked about one checkpoint, and what is answered: plain values that can be sent to another process.

The daemon holds the blocks and does the cheap test; numpy answers, where the daemon can afford it in a process that
ends (see ``leakwatch.monitoring.evaluation``).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import NamedTuple

from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import TimePlan
from leakwatch.model.verdict import Criterion, Trend


class WindowHit(NamedTuple):
    """What one window showed at one checkpoint; a replay makes millions."""

    rule_hours: float
    seconds: int
    hit: bool
    strong: bool
    memory: bool
    veto: bool
    growing: bool
    slope: float
    """Bytes an hour, and the half width of its 95 % interval."""
    half_width: float
    first: float
    now: float
    """Lowest of its first and of its last two blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockSnapshot:
    """The blocks of one series as they were at a checkpoint; copies, so that sampling may go on meanwhile."""

    first: int
    fine_end: int
    lows: array[float]
    medians: array[float]
    coarse_end: int
    coarse_lows: array[float]
    coarse_medians: array[float]
    top_before: float


@dataclass(frozen=True, slots=True, eq=False)
class WindowRequest:
    """One checkpoint to be judged."""

    plan: TimePlan
    held: BlockSnapshot
    criteria: LeakCriteria
    end: int
    """The fine block it ends with."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowResult:
    """What the windows showed."""

    marks: tuple[WindowHit, ...]
    trends: tuple[Trend, ...]
    """Of the configured windows that could be judged."""
    evidence: tuple[Criterion, ...]
    """Of the window that says most, or came closest."""
    slope: float
    half_width: float
    window_s: int
    """Of that window."""
    since_ms: int
    since_level: float
    """Where the growth began, and the level there."""
    growing: bool
