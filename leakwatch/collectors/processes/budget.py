"""Which processes are read fully in a tick: what a read costs, what there is to spend, who comes first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BASE_US, FIRST_US_PER_MIB = 80.0, 15.0
"""A read's cost before any was measured: 60 to 100 us and 11 to 15 ms a GiB of 4 KiB pages, Linux 6.18."""
LEARNT_PART = 1 / 16
LARGE_MIB, SMALL_MIB = 64, 4
"""From here on a read tells what a MiB costs, up to there what a read costs at all."""
SAVED_S = 300.0
"""Seconds of budget that may be saved up, for when much changes at once; an interval's worth where that is more."""
FIRST_S = 1500.0
"""Seconds of budget that are there at the start: at the default, enough to read 10,000 processes at the first look."""
ASKED_OVER_STALL_EVERY_S = 6 * 3600.0
"""A suspect larger than the stall allows is read this often at most."""
ASKED_STALL_TIMES = 10.0
"""And never when it would have to wait this many times longer than it may."""
ASIDE = 0.25
"""Of [sampling] cpu_budget, beside it, for each of what is dear to count: sorts of files, mappings, files in tmpfs."""
YOUNGEST_PART = 0.5
"""Reads by age are spread over the time from this part of the maximal age to all of it."""


class Costs:
    """What a full read costs by the size of the process, learnt from the reads that were made."""

    __slots__ = ("base_us", "us_per_mib")

    def __init__(self) -> None:
        self.base_us = FIRST_BASE_US
        self.us_per_mib = FIRST_US_PER_MIB

    def forecast_us(self, mib: float, last_us: float = 0.0, last_mib: float = 0.0) -> float:
        """Return the CPU time of a read of a process of this size, by its own last read where there was one."""
        if last_us:
            return max(self.base_us, last_us + (mib - last_mib) * max(self.us_per_mib, last_us / max(last_mib, 1.0)))
        return self.base_us + mib * self.us_per_mib

    def learn(self, mib: float, cost_us: float) -> None:
        """Take a measured read."""
        if mib <= SMALL_MIB:
            self.base_us += (cost_us - self.base_us) * LEARNT_PART
        elif mib >= LARGE_MIB:
            self.us_per_mib += (max(0.0, cost_us - self.base_us) / mib - self.us_per_mib) * LEARNT_PART


class CpuBudget:
    """CPU time for full reads: a share of a core, saved up for a while, overdrawn by one read at most."""

    __slots__ = ("_most_us", "_share", "left_us")

    def __init__(self, share: float, interval_s: float) -> None:
        self._share = share
        self._most_us = share * max(SAVED_S, interval_s) * 1e6
        self.left_us = share * max(FIRST_S, interval_s) * 1e6

    def earn(self, elapsed_us: float) -> None:
        """Add what the time since the last tick is worth."""
        if self.left_us < self._most_us:
            self.left_us = min(self._most_us, self.left_us + self._share * elapsed_us)

    def spend(self, cost_us: float) -> None:
        """Take off what a read cost."""
        self.left_us -= cost_us


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A process that should be read fully."""

    pid: int
    error_bytes: float
    """By how much its values can be wrong."""
    cost_us: float
    asked: bool = False
    """Suspected of a leak: goes before all others, whatever it costs."""

    @property
    def rank(self) -> tuple[bool, float]:
        """The larger, the sooner: error put right a microsecond."""
        return self.asked, self.error_bytes / self.cost_us


def by_rank(claims: list[ReadRequest]) -> list[ReadRequest]:
    """Return the claims, the first to be met first."""
    return sorted(claims, key=lambda claim: claim.rank, reverse=True)


def may_stall(cost_us: float, most_us: float, *, asked: bool = False, since_last_s: float | None = None) -> bool:
    """Tell whether a read may hold the process's memory lock for as long as it will take.

    Only a suspect may be kept waiting for longer than ``most_us``, seldom (``since_last_s`` is the time since its last
    full read, None where there was none) and within limits: a leak is not to be told by estimates alone if it can be
    helped.
    """
    if cost_us <= most_us:
        return True
    rested = since_last_s is None or since_last_s >= ASKED_OVER_STALL_EVERY_S
    return asked and rested and not is_out_of_the_question(cost_us, most_us)


def is_out_of_the_question(cost_us: float, most_us: float) -> bool:
    """Tell whether a read takes longer than even a suspect may be kept waiting for."""
    return cost_us > ASKED_STALL_TIMES * most_us


def age_limit_us(max_age_s: float, pid: int, reads: int) -> int:
    """Return after how long a process is read again whatever its counters say: spread, and another time each time."""
    scattered = ((pid * 2_654_435_761 + reads * 40_503_001) & 0xFFFF_FFFF) / 2**32  # Knuth's multiplicative hash
    return round(max_age_s * 1e6 * (YOUNGEST_PART + (1 - YOUNGEST_PART) * scattered))
