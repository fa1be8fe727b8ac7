"""What is asked about one series, and what is answered: plain values that can be sent to another process.

The daemon holds the blocks and does the cheap look; numpy answers, where the daemon can afford it in a process that
ends (see ``leakwatch.judging``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.analysis.blocks import Ring
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.spans import Window
    from leakwatch.model import Assessment


@dataclass(frozen=True, slots=True)
class Question:
    """The blocks of one series, by window, shortest first; copies, so that sampling may go on meanwhile."""

    windows: tuple[Window, ...]
    rings: tuple[Ring, ...]
    criteria: LeakCriteria
    current_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The assessment before confirmation, and what the confirmation needs of the window that decided."""

    assessment: Assessment
    window_s: int | None = None
    """None while no window counts."""
    level: float = 0.0
    """Of its newest troughs, in bytes."""
