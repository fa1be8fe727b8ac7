"""What the past lives of a service teach about the present one: the level they settled at, the slope they kept.

A summary is made of a life's own blocks alone, when it has ended, and counts for others from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.window_request import WindowHit
from leakwatch.analysis.windows.robust import bend_noise, mad_sigma, residuals_of, theil_sen

LEAST_BLOCKS = 12
"""A life shorter than this tells nothing."""
GROWN_NOISE = 4.0
GROWN_SHARE = 0.05
"""A life grew when its last two thirds rose by four times its noise and 5 % of its final level, straight."""
FLAT_SHARE = 0.04
FLAT_OF_RISE = 0.1
"""A life settled when its second half rose by less than 4 % of its level, or a tenth of all it rose. What did neither
teaches nothing."""
SETTLED_AT = 0.95
"""It had settled when it first reached this share of its final level."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The summary of one life."""

    name: str
    ended_ms: int
    """From when on it is known."""
    age_hours: float
    grew: bool
    slope: float
    """Bytes an hour over the last two thirds."""
    level: float
    """At the end, in bytes."""
    settled_hours: float
    """Time it took to reach that level, 0 for a life that grew."""


def summarise(
    name: str, lows: Sequence[float], ended_ms: int, base_s: int, rule_hour_s: float, criteria: LeakCriteria
) -> RunSummary | None:
    """Return the summary of a life from its block lows (NaN where no sample fell), None where it teaches nothing."""
    real = [low for low in lows if isfinite(low)]
    if len(real) < LEAST_BLOCKS:
        return None
    end = median(real[-max(2, len(real) // 8) :])
    rest = real[len(real) // 3 :]
    size = max(1, len(rest) // 12)
    count = min(12, len(rest))
    rest = rest[len(rest) - count * size :]
    y = [min(rest[i * size : (i + 1) * size]) for i in range(count)]
    slope, noise, error = _line(y)
    growth = slope * (count - 1)
    per_hour = slope / (size * base_s) * 3600
    early, late = theil_sen(y[: count // 2]), theil_sen(y[count // 2 :])
    grew = (
        growth >= max(GROWN_NOISE * noise, GROWN_SHARE * abs(end), criteria.min_growth_bytes)
        and per_hour >= criteria.min_rate_bytes_per_hour
        and slope >= k.MIN_Z * error
        and late >= k.MIN_LATE_RATIO * early - 0.3 * min(noise, 1.5 * bend_noise(y))
    )
    half = real[len(real) // 2 :]
    quarter = max(1, len(half) // 4)
    rise = median(half[-quarter:]) - median(half[:quarter])
    flat = rise <= max(FLAT_SHARE * end, FLAT_OF_RISE * (end - real[0]), criteria.min_growth_bytes)
    if not grew and not flat:
        return None
    settled = 0.0
    if not grew:
        settled = next((i for i, low in enumerate(lows) if low >= SETTLED_AT * end), len(lows)) * base_s / rule_hour_s
    return RunSummary(name, ended_ms, len(lows) * base_s / rule_hour_s, grew, per_hour, end, settled)


def _line(y: Sequence[float]) -> tuple[float, float, float]:
    """Return slope, noise and standard error of a robust line."""
    slope, n = theil_sen(y), len(y)
    residuals = residuals_of(y, slope)
    error = (sum(value * value for value in residuals) / max(1, n - 2)) ** 0.5 / (n * (n * n - 1) / 12) ** 0.5
    return slope, mad_sigma(residuals), error


@dataclass(frozen=True, slots=True)
class Plateau:
    """Where past lives settled, and how long the slowest took."""

    level: float
    settled_hours: float


@dataclass(frozen=True, slots=True)
class PastRuns:
    """The other lives of a service, in the order they ended."""

    known: tuple[RunSummary, ...] = ()

    def _until(self, now_ms: int) -> tuple[list[RunSummary], list[RunSummary]]:
        ended = [life for life in self.known if life.ended_ms <= now_ms]
        return [life for life in ended if life.grew], [life for life in ended if not life.grew]

    def any_grew(self, now_ms: int) -> bool:
        """Return whether a life known by now grew."""
        return bool(self.known) and any(life.grew and life.ended_ms <= now_ms for life in self.known)

    def plateau(self, now_ms: int) -> Plateau | None:
        """Return where lives known by now settled, None where more of them grew than settled."""
        if not self.known:
            return None
        grew, settled = self._until(now_ms)
        if not settled or len(settled) < len(grew):
            return None
        last = settled[-k.LIVES_KEPT :]
        return Plateau(max(life.level for life in last), max(life.settled_hours for life in last))

    def same_slope(self, marks: Sequence[WindowHit], now_ms: int) -> WindowHit | None:
        """Return the longest window that grows at the slope of past lives, where enough of them grew."""
        if not self.known:
            return None
        grew, settled = self._until(now_ms)
        if not grew or len(grew) < len(settled):
            return None
        if not _tell(grew):
            return None
        slope = median(life.slope for life in grew[-k.LIVES_KEPT :])
        low, high = k.MEMORY_LOW * slope, k.MEMORY_HIGH * slope
        same = [mark for mark in marks if mark.memory and low <= mark.slope <= high]
        return max(same, key=lambda mark: mark.rule_hours, default=None)


def _tell(grew: Sequence[RunSummary]) -> bool:
    """Return whether lives that grew are enough to know a leak by: one long one, two that could be judged, or three."""
    ages = [life.age_hours for life in grew]
    judged = sum(age >= k.MEMORY_HOURS for age in ages)
    return max(ages) >= k.ONE_LIFE_HOURS or judged >= k.JUDGED_LIVES or len(ages) >= k.SHORT_LIVES


NO_LIVES = PastRuns()
