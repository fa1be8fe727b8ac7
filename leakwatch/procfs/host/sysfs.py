"""What /proc does not tell and /sys does: which slab caches give memory back, and the limits of control groups."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from leakwatch.kernel.account import PINNED, RECLAIM_ACCOUNTED, WITH_INODES
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.cgroup.memory import Group, group_of
from leakwatch.procfs.files import MalformedError, absence, count, read_file
from leakwatch.procfs.pid.cgroup import CgroupPaths

Limits = dict[str, "int | Absence | None"]
"""What limit files say, by path."""
_UNRECLAIMABLE_PREFIXES = ("kmalloc-", "dma-kmalloc-", "size-")
_NO_LIMIT_64 = 1 << 62
"""Version 1 prints "no limit" as LONG_MAX rounded down to a page; half of it is beyond any machine."""
_NO_LIMIT_32_PAGES = 2**31 - 1
"""On 32-bit kernels "no limit" is LONG_MAX pages."""


def slab_reclaimable(sys_root: str | None, name: str) -> bool | Absence:
    """Return whether the cache's memory is given back on demand, asking sysfs, else a list of names.

    sysfs knows no caches under the SLAB allocator (removed in 6.8) and is mode 0400 on today's kernels.
    """
    if name in WITH_INODES or name in PINNED:
        return name in WITH_INODES
    found: bool | Absence = Absence(AbsenceReason.UNSUPPORTED, f"slab cache {name}: no sysfs")
    if sys_root is not None and "/" not in name and name not in {"", ".", ".."}:
        found = _reclaim_account(f"{sys_root}/kernel/slab/{name}/reclaim_account")
    if not isinstance(found, Absence):
        return found
    if name in RECLAIM_ACCOUNTED or name.startswith("kmalloc-rcl-"):
        return True
    return False if name.startswith(_UNRECLAIMABLE_PREFIXES) else found


def _reclaim_account(path: str) -> bool | Absence:
    try:
        return count(read_file(path).strip()) != 0
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except OSError as error:
        return absence(path, error, AbsenceReason.UNSUPPORTED)


def group_limit_bytes(group: Group, page_size: int, read: Limits) -> tuple[int, str] | Absence | None:
    """Return the smallest memory limit that binds one group and whose it is, None when nothing limits it.

    It may be that of any group up to the root, the innermost of equal ones; ``read`` holds what need not be read again.
    """
    file = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    best: tuple[int, str] | None = None
    for path in ancestors(group.path):
        file_path = f"{group.mount}{path.rstrip('/')}/{file}"
        if file_path not in read:
            read[file_path] = limit_in(file_path, page_size)
        limit = read[file_path]
        if isinstance(limit, Absence):
            return limit
        if limit is not None and (best is None or limit < best[0]):
            best = (limit, path)
    return best


def memory_limit_bytes(sys_root: str | None, cgroup: CgroupPaths, page_size: int) -> tuple[int, str] | Absence:
    """Return the smallest memory limit that binds the group and the path of the group that sets it.

    Absence: UNSUPPORTED when no group up to the root sets a limit, or none of them can be found below ``sys_root``.
    """
    group = group_of(sys_root, cgroup)
    limit = None if group is None else group_limit_bytes(group, page_size, {})
    return limit or Absence(AbsenceReason.UNSUPPORTED, "cgroup: no memory limit")


def ancestors(path: str) -> list[str]:
    """Return the group and those around it, innermost first."""
    groups = [posixpath.normpath("/" + path.lstrip("/"))]
    while groups[-1] != "/":
        groups.append(posixpath.dirname(groups[-1]))
    return groups


def limit_in(path: str, page_size: int) -> int | Absence | None:
    """Return one group's limit; None when it sets none (version 2: ``max``, or no such file in the root group)."""
    try:
        word = read_file(path).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return absence(path, error, AbsenceReason.UNSUPPORTED)
    if word == b"max":
        return None
    try:
        limit = count(word)
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    return None if limit >= _NO_LIMIT_64 or limit == _NO_LIMIT_32_PAGES * page_size else limit


@dataclass(frozen=True, slots=True)
class PidsLimit:
    """How many threads a control group may have, and has."""

    limit: int
    now: int
    group: str


def pids_limits(sys_root: str | None, cgroup: CgroupPaths) -> tuple[PidsLimit, ...]:
    """Return the limits on threads of the group and of those around it, innermost first."""
    of_version_1 = cgroup.pids is not None
    path = cgroup.pids if of_version_1 else cgroup.unified
    if sys_root is None or path is None:
        return ()
    mount = f"{sys_root}/fs/cgroup/pids" if of_version_1 else f"{sys_root}/fs/cgroup"
    found = []
    for group in ancestors(path):
        limit, now = (_number(f"{mount}{group.rstrip('/')}/pids.{name}") for name in ("max", "current"))
        if limit is not None and now is not None:
            found.append(PidsLimit(limit, now, group))
    return tuple(found)


def _number(path: str) -> int | None:
    """Return the number in a file, None where there is none, as in ``max``."""
    try:
        return count(read_file(path).strip())
    except (OSError, MalformedError):
        return None
