"""Files of living processes kept open from one look to the next.

Opening costs four times what reading ``statm`` does. The kernel binds an open file of /proc/PID to that very process:
it goes on after an exec, and once the process has ended it answers ESRCH, also when the pid is somebody else's by then
(fs/proc/base.c, ``proc_single_show``). So a file that still answers says that its process is still the same one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import weakref

READ_AT_ONCE = 1024
"""Bytes: ``statm`` has some 50, ``stat`` some 350."""
SPARE = 192
"""Descriptors left for everything else: the store, the log, pipes to children, the dear files read one at a time."""
WANTED = 16_384
"""Processes the limit on open files is raised for, where that is allowed."""


class KeptFiles:
    """Opens files to be kept, no more of them than the limit on open files has room for."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: set[int] = set()
        self.limit = max(0, _soft_limit() - SPARE)
        weakref.finalize(self, _close_all, self._open)

    @property
    def count(self) -> int:
        """How many files are kept open."""
        return len(self._open)

    def open(self, pid: int, name: str) -> int | None:
        """Return a descriptor of ``<root>/<pid>/<name>``; None when it cannot be had or must not be kept.

        A file with a size is none of the kernel's making but one of a recorded tree: it outlives its process.
        """
        if len(self._open) >= self.limit:
            return None
        try:
            descriptor = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if os.fstat(descriptor).st_size:
            os.close(descriptor)
            return None
        self._open.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close a descriptor that ``open`` returned."""
        self._open.remove(descriptor)
        os.close(descriptor)


def read_kept(descriptor: int) -> bytes:
    """Return what the file says now; raises ProcessLookupError when its process has ended."""
    return os.pread(descriptor, READ_AT_ONCE, 0)


def _close_all(descriptors: set[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def raise_file_limit() -> None:
    """Have this process allowed as many open files as it may ask for, up to what ``WANTED`` says; never fails."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if _soft_limit() < wanted:
        # A service's filter of system calls may forbid it: then LimitNOFILE of its unit is what there is.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _soft_limit() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft
