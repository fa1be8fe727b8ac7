"""Where one level has been: records, pauses, releases. Follows from the checkpoints alone, whatever the verdicts are.

All ages are in rule hours of the life, see ``time_plan``. One pure function makes a history from the one before and
a checkpoint, for live series and for replays.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import NamedTuple

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.tracking.past_runs import PastRuns


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
