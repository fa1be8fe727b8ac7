"""What the memory controller says of one control group, in version 2 and in version 1.

Version 2 (admin-guide/cgroup-v2.rst): ``memory.current``, ``memory.peak`` (since 5.19), ``memory.max``,
``memory.swap.current``, ``memory.events`` and ``memory.stat``, all with the groups below. The root has only ``stat``.

Version 1 (admin-guide/cgroup-v1/memory.rst): ``memory.usage_in_bytes``, ``memory.max_usage_in_bytes``,
``memory.limit_in_bytes``, ``memory.kmem.usage_in_bytes``, ``memory.oom_control`` and ``memory.stat``, whose ``total_``
names count the groups below; ``oom_kill`` (since 4.13, in both versions) counts those of the group itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import files as procfs_files
from leakwatch.procfs.files import MalformedError, absence, count, file_stat, read_file
from leakwatch.procfs.pid.cgroup import CgroupPaths

Record = TypeVar("Record")
Number = Literal["current", "peak", "swap", "kernel", "anon", "file", "shmem", "slab_reclaimable", "oom_kills"]

_V2_NUMBERS: dict[Number, str] = {"current": "memory.current", "peak": "memory.peak", "swap": "memory.swap.current"}
_V1_NUMBERS: dict[Number, str] = {
    "current": "memory.usage_in_bytes",
    "peak": "memory.max_usage_in_bytes",
    "kernel": "memory.kmem.usage_in_bytes",
}
_V2_STAT: dict[str, Number] = {
    "anon": "anon",
    "file": "file",
    "kernel": "kernel",  # since 5.18
    "shmem": "shmem",
    "slab_reclaimable": "slab_reclaimable",
}
_V1_STAT: dict[str, Number] = {
    "total_rss": "anon",
    "total_cache": "file",
    "total_shmem": "shmem",  # since 4.9
    "total_swap": "swap",  # where swap is counted at all
}
_ENCODED = {1: tuple(name.encode() for name in _V1_STAT), 2: tuple(name.encode() for name in _V2_STAT)}
_OOM_KILL = (b"oom_kill",)


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group's files are: one hierarchy that has the memory controller, and a path in it."""

    mount: str
    path: str
    version: Literal[1, 2]

    @property
    def directory(self) -> str:
        """The group's directory."""
        return f"{self.mount}{self.path.rstrip('/')}"

    def at(self, path: str) -> Group:
        """Return another group of the same hierarchy."""
        return Group(self.mount, path, self.version)


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """What could be read of one group; a number that is not there is in ``absences`` if it should be."""

    inode: int
    """Another one when the group was removed and made anew, as systemd does with a unit that is restarted."""
    numbers: Mapping[Number, int]
    """Bytes, but for ``oom_kills``: processes of the group the kernel killed for want of memory."""
    absences: tuple[Absence, ...]

    @property
    def held_bytes(self) -> int | None:
        """What the kernel cannot give back just so: all of it without page cache and reclaimable slab."""
        current, files = self.numbers.get("current"), self.numbers.get("file")
        return None if current is None or files is None else held(current, files, self.numbers)


def held(current: int, files: int, beside: Mapping[Number, int]) -> int:
    """Return what of a group stays when memory is short; shmem counts as files, but goes to swap at best."""
    cache = max(0, files - beside.get("shmem", 0))
    return max(0, current - cache - beside.get("slab_reclaimable", 0))


def group_of(sys_root: str | None, cgroup: CgroupPaths) -> Group | None:
    """Return the group in the hierarchy that has the memory controller; None where there is none, or not below ours."""
    if sys_root is None:
        return None
    if cgroup.memory is not None:
        group = Group(f"{sys_root}/fs/cgroup/memory", cgroup.memory, 1)
    elif cgroup.unified is not None:
        group = Group(f"{sys_root}/fs/cgroup", cgroup.unified, 2)
    else:
        return None
    return None if ".." in group.path.split("/") else group


def read_memory(group: Group) -> GroupMemory | Absence:
    """Return what the group says: GONE if it is not there (any more), UNSUPPORTED without the memory controller."""
    known = file_stat(group.directory)
    if known is None:
        return Absence(AbsenceReason.GONE, f"{group.directory}: ENOENT")
    numbers: dict[Number, int] = {}
    absences: list[Absence] = []
    files, stat = (_V2_NUMBERS, _V2_STAT) if group.version == 2 else (_V1_NUMBERS, _V1_STAT)
    for number, file in files.items():
        value = _read(f"{group.directory}/{file}", lambda data: count(data.strip()))
        if isinstance(value, Absence):
            if number == "current":
                return value  # the controller is not enabled for it: nothing else is there either
            if number != "swap":  # absent on a machine without swap accounting
                absences.append(value)
        else:
            numbers[number] = value
    found = _read(
        f"{group.directory}/memory.stat", lambda data: procfs_files.parse_flat_keyed(data, _ENCODED[group.version])
    )
    if isinstance(found, Absence):
        absences.append(found)
    else:
        numbers |= {stat[name]: value for name, value in found.items()}
    kills = read_oom_kills(group)
    if isinstance(kills, Absence):
        absences.append(kills)
    else:
        numbers["oom_kills"] = kills
    return GroupMemory(known.st_ino, numbers, tuple(absences))


def read_oom_kills(group: Group) -> int | Absence:
    """Return how many processes of the group the kernel has killed for want of memory since the group was made."""
    path = f"{group.directory}/{'memory.events' if group.version == 2 else 'memory.oom_control'}"
    found = _read(path, lambda data: procfs_files.parse_flat_keyed(data, _OOM_KILL))
    if isinstance(found, Absence):
        return found
    if "oom_kill" not in found:
        return Absence(AbsenceReason.UNSUPPORTED, f"{path}: no oom_kill before Linux 4.13")
    return found["oom_kill"]


def read_oom_count(group: Group) -> tuple[int, int] | Absence:
    """Return the group's inode and its count of OOM kills."""
    known, kills = file_stat(group.directory), read_oom_kills(group)
    if known is None:
        return Absence(AbsenceReason.GONE, f"{group.directory}: ENOENT")
    return kills if isinstance(kills, Absence) else (known.st_ino, kills)


def _read(path: str, parse: Callable[[bytes], Record]) -> Record | Absence:
    try:
        return parse(read_file(path))
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except OSError as error:
        return absence(path, error, AbsenceReason.UNSUPPORTED)
