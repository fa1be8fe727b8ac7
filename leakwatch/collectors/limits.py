"""What a process may grow to: the memory limit of its control group, read only for those that grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.model import Absence

if TYPE_CHECKING:
    from leakwatch.procfs.root import ProcFS


class CgroupLimits:
    """Reads limits from the control groups."""

    def __init__(self, procfs: ProcFS) -> None:
        self._procfs = procfs

    def limit_of(self, pid: int) -> tuple[int, str] | None:
        """Return the smallest limit that binds the process in bytes and whose it is, None when there is none."""
        cgroup = self._procfs.cgroup(pid)
        if isinstance(cgroup, Absence):
            return None
        limit = self._procfs.memory_limit_bytes(cgroup)
        return None if isinstance(limit, Absence) else (limit[0], f"memory limit of {limit[1]}")
