"""What is read only for what grows: what limits leave a process, the other names of a slab cache.

How many there may be of what is counted: a process's own limit, its control groups' or the machine's.

Read only for what grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leakwatch import metrics
from leakwatch.metrics import ProcessLimit, Sysctl
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import CountLimit, Room, Rooms
from leakwatch.procfs.cgroup.room import GroupLimit
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.status import PidStatus
from leakwatch.text.escape import printable

ZRAM_WORTH = 0.5
"""Of free swap that lies in compressed memory: what goes there takes half as much memory again, or less."""


class MemoryLimits:
    """Reads limits on memory: of control groups and those around them, and of processes (setrlimit(2))."""

    def __init__(self, procfs: ProcFS) -> None:
        self._procfs = procfs

    def rooms_of(self, pid: int, free_swap: int) -> Rooms:
        """Return what the limits leave a process, where so much of the machine's swap is free."""
        status = self._procfs.status(pid)
        if isinstance(status, Absence):
            return Rooms()
        own = tuple(self._of_process(pid, status))
        cgroup = self._procfs.cgroup(pid)
        group = None if isinstance(cgroup, Absence) else self._procfs.memory_group(cgroup)
        if group is None:
            return Rooms(own)
        levels = self._procfs.group_levels(group)
        swaps = [level.swap_left for level in levels if level.swap_left is not None]
        swap = min([free_swap, *swaps])
        least = (status.vm_rss_bytes or 0) + (status.vm_swap_bytes or 0)
        of_groups = [room for level in levels if (room := _of_level(level, swap, least)) is not None]
        return Rooms((*of_groups, *own), min(swaps, default=None), group.path)

    def _of_process(self, pid: int, status: PidStatus) -> Iterator[Room]:
        """Yield what setrlimit(2) leaves: of virtual memory, of which nothing can go to swap."""
        limits = self._procfs.counted.limits(pid)
        if isinstance(limits, Absence):
            return
        if limits.address_space is not None and status.vm_size_bytes is not None:
            left = limits.address_space - status.vm_size_bytes
            yield Room(max(0, left), "its limit on address space, RLIMIT_AS")
        if limits.data is not None and status.vm_data_bytes is not None:
            yield Room(max(0, limits.data - status.vm_data_bytes), "its limit on data, RLIMIT_DATA")

    def swap_worth(self) -> float:
        """Return which part of the machine's free swap is memory gained: less than all where it is memory itself."""
        left = worth = 0
        for line in (self._procfs.swap_areas() or b"").split(b"\n")[1:]:
            words = line.split()
            if len(words) >= 4 and words[-3].isdigit() and words[-2].isdigit():
                free = max(0, int(words[-3]) - int(words[-2]))
                left += free
                worth += round(free * ZRAM_WORTH) if b"zram" in words[0] else free
        return worth / left if left else 1.0


def _of_level(level: GroupLimit, swap: int, least: int) -> Room | None:
    """Return what a group leaves; where it does not say what it holds, that is at ``least`` the process."""
    left = [] if level.limit is None else [max(0, level.limit - (least if level.held is None else level.held)) + swap]
    left += [] if level.both_left is None else [level.both_left]
    return Room(min(left), f"memory limit of {level.path}", level.path) if left else None


def slab_aliases_of(procfs: ProcFS) -> Callable[[str], tuple[str, ...]]:
    """Return what tells the names of the caches merged with one; it reads a link a cache, 2 ms in all."""
    return lambda cache: procfs.slab_aliases().get(cache, ())


class ProcLimits(MemoryLimits):
    """Reads all limits, on memory and on numbers."""

    def count_limit_of(self, metric: str, pid: int | None, now: int) -> CountLimit | None:
        """Return the limit that a count which is ``now`` meets first, None when there is none or it is unknown."""
        match metrics.row(metric).limit:
            case Sysctl(name, place):
                return self._sysctl(name, place, now)
            case ProcessLimit.OPEN_FILES if pid is not None:
                limits = self._procfs.counted.limits(pid)
                total = None if isinstance(limits, Absence) else limits.open_files
                return None if total is None else CountLimit(max(0, total - now), total, "its limit on open files")
            case ProcessLimit.TASKS if pid is not None:
                return self._of_tasks(pid)
            case _:
                return None

    def _of_tasks(self, pid: int) -> CountLimit | None:
        """Return what threads, and processes, meet first: their control group's limit or the machine's."""
        found = []
        cgroup = self._procfs.cgroup(pid)
        if not isinstance(cgroup, Absence):
            of_groups = self._procfs.counted.pids_limits(cgroup)
            found += [(one.limit, one.now, f"pids.max of {printable(one.group)}") for one in of_groups]
        threads = self._procfs.counted.thread_total()
        for name in ("kernel/threads-max", "kernel/pid_max"):
            allowed = self._procfs.counted.sysctl(name)
            if not isinstance(allowed, Absence) and allowed and not isinstance(threads, Absence):
                found.append((allowed[0], threads, name.replace("/", ".")))
        limits = [CountLimit(max(0, total - used), total, name) for total, used, name in found]
        return min(limits, key=lambda limit: limit.left, default=None)

    def _sysctl(self, name: str, place: int, now: int) -> CountLimit | None:
        values = self._procfs.counted.sysctl(name)
        if isinstance(values, Absence) or len(values) <= place:
            return None
        return CountLimit(max(0, values[place] - now), values[place], name.replace("/", "."))
