"""Where one level has been: records, pauses, releases. Follows from the looks alone, whatever is said of them.

All times here are in units of the life's age.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.tracking.past_runs import PastRuns


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest blocks of a series, as numbers."""

    end_ms: int
    """End of the block the look ends with."""
    age: float
    """Of the life, in units."""
    trough: float
    """Lowest of the last half unit, NaN without data."""
    recent_top: float
    """Highest block low of the last two units: what is below it was not just a dip."""
    noise: float
    """Of block lows a sixth of a unit apart, NaN where not known."""


@dataclass(frozen=True, slots=True)
class LevelHistory:
    """Where the level has been: records, pauses, releases. Follows from the looks alone, whatever is said of them."""

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


LookValues: TypeAlias = tuple[int, float, float, float, float]
GroundValues: TypeAlias = tuple[float, float, float, float, float, bool, int, float, float]
"""The fields of a ``Checkpoint`` and of a ``LevelHistory`` in their order."""
RANGE_SHARE = 0.5
"""Of the growth worth waking for that the troughs must span: a median of slopes may exceed their range, but not so."""


def follow(ground: LevelHistory, checkpoint: Checkpoint, c: LeakCriteria) -> LevelHistory:
    """Return the ground after one more look."""
    return LevelHistory(*moved(_values(ground), checkpoint.age, checkpoint.trough, checkpoint.noise, c))


def _values(ground: LevelHistory) -> GroundValues:
    return (
        ground.record, ground.lowest, ground.record_age, ground.longest_pause, ground.noise, ground.falling,
        ground.falls, ground.peak, ground.depth,
    )  # fmt: skip


def moved(ground: GroundValues, age: float, low: float, noise: float, c: LeakCriteria) -> GroundValues:
    """Return what ``follow`` does, of plain values: replays take a million looks."""
    if not isfinite(low):
        return ground
    record, lowest, record_age, pause, known_noise, falling, falls, peak, depth = ground
    if not isfinite(noise):
        noise = known_noise
    lowest = min(lowest, low)
    if low > record:
        margin = max(noise, c.record_ratio * (record - lowest)) if isfinite(record) else 0.0
        if low > record + margin:
            if isfinite(record):
                pause = max(pause, age - record_age)
            record, record_age = low, age
    fall = record - low
    if falling:
        depth = max(depth, peak - low)
        falling = low <= peak - 0.5 * depth
    elif fall > 3 * noise and record > lowest and fall >= _release(record - lowest, depth, c):
        falling, falls, peak, depth = True, falls + 1, record, fall
    return record, lowest, record_age, pause, noise, falling, falls, peak, depth


NO_GROUND = _values(LevelHistory())


def _release(gained: float, depth: float, c: LeakCriteria) -> float:
    """Return how far a fall must go to be a release; after a first one, half as deep as that is another tooth."""
    return min(c.release_ratio * gained, c.release_again * depth) if depth > 0 else c.release_ratio * gained


def worth_judging(ground: LevelHistory, checkpoint: Checkpoint, past_runs: PastRuns, c: LeakCriteria) -> bool:
    """Return whether any window could hit: the cheap look that most series need no more than."""
    return could_hit(_values(ground), checkpoint.trough, c, past_runs, checkpoint.end_ms)


def least_range(c: LeakCriteria) -> float:
    """Return how much the level must have moved for any window to hit."""
    return RANGE_SHARE * c.min_growth_bytes


def could_hit(ground: GroundValues, low: float, c: LeakCriteria, past_runs: PastRuns, end_ms: int) -> bool:
    """Return what ``worth_judging`` does, of plain values."""
    record, lowest, noise = ground[0], ground[1], ground[4]
    if not isfinite(low) or record - lowest < least_range(c):
        return False
    return low >= _nearest(record, lowest, noise, c) or past_runs.any_grew(end_ms)


def nearest_record(ground: LevelHistory, c: LeakCriteria) -> float:
    """Return how low the level may be for growth to go on now."""
    return _nearest(ground.record, ground.lowest, ground.noise, c)


def _nearest(record: float, lowest: float, noise: float, c: LeakCriteria) -> float:
    return record - max(3 * noise, c.below_record * (record - lowest))
