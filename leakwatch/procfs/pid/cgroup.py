"""``/proc/PID/cgroup``: where a process stands in each hierarchy of control groups.

One line a hierarchy, ``id:controllers:path`` (cgroups(7)). Version 1 has a line for each mounted hierarchy, the ones
without a controller named (``name=systemd``); version 2, the unified hierarchy, is the line ``0::path``. Hybrid
machines have both. A path may contain colons, spaces and bytes that are not UTF-8, never a newline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from leakwatch.procfs.files import MalformedError, count, text

_DELETED = b" (deleted)"


@dataclass(frozen=True, slots=True)
class CgroupPath:
    """One line: the place in one hierarchy."""

    hierarchy_id: int
    """0 is the unified hierarchy of version 2."""
    controllers: tuple[str, ...]
    """``("cpu", "cpuacct")``, ``("name=systemd",)``; empty in the unified hierarchy."""
    path: str
    """Relative to the hierarchy's root; ``/..`` where the process lies outside of our cgroup namespace."""
    deleted: bool
    """Whether the group was removed while the process, by then a zombie, was still in it."""


@dataclass(frozen=True, slots=True)
class CgroupPaths:
    """All lines; none on a machine without control groups."""

    entries: tuple[CgroupPath, ...]

    @property
    def unified(self) -> str | None:
        """The path in version 2, or None."""
        return next((entry.path for entry in self.entries if entry.hierarchy_id == 0), None)

    @property
    def memory(self) -> str | None:
        """The path under the memory controller of version 1, or None."""
        return self._under("memory")

    @property
    def pids(self) -> str | None:
        """The path under the pids controller of version 1, or None."""
        return self._under("pids")

    @property
    def systemd(self) -> str | None:
        """The path in systemd's own hierarchy of version 1, or None."""
        return self._under("name=systemd")

    @property
    def best(self) -> str | None:
        """The path that names the service best; ``/`` if it is in no group, None if there are no groups at all.

        systemd's own hierarchy holds units and nothing else, so it comes first; the memory controller's comes last
        because on version 1 a service is only in it when it has a memory setting.
        """
        known = [path for path in (self.systemd, self.unified, self.memory) if path is not None]
        return next((path for path in known if path != "/"), known[0] if known else None)

    def _under(self, controller: str) -> str | None:
        return next((entry.path for entry in self.entries if controller in entry.controllers), None)


@lru_cache(maxsize=256)
def parse(data: bytes) -> CgroupPaths:
    """Return the record; raises MalformedError. Kept: most processes of a machine are in a few groups."""
    return CgroupPaths(tuple(_entry(line) for line in data.split(b"\n") if line))


def _entry(line: bytes) -> CgroupPath:
    hierarchy, *rest = line.split(b":", 2)
    if len(rest) != 2 or not rest[1].startswith(b"/"):
        raise MalformedError("cgroup: expected id:controllers:/path")
    controllers, path = rest
    return CgroupPath(
        hierarchy_id=count(hierarchy),
        controllers=tuple(text(controllers).split(",")) if controllers else (),
        path=text(path.removesuffix(_DELETED)),
        deleted=path.endswith(_DELETED),
    )
