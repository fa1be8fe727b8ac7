"""Which file system stands in for ``/proc/meminfo``: in many containers lxcfs or sysbox, through FUSE.

They put the container's limit and use in some lines and pass the host's others on, so the lines do not belong together
(``proc_meminfo_read`` of lxcfs, src/proc_fuse.c).
"""

from __future__ import annotations

import os

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.files import link_target, read_file
from leakwatch.procfs.pid import mountinfo

_FUSE = "fuse"


def stand_in(root: str) -> str:
    """Return the type of the file system mounted over a tree's meminfo, such as ``fuse.lxcfs``; else nothing."""
    live = _is_live(root)
    paths = {f"{root}/meminfo"} if live else {f"{root}/meminfo", "/proc/meminfo"}
    for pid in ("self",) if live else ("self", "1"):
        try:
            mounts = mountinfo.parse(read_file(f"{root}/{pid}/mountinfo"))
        except (OSError, MalformedError):
            continue
        found = next((mount.kind for mount in reversed(mounts) if mount.path in paths), "")
        return found if found.startswith(_FUSE) else ""
    return ""


def _is_live(root: str) -> bool:
    """Return whether a tree is the kernel's own, where ``self`` is this process, and no copy."""
    try:
        return link_target(f"{root}/self") == str(os.getpid())
    except OSError:
        return False
