"""The only module that asks what time it is.

Stamps are UTC milliseconds; durations come from the monotonic clocks, which no operator and no NTP server moves.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One look at the three clocks, in milliseconds."""

    wall_ms: int
    """UTC since the epoch; may step."""
    monotonic_ms: int
    """Since boot without the time suspended; never steps."""
    boottime_ms: int
    """Since boot with the time suspended; never steps."""


class Clock(Protocol):
    """What is injected wherever time is needed."""

    def now(self) -> Instant:
        """Return the present."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        """Return the present, the three clocks read within microseconds of one another."""
        return Instant(
            wall_ms=time.time_ns() // 1_000_000,
            monotonic_ms=time.monotonic_ns() // 1_000_000,
            boottime_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
        )


def thread_cpu_ns() -> int:
    """Return the CPU time of this thread in nanoseconds: what a piece of work cost, whatever else runs meanwhile."""
    return time.thread_time_ns()


def cpu_with_children_s() -> float:
    """Return the CPU time of this thread and of all children that have ended, in seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime


def elapsed_us() -> int:
    """Return a monotonic stamp in microseconds, to take differences of."""
    return time.monotonic_ns() // 1000


def rfc3339(ts_ms: int) -> str:
    """Return UTC milliseconds as RFC 3339 with a Z, to the second; in words where it has no name for the year."""
    if not has_name(ts_ms):
        return "after 9999" if ts_ms > 0 else "before the year 1"
    moment = datetime.fromtimestamp(ts_ms // 1000, UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


FIRST_S, END_S = -62_135_596_800, 253_402_300_800
"""The begin of the year 1 and the end of the year 9999, all that a calendar here names, in seconds since 1970."""


def has_name(ts_ms: int) -> bool:
    """Return whether a time in UTC milliseconds, a forecast among them, lies within the years 1 to 9999."""
    return FIRST_S * 1000 <= ts_ms < END_S * 1000
