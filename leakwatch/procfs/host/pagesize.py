"""The page size of the machine a /proc tree belongs to, which need not be ours.

``/proc/PID/auxv``: the numbers the kernel hands a program when it starts, in the machine's own words.

Used for one thing: a recorded tree's page size, when nothing else in the tree tells it. The recording may come from
a machine of another word size or byte order, so all four layouts are tried.
"""

from __future__ import annotations

import os
import struct
from typing import Protocol

from leakwatch.errors import ProcUnavailableError
from leakwatch.model.sample import Absence
from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid.stat import PidStatm
from leakwatch.procfs.pid.status import PidStatus

AT_NULL = 0
AT_PAGESZ = 6
PAGE_SIZES = frozenset(1 << shift for shift in range(12, 19))
"""4 KiB to 256 KiB: every page size Linux has been built with."""


def page_size_of(data: bytes) -> int:
    """Return the page size in bytes; raises MalformedError."""
    for layout in ("<QQ", "<II", ">QQ", ">II"):
        pair = struct.Struct(layout)
        whole = data[: len(data) // pair.size * pair.size]
        entries = dict(list(pair.iter_unpack(whole))[::-1])
        if AT_NULL in entries and entries.get(AT_PAGESZ) in PAGE_SIZES:
            return int(entries[AT_PAGESZ])
    raise MalformedError("auxv: no AT_PAGESZ entry in any layout")


DEFAULT = 4096
_TRIES = 64
"""Processes to look at, from the highest pid down: the low ones are kernel threads, which tell nothing."""


class Tree(Protocol):
    """What is asked of the tree."""

    root: str

    def pids(self) -> list[int]:
        """Return the process ids."""

    def status(self, pid: int) -> PidStatus | Absence:
        """Return one process's status."""

    def statm(self, pid: int) -> PidStatm | Absence:
        """Return one process's statm."""

    def auxv_page_size(self, pid: int) -> int | Absence:
        """Return AT_PAGESZ."""


def page_size(tree: Tree) -> int:
    """Return bytes a page: sysconf for our own /proc, else what the tree's files imply, else 4096.

    ``VmSize`` in status and the first number of statm are one counter (``mm->total_vm``), printed in kB and in
    pages: their ratio is the page size, exactly.
    """
    if os.path.realpath(tree.root) == "/proc":
        return os.sysconf("SC_PAGE_SIZE")
    try:
        userland = tree.pids()[: -_TRIES - 1 : -1]
    except ProcUnavailableError:
        return DEFAULT
    ratios = (_ratio(tree, pid) for pid in userland)
    vectors = (tree.auxv_page_size(pid) for pid in userland)
    for size in (*ratios, *vectors):
        if isinstance(size, int) and size in PAGE_SIZES:
            return size
    return DEFAULT


def _ratio(tree: Tree, pid: int) -> int | None:
    status, statm = tree.status(pid), tree.statm(pid)
    if (
        isinstance(status, Absence)
        or isinstance(statm, Absence)
        or status.vm_size_bytes is None
        or not statm.size_pages
    ):
        return None
    pages, rest = divmod(status.vm_size_bytes, statm.size_pages)
    return pages if rest == 0 else None
