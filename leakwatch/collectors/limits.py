"""What is read only for what grows: the memory limit of a process's control group, the other names of a slab cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.model import Absence

if TYPE_CHECKING:
    from collections.abc import Callable

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


def slab_aliases_of(procfs: ProcFS) -> Callable[[str], tuple[str, ...]]:
    """Return what tells the names of the caches merged with one; it reads a link a cache, 2 ms in all."""
    return lambda cache: procfs.slab_aliases().get(cache, ())
