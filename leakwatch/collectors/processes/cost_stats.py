"""What sampling has cost since this store began, and on whom: what ``leakwatch stats`` shows."""

from __future__ import annotations

import contextlib
import heapq
import queue
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from leakwatch.collectors.processes.tracked_process import TrackedProcess

STATS = "stats"
"""The key of the store's state that holds this."""
NAMED = 10
"""Processes named of each kind: enough to see who it is."""


class Why(StrEnum):
    """Why a process's values are what they are."""

    READ = "read"
    """Read fully in this round."""
    STEADY = "steady"
    """Estimated: it cannot have changed by more than the tolerance."""
    OVER_STALL = "over_stall"
    """Estimated: a full read would make it wait for longer than it may."""
    WAITING = "waiting"
    """Estimated, or nothing at all: the CPU budget was spent on others."""
    REFUSED = "refused"
    """The kernel refuses its full read."""


@dataclass(slots=True)
class CostRound:
    """One look at all processes; CPU times in nanoseconds of this thread."""

    listing_ns: int = 0
    looking_ns: int = 0
    """``statm`` of all, faults of relatives, names of who is new or changed."""
    reading_ns: int = 0
    """Full reads."""
    delivering_ns: int = 0
    """Making samples; threads and open files."""
    processes: int = 0
    full_reads: int = 0
    estimated: int = 0
    skipped: int = 0
    """Without a value because the budget was spent."""
    looks: int = 0
    """Full reads that told the mappings apart."""

    @property
    def total_ns(self) -> int:
        """From listing to samples."""
        return self.listing_ns + self.looking_ns + self.reading_ns + self.delivering_ns


@dataclass(slots=True)
class Totals:
    """Sums since the store began; they never fall."""

    rounds: int = 0
    sampling_cpu_seconds: float = 0.0
    listing_cpu_seconds: float = 0.0
    looking_cpu_seconds: float = 0.0
    reading_cpu_seconds: float = 0.0
    delivering_cpu_seconds: float = 0.0
    kernel_cpu_seconds: float = 0.0
    storing_cpu_seconds: float = 0.0
    evaluating_cpu_seconds: float = 0.0
    upkeep_cpu_seconds: float = 0.0
    full_reads: int = 0
    estimated: int = 0
    skipped: int = 0
    looks: int = 0

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Totals:
        """Return the totals a store holds; what is missing or no number begins at 0."""
        totals = cls()
        for one in fields(cls):
            value = stored.get(one.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
                setattr(totals, one.name, value)
        return totals

    def add(self, this: CostRound) -> None:
        """Add a round."""
        self.rounds += 1
        self.sampling_cpu_seconds += this.total_ns / 1e9
        self.listing_cpu_seconds += this.listing_ns / 1e9
        self.looking_cpu_seconds += this.looking_ns / 1e9
        self.reading_cpu_seconds += this.reading_ns / 1e9
        self.delivering_cpu_seconds += this.delivering_ns / 1e9
        self.full_reads += this.full_reads
        self.estimated += this.estimated
        self.skipped += this.skipped
        self.looks += this.looks


@dataclass(slots=True)
class SamplingCost:
    """The totals with the newest round and who costs most."""

    totals: Totals = field(default_factory=Totals)
    last: CostRound = field(default_factory=CostRound)
    dearest: list[dict[str, Any]] = field(default_factory=list)
    over_stall: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    _beside: queue.SimpleQueue[tuple[str, float]] = field(default_factory=queue.SimpleQueue)

    def took(self, name: str, cpu_seconds: float) -> None:
        """Take what another thread has spent, by the name of the sum; it is added at the next round."""
        self._beside.put((name, cpu_seconds))

    def add(self, this: CostRound) -> None:
        """Take a round, and what other threads have spent meanwhile."""
        with contextlib.suppress(queue.Empty):
            while True:
                name, cpu_seconds = self._beside.get_nowait()
                setattr(self.totals, name, getattr(self.totals, name) + cpu_seconds)
        self.totals.add(this)
        self.last = this

    def rank(self, this: CostRound, watched: Iterable[TrackedProcess], page: int) -> None:
        """Find out who is dear, too large or waiting, among those a round has looked at."""
        if not this.full_reads and not self.waiting and self.dearest:
            return  # nothing was measured anew
        those = list(watched)
        self.dearest = [_row(one, page) for one in heapq.nlargest(NAMED, those, key=_cost) if one.cost_us]
        over = [one for one in those if one.over_stall]
        self.over_stall = [_row(one, page) for one in heapq.nlargest(NAMED, over, key=_size)]
        waiting = [one for one in those if one.waits]
        self.waiting = [_row(one, page) for one in heapq.nlargest(NAMED, waiting, key=_error)]

    def to_json(self) -> dict[str, Any]:
        """Return everything as values JSON can hold."""
        last = self.last
        return {
            **{name: round(value, 6) for name, value in asdict(self.totals).items()},
            "last": {
                "processes": last.processes,
                "full_reads": last.full_reads,
                "looks": last.looks,
                "estimated": last.estimated,
                "skipped": last.skipped,
                "cpu_seconds": last.total_ns / 1e9,
            },
            "dearest": self.dearest,
            "over_stall": self.over_stall,
            "waiting": self.waiting,
        }


def _row(one: TrackedProcess, page: int) -> dict[str, Any]:
    return {
        "pid": one.identity.pid,
        "name": one.info.name,
        "cost_seconds": round(one.cost_us / 1e6, 6) if one.cost_us else None,
        "resident_bytes": _size(one) * page,
        "possible_error_bytes": _error(one) * page,
        "full_reads": one.reads,
        "why": why(one),
    }


def why(one: TrackedProcess) -> Why:
    """Return why this process's values are what they are."""
    if one.absence is not None:
        return Why.REFUSED
    if one.read_now:
        return Why.READ
    if one.over_stall:
        return Why.OVER_STALL
    return Why.WAITING if one.waits else Why.STEADY


def _cost(one: TrackedProcess) -> float:
    return one.cost_us


def _size(one: TrackedProcess) -> int:
    return one.statm.resident_pages if one.statm else 0


def _error(one: TrackedProcess) -> int:
    return one.error_pages()
