"""How many there may be of what is counted: a process's own limit, its control groups' or the machine's.

Read only for what grows.
"""

from __future__ import annotations

from leakwatch import metrics
from leakwatch.collectors.limits import MemoryLimits
from leakwatch.metrics import ProcessLimit, Sysctl
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import CountLimit
from leakwatch.text.escape import printable


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
