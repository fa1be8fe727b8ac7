"""What is left to grow into: the machine's memory, or less where a control group or a process has a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from leakwatch import metrics
from leakwatch.model.verdict import SEVERITY, CountLimit, Finding, Room, Rooms, Verdict

FAR_FUTURE_MS = 253_402_300_799_000
"""The end of year 9999, the last RFC 3339 can name."""
GROWERS_READ = 16
"""Growing processes of a service whose limits are read, the fastest: a dozen files each."""


@dataclass(frozen=True, slots=True)
class Growers:
    """What of a service grows, in bytes an hour: what limits it is met by all of it together."""

    rate: float = 0.0
    """Of the whole service, by its sum or by all processes that grow."""
    processes: tuple[tuple[int, float], ...] = ()
    """Process ids with their rates, the fastest first; one of rate 0 where the sum alone grows."""


@dataclass(frozen=True, slots=True)
class Growing:
    """What grows, with what limits leave each of its processes."""

    rate: float
    processes: tuple[tuple[int, float, Rooms], ...]

    def within(self, group: str) -> float:
        """Return how fast what of it lies in a control group grows: all of it where all of its processes do."""
        inside = [rate for _, rate, rooms in self.processes if _lies_in(rooms.group, group)]
        return self.rate if inside and len(inside) == len(self.processes) else sum(inside)


def _lies_in(path: str, group: str) -> bool:
    return f"{path}/".startswith(f"{group.rstrip('/')}/")


class CapacityLimits(Protocol):
    """Tells what a process may grow to."""

    def rooms_of(self, pid: int, free_swap: int) -> Rooms:
        """Return what the limits on memory leave a process, where so much of the machine's swap is free."""

    def swap_worth(self) -> float:
        """Return which part of the machine's free swap is memory gained."""

    def count_limit_of(self, metric: str, pid: int | None, now: int) -> CountLimit | None:
        """Return the limit that a count which is ``now`` meets first, of a process or the machine; None if unknown."""


class Capacity:
    """Knows what the newest scrape says of the machine."""

    def __init__(self, limits: CapacityLimits) -> None:
        self._limits = limits
        self._host: dict[str, int] = {}
        self._swap: int | None = None
        """Free swap as far as it is memory gained; asked for once, of a copy."""

    def frozen(self) -> Capacity:
        """Return a copy that no later sample changes: it reads files, which none does that holds a lock."""
        copy = Capacity(self._limits)
        copy._host = dict(self._host)
        return copy

    def note(self, metric: str, value: int) -> None:
        """Take one of the host's samples."""
        self._host[metric] = value

    def left_of(self, pid: int | None, metric: str) -> int | None:
        """Return what a process, or what is the kernel's, has left before it meets the nearest limit; None if unknown.

        No rate goes into it, so it is what is left in bytes that counts, not what is met first.
        """
        swap = self._free_swap()
        rooms = self._limits.rooms_of(pid, swap) if pid is not None else Rooms()
        machine = self._machine(metric, swap, rooms)
        return min((room.left for room in (*rooms.limits, *machine)), default=None)

    def _free_swap(self) -> int:
        if self._swap is None:
            free = self._host.get(metrics.KERNEL_SWAP_FREE, 0)
            self._swap = round(free * self._limits.swap_worth()) if free else 0
        return self._swap

    def _machine(self, metric: str, swap: int, rooms: Rooms) -> Iterator[Room]:
        """Yield what the machine has left: with free swap for what can go there."""
        available = self._host.get(metrics.KERNEL_AVAILABLE)
        if available is None:
            return
        if metric in metrics.PINNED:
            swap = 0
        elif rooms.swap_left is not None:
            swap = min(swap, rooms.swap_left)
        yield Room(available + swap, f"memory available{' and free swap' if swap else ''} on this machine")

    def of_count(self, metric: str, pid: int | None, newest: tuple[int, float] | None) -> int | None:
        """Return how many more there may be of what is counted, None where unknown; ``newest`` is (time, count)."""
        limit = self._limits.count_limit_of(metric, pid, round(newest[1])) if newest else None
        return limit.left if limit else None

    def growing(self, growers: Growers) -> Growing:
        """Return what the limits leave what grows; reads files."""
        swap = self._free_swap()
        read = growers.processes[:GROWERS_READ] if growers.rate > 0 else ()
        return Growing(growers.rate, tuple((pid, rate, self._limits.rooms_of(pid, swap)) for pid, rate in read))

    def foretell(
        self, finding: Finding, now_ms: int, growing: Growing | None = None, others: Sequence[Growing] = ()
    ) -> Finding:
        """Add when memory runs out, or a limit on a number is reached, for what grows.

        ``growing`` is what of it grows, ``others`` what else does: several may lie in one control group.
        """
        found = finding.assessment
        finding = replace(finding, evaluated_at_ms=now_ms)
        rate = found.slope_bytes_per_hour or 0.0
        if SEVERITY[found.verdict] < SEVERITY[Verdict.WATCH] or rate <= 0:
            return finding
        if finding.metric in metrics.COUNTS:
            limit = self._limits.count_limit_of(finding.metric, finding.pid, found.current_bytes)
            if limit is None:
                return finding
            return _ending(replace(finding, limit_total=limit.total), limit.left, limit.name, rate)
        growing = Growing(max(growing.rate, rate), growing.processes) if growing else Growing(rate, ())
        rooms = list(self._rooms(finding, growing, others))
        if not rooms:
            return finding
        room, rate = min(rooms, key=lambda one: one[0].left / one[1])
        return _ending(finding, room.left, room.name, rate)

    def _rooms(self, finding: Finding, growing: Growing, others: Sequence[Growing]) -> Iterator[tuple[Room, float]]:
        """Yield what is left, each with the rate in bytes an hour at which it is used up."""
        for _, own, rooms in growing.processes:
            for room in rooms.limits:
                group = room.group
                rate = own if group is None else sum(one.within(group) for one in (growing, *others))
                if rate > 0:
                    yield room, rate
        first = min((rooms for _, _, rooms in growing.processes), key=_swap_left, default=Rooms())
        for room in self._machine(finding.metric, self._free_swap(), first):
            yield room, growing.rate


def _swap_left(rooms: Rooms) -> float:
    return float("inf") if rooms.swap_left is None else rooms.swap_left


def _ending(finding: Finding, left: int, name: str, rate: float) -> Finding:
    at = finding.evaluated_at_ms + left / rate * 3_600_000
    return replace(finding, limit_bytes=left, limit_name=name, exhaustion_at_ms=int(at) if at < FAR_FUTURE_MS else None)
