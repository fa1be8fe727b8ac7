"""What is remembered of one series between checkpoints: a suspicion, a confirmed leak, one that ended.

Only ``alarm_transitions`` changes it.

All ages are in rule hours of the life, so that the same rules hold for hours and for minutes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from leakwatch.model.verdict import Criterion


@dataclass(slots=True)
class Suspicion:
    """A forecast frozen when growth was first seen."""

    age: float
    rule_hours: float
    level: float
    slope: float
    """Bytes an hour."""
    last_age: float
    checkpoints: int
    hits: int


@dataclass(slots=True)
class Alarm:
    """A confirmed leak."""

    since_age: float
    """Where the climb began."""
    base: float
    """The level it began at, in bytes."""
    slope: float
    half_width: float
    rule_hours: float
    seconds: int
    started_ms: int
    by: str
    """``fresh data``, ``past lives``, ``reopened`` or ``exhaustion``."""
    onset_ms: int | None = None
    onset_level: float = 0.0
    """When the growth began and the level there, as ``onset.climb_began`` found it when the alarm was raised: later on
    the blocks of that time are held no more. None of an alarm that an earlier version stored, until the next
    checkpoint."""


@dataclass(slots=True)
class EndedAlarm:
    """An alarm that ended while its memory was still held."""

    age: float
    top: float
    length: float
    since_age: float
    base: float
    slope: float
    onset_ms: int | None = None
    onset_level: float = 0.0


@dataclass(slots=True)
class AlarmState:
    """What is remembered of one series between checkpoints."""

    suspicion: Suspicion | None = None
    alarm: Alarm | None = None
    past: EndedAlarm | None = None
    growing: bool = False
    """Some window grew at the newest checkpoint."""
    why: tuple[Criterion, ...] = field(default=())
    """What the last checkpoint held against the suspicion, beyond the windows' own tests."""
    ended: str = ""
    """Why the last alarm ended, the code of a phrase."""

    @property
    def is_idle(self) -> bool:
        """Whether a checkpoint at which no window tells anything would leave it as it is."""
        return self.alarm is None and self.suspicion is None and not self.growing and not self.why


_Part = TypeVar("_Part", Suspicion, Alarm, EndedAlarm)


def to_values(alarm_state: AlarmState) -> dict[str, Any]:
    """Return what the store keeps."""
    return {
        "suspicion": _stored(alarm_state.suspicion),
        "alarm": _stored(alarm_state.alarm),
        "past": _stored(alarm_state.past),
        "growing": alarm_state.growing,
        "ended": alarm_state.ended,
    }


def from_values(values: dict[str, Any]) -> AlarmState:
    """Return the state that ``to_values`` wrote."""
    return AlarmState(
        suspicion=_restored(Suspicion, values["suspicion"]),
        alarm=_restored(Alarm, values["alarm"]),
        past=_restored(EndedAlarm, values["past"]),
        growing=values["growing"],
        ended=values["ended"],
    )


_STORED = {"rule_hours": "units", "checkpoints": "looks"}
"""Fields that the store knows by an earlier name."""


def _stored(part: Suspicion | Alarm | EndedAlarm | None) -> dict[str, Any] | None:
    return None if part is None else {_STORED.get(name, name): value for name, value in asdict(part).items()}


def _restored(kind: type[_Part], values: dict[str, Any] | None) -> _Part | None:
    names = {known: name for name, known in _STORED.items()}
    return kind(**{names.get(name, name): value for name, value in values.items()}) if values else None
