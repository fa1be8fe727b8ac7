"""Control groups that were removed and are still held, by page cache or objects charged to them: *dying* ones.

Each keeps its structures and per-CPU counters, some 10 KiB and more with every CPU. Version 2 tells their number
(``cgroup.stat``, since 4.14). Version 1 does not, but ``/proc/cgroups`` counts them among the others of a hierarchy, so
they are what remains when the directories that can be seen are taken away: only from outside of any container.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.files import MalformedError, absence, count, exists, file_stat, link_target, read_file
from leakwatch.procfs.host import mounts

FIRST_NAMESPACE = "cgroup:[4026531835]"
"""PROC_CGROUP_INIT_INO of include/linux/proc_ns.h: the namespace of who sees the whole tree."""


def dying_cgroups(proc_root: str, sys_root: str | None) -> int | Absence:
    """Return how many memory control groups are dying."""
    if sys_root is None:
        return Absence(AbsenceReason.UNSUPPORTED, "dying control groups: no sysfs")
    try:
        memory = _hierarchy(proc_root)
        if memory is not None:
            return _of_version_1(proc_root, f"{sys_root}/fs/cgroup/memory", memory)
        both = f"{sys_root}/fs/cgroup/unified/cgroup.stat"  # where systemd mounts version 2 beside version 1
        return _told(read_file(both if exists(both) else f"{sys_root}/fs/cgroup/cgroup.stat"))
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"dying control groups: {error}")
    except OSError as error:
        return absence(str(error.filename), error, AbsenceReason.UNSUPPORTED)


def _told(data: bytes) -> int | Absence:
    for line in data.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"nr_dying_descendants":
            return count(value.strip())
    return Absence(AbsenceReason.UNSUPPORTED, "cgroup.stat: this kernel does not tell of dying control groups")


def _hierarchy(proc_root: str) -> int | None:
    """Return how many groups version 1's hierarchy of memory has, None where it is of version 2."""
    path = f"{proc_root}/cgroups"
    for line in read_file(path).split(b"\n") if exists(path) else ():
        words = line.split()
        if len(words) == 4 and words[0] == b"memory":
            return count(words[2]) if words[1] != b"0" else None
    return None


def _of_version_1(proc_root: str, mount: str, groups: int) -> int | Absence:
    if not exists(f"{mount}/memory.usage_in_bytes") or not _is_whole(proc_root, mount):
        return Absence(AbsenceReason.UNSUPPORTED, "dying control groups: only a part of the hierarchy can be seen")
    return max(0, groups - sum(1 for _ in _directories(mount)))


def _is_whole(proc_root: str, mount: str) -> bool:
    """Return whether the mount shows the root group: in a container it shows the container's own."""
    if link_target(f"{proc_root}/self/ns/cgroup") != FIRST_NAMESPACE:
        return False
    mounted = mounts.parse(read_file(f"{proc_root}/self/mountinfo"))
    return next((one.root == "/" for one in mounted if one.path == mount), False)


def _directories(top: str) -> Iterator[str]:
    """Yield the directory and all below it. One without any is not opened: its link count, 2, tells."""
    waiting = [top]
    while waiting:
        path = waiting.pop()
        yield path
        found = file_stat(path)
        if found is not None and found.st_nlink > 2:
            with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:  # it may go meanwhile
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
