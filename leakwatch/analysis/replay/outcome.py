"""What a replay of one series ends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.analysis.tracking.alarm_state import AlarmState
    from leakwatch.analysis.tracking.level_history import LevelHistory
    from leakwatch.model.verdict import Assessment


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """What a replay says of one series."""

    name: str
    assessment: Assessment
    """At the last sample."""
    alerts: tuple[tuple[int, int | None], ...]
    """Times with verdict leak, in UTC milliseconds; the last is open (None) when it still holds at the end."""
    alarm_state: AlarmState | None = None
    ground: LevelHistory | None = None
    """What is remembered at the end, None of a sparse series: what a later verdict would start from."""
