"""What is remembered of one series between checkpoints: a suspicion, a confirmed leak, one that ended, and its levels.

Only ``alarm_transitions`` changes the alarm. The history of the level (records, pauses, releases) follows from the
checkpoints alone, whatever the verdicts are: one pure function, for live series and for replays.

All ages are in rule hours of the life (see ``time_plan``): the same rules hold for hours and for minutes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import Any, NamedTuple, TypeVar

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.tracking.past_runs import PastRuns
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


class Checkpoint(NamedTuple):
    """The newest blocks of a series, as numbers."""

    end_ms: int
    """End of the block the checkpoint ends with."""
    age: float
    """Of the life, in rule hours."""
    trough: float
    """Lowest of the last half rule hour, NaN without data."""
    recent_top: float
    """Highest block low of the last two rule hours: what is below it was not just a dip."""
    noise: float
    """Of block lows a sixth of a rule hour apart, NaN where not known."""


class LevelHistory(NamedTuple):
    """Where the level has been. The store keeps its fields by name."""

    record: float = -inf
    """Highest trough."""
    lowest: float = inf
    record_age: float = 0.0
    longest_pause: float = 0.0
    noise: float = 0.0
    falling: bool = False
    falls: int = 0
    peak: float = -inf
    depth: float = 0.0
    """Level before the last release, and how far down it went."""


RANGE_SHARE = 0.5
"""Of the least growth that the troughs must span: a median of slopes may exceed their range, but not so."""


def follow(history: LevelHistory, checkpoint: Checkpoint) -> LevelHistory:
    """Return the history after one more checkpoint."""
    _, age, low, _, noise = checkpoint
    if not isfinite(low):
        return history
    record, lowest, record_age, pause, known_noise, falling, falls, peak, depth = history
    if not isfinite(noise):
        noise = known_noise
    lowest = min(lowest, low)
    if low > record:
        margin = max(noise, k.RECORD_RATIO * (record - lowest)) if isfinite(record) else 0.0
        if low > record + margin:
            if isfinite(record):
                pause = max(pause, age - record_age)
            record, record_age = low, age
    fall = record - low
    if falling:
        depth = max(depth, peak - low)
        falling = low <= peak - 0.5 * depth
    elif fall > 3 * noise and record > lowest and fall >= _release(record - lowest, depth):
        falling, falls, peak, depth = True, falls + 1, record, fall
    return LevelHistory(record, lowest, record_age, pause, noise, falling, falls, peak, depth)


def _release(gained: float, depth: float) -> float:
    """Return how far a fall must go to be a release; after a first one, half as deep as that is another tooth."""
    return min(k.RELEASE_RATIO * gained, k.RELEASE_AGAIN * depth) if depth > 0 else k.RELEASE_RATIO * gained


def worth_judging(history: LevelHistory, checkpoint: Checkpoint, past_runs: PastRuns, c: LeakCriteria) -> bool:
    """Return whether any window could hit: the cheap test that settles most checkpoints."""
    low = checkpoint.trough
    if history.record - history.lowest < RANGE_SHARE * c.min_growth_bytes or not isfinite(low):
        return False
    return low >= nearest_record(history) or past_runs.any_grew(checkpoint.end_ms)


def nearest_record(history: LevelHistory) -> float:
    """Return how low the level may be for growth to go on now."""
    return history.record - max(3 * history.noise, k.BELOW_RECORD * (history.record - history.lowest))
