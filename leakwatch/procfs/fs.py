"""``ProcFS``: a /proc tree, live or recorded, as records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from leakwatch.clock import thread_cpu_ns
from leakwatch.errors import ProcUnavailableError
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import files, process
from leakwatch.procfs.answers import Answers
from leakwatch.procfs.cgroup import dying, room
from leakwatch.procfs.cgroup import memory as cgroup_memory
from leakwatch.procfs.counted import Counted
from leakwatch.procfs.files import (
    KeptFiles,
    exists,
    file_stat,
    is_directory,
    link_target,
    listed,
    pids,
    read_file,
    read_kept,
)
from leakwatch.procfs.host import meminfo, mounts, pagesize, slabinfo, stat, sysfs, vmallocinfo
from leakwatch.procfs.host.meminfo import Zoneinfo
from leakwatch.procfs.host.stat import HostStat, Sockstat
from leakwatch.procfs.pid import cgroup as pid_cgroup
from leakwatch.procfs.pid import mappings, smaps
from leakwatch.procfs.pid import stat as pid_stat
from leakwatch.procfs.pid import status as pid_status
from leakwatch.procfs.pid.mappings import Mapping as Mapped
from leakwatch.procfs.pid.mappings import NameUse
from leakwatch.text.redact import CommandLines, redacted

Record = TypeVar("Record")

_OOM_KILL = (b"oom_kill",)
CMDLINE_LIMIT = 16384
"""Bytes of a command line that are read: it may have megabytes, and a report shows a line of it."""


class ProcFS:
    """A /proc tree. Every reading method returns a record, or the ``Absence`` that says why there is none.

    Of a process's files, one that is not there means GONE when the process is gone, NO_ADDRESS_SPACE for memory
    files of kernel threads, zombies and processes about to exit, and UNSUPPORTED when the process lives and its
    kernel has no such file. A host file that is not there is UNSUPPORTED. ``files.absence`` has the rest. What takes
    the process's mmap lock is asked by way of ``answers``, and NO_ANSWER where it hangs.
    """

    def __init__(
        self,
        root: str = "/proc",
        *,
        sys_root: str | None = None,
        page_size: int | None = None,
        command_lines: CommandLines = "redacted",
    ) -> None:
        """Look below ``root``; ``sys_root`` defaults to /sys for /proc and to the ``sys`` beside any other root.

        ``command_lines`` says what ``cmdline`` and ``shown`` give.
        """
        self._command_lines = command_lines
        self.root = root.rstrip("/") or "/"
        self.sys_root = sys_root if sys_root is not None else _sys_beside(self.root)
        self.host_root = _host_root(self.root)
        self._page_size = page_size
        self.kept = KeptFiles(self.root)
        self.answers = Answers(self.root)
        self._memory_devices = mappings.MemoryDevices(self.root)
        self.counted = Counted(self.root, self.sys_root, self.answers)
        self._has_rollup = True
        self._reclaimable: dict[str, bool | Absence] = {}

    @cached_property
    def page_size(self) -> int:
        """Bytes a page on the machine the tree belongs to; worked out when first asked for."""
        return self._page_size or pagesize.page_size(self)

    def cpu_ns(self) -> int:
        """Return the CPU time this thread has taken, with that of the threads that have read for it."""
        return thread_cpu_ns() + self.answers.cpu_ns

    def boot_id(self) -> str:
        """Return what changes at every boot; raises ProcUnavailableError when the tree tells nothing of the kind.

        ``btime-<seconds>`` stands in where the random id is hidden (containers); it changes when the clock is set.
        """
        try:
            name = read_file(f"{self.root}/sys/kernel/random/boot_id").decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            name = ""
        if name:
            return name
        host = self.host_stat()
        if isinstance(host, Absence):
            raise ProcUnavailableError(f"{self.root} has neither sys/kernel/random/boot_id nor stat ({host.detail})")
        return f"btime-{host.btime_s}"

    def pids(self) -> list[int]:
        """Return the process ids, ascending; raises ProcUnavailableError when the tree cannot be listed."""
        return pids(self.root)

    def stat(self, pid: int) -> pid_stat.PidStat | Absence:
        """Return name, state, parent and start time; missing only when the process is GONE."""
        return process.read_stat(self.root, pid)

    def raw_stat(self, pid: int, kept: int | None = None) -> bytes | None:
        """Return ``stat`` as it is, from a file that was kept open or by its path; None when there is none any more."""
        try:
            return read_file(f"{self.root}/{pid}/stat") if kept is None else read_kept(kept)
        except OSError:
            return None

    def statm(self, pid: int) -> pid_stat.PidStatm | Absence:
        """Return memory in pages; NO_ADDRESS_SPACE where the kernel prints zeros for want of one."""
        return process.read_memory(self.root, pid, "statm", pid_stat.parse_statm)

    def status(self, pid: int) -> pid_status.PidStatus | Absence:
        """Return the owner and the resident memory by kind."""
        return process.read(self.root, pid, "status", pid_status.parse)

    def memory(self, pid: int) -> smaps.MemoryUse | Absence:
        """Return the exact memory from smaps_rollup, or summed from smaps where the kernel (before 4.14) has no such.

        Expensive, and it holds the process's mmap lock. That a tree has no smaps_rollup is remembered.
        """
        return self.answers.ask(pid, lambda: self._memory(pid))

    def _memory(self, pid: int) -> smaps.MemoryUse | Absence:
        if self._has_rollup:
            use = process.read_memory(self.root, pid, "smaps_rollup", smaps.parse_rollup)
            if not (isinstance(use, Absence) and use.reason is AbsenceReason.UNSUPPORTED):
                return use
        use = process.read_smaps(self.root, pid, smaps.parse_smaps)
        if isinstance(use, smaps.MemoryUse):
            # Asked once more: the pid may have been given to a new process between the two reads.
            self._has_rollup = exists(f"{self.root}/{pid}/smaps_rollup")
        return use

    def memory_summed(self, pid: int) -> tuple[smaps.MemoryUse, int | None] | Absence:
        """Return the memory as the sum of smaps and its size, as smem has it; UNSUPPORTED where a tree has no smaps.

        Dearer than ``memory`` by 6 us a mapping, and below its PSS by up to 1 KiB a mapping.
        """
        return self.answers.ask(pid, lambda: process.read_smaps(self.root, pid, smaps.parse_sums))

    def mappings(self, pid: int, at_most: int | None = None) -> mappings.Mapped | Absence:
        """Return every mapping with the sums of all; SKIPPED where there are more than ``at_most``.

        The walk of ``memory`` and some microseconds a mapping.
        """
        return self.answers.ask(pid, lambda: mappings.read_mappings(self.root, pid, at_most))

    def memory_devices(self, pid: int, found: list[Mapped]) -> frozenset[str]:
        """Return the devices among a process's mappings whose files are memory."""
        return self._memory_devices.among(pid, found)

    def memory_by_name(self, pid: int) -> dict[str, NameUse] | Absence:
        """Return the exact memory by what is mapped, from smaps: dearer than ``memory`` by 3 us of kernel a mapping."""
        return self.answers.ask(pid, lambda: process.read_smaps(self.root, pid, mappings.parse_names))

    def owner(self, pid: int) -> int | Absence:
        """Return the user id a process works as: the kernel has it as the owner of the process's directory.

        In a recorded tree, whose directories belong to whoever copied it, the (real) id in ``status`` goes before.
        """
        found = file_stat(f"{self.root}/{pid}")
        if found is None:
            return Absence(AbsenceReason.GONE, f"{self.root}/{pid}: ENOENT")
        if found.st_size:  # a directory of procfs has no size, one of a disk has
            status = self.status(pid)
            return found.st_uid if isinstance(status, Absence) else status.uid
        return found.st_uid

    def cgroup(self, pid: int) -> pid_cgroup.CgroupPaths | Absence:
        """Return the control groups."""
        return process.read(self.root, pid, "cgroup", pid_cgroup.parse)

    def cmdline(self, pid: int) -> tuple[str, ...] | Absence:
        """Return the arguments without secrets, at most 16 KiB of them; empty for kernel threads and zombies.

        They are for looking at; what is stored or printed of them goes through ``shown``.
        """
        found = self.raw_cmdline(pid)
        return found if isinstance(found, Absence) else self.clean(found)

    def raw_cmdline(self, pid: int) -> tuple[str, ...] | Absence:
        """Return the same with secrets: to match patterns against, never to be stored or printed."""
        read = partial(process.read, self.root, pid, "cmdline", pid_status.parse_cmdline, limit=CMDLINE_LIMIT)
        return self.answers.ask(pid, read)

    def program(self, pid: int) -> tuple[tuple[str, ...] | Absence, str | Absence]:
        """Return ``cmdline`` and ``exe``."""
        found = self.answers.ask(pid, lambda: (self.cmdline(pid), self.exe(pid)))
        return (found, found) if isinstance(found, Absence) else found

    def clean(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return arguments without secrets, unless "full" is configured."""
        return arguments if self._command_lines == "full" else redacted(arguments)

    def shown(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return what may be stored and printed of arguments without secrets: none where "none" is configured."""
        return () if self._command_lines == "none" else arguments

    def exe(self, pid: int) -> str | Absence:
        """Return the executable's path, with `` (deleted)`` behind it when it was replaced since.

        Needs the permission of ptrace. Kernel threads and zombies answer ENOENT: NO_ADDRESS_SPACE. It took the mmap
        lock before 4.1.
        """
        return self.answers.ask(pid, lambda: self._exe(pid))

    def _exe(self, pid: int) -> str | Absence:
        path = f"{self.root}/{pid}/exe"
        try:
            return link_target(path)
        except OSError as error:
            return process.missing(self.root, pid, path, error, AbsenceReason.NO_ADDRESS_SPACE)

    def fd_count(self, pid: int) -> int | Absence:
        """Return the number of open files; needs the permission of ptrace. It lists them: slow for thousands."""
        path = f"{self.root}/{pid}/fd"
        try:
            return len(listed(path))
        except OSError as error:
            return process.missing(self.root, pid, path, error, AbsenceReason.UNSUPPORTED)

    def swap_areas(self) -> bytes | None:
        """Return /proc/swaps as it is: what is in swap changed when it did. None where there is no such file."""
        try:
            return read_file(f"{self.root}/swaps")
        except OSError:
            return None

    def counts(self, pid: int) -> tuple[int, int]:
        """Return the number of threads and of open files of a living process of a live tree, 0 for what is not told.

        Two looks at directories, whose links are threads + 2 (``proc_task_getattr``) and whose size is the number of
        open files (since 6.2, ``proc_readfd_count``; 0 before it and where it is refused): a sixth of reading
        ``stat`` and listing ``fd``.
        """
        threads, size = file_stat(f"{self.root}/{pid}/task"), file_stat(f"{self.root}/{pid}/fd")
        return (max(0, threads.st_nlink - 2) if threads else 0), (size.st_size if size else 0)

    def auxv_page_size(self, pid: int) -> int | Absence:
        """Return AT_PAGESZ of a process's auxiliary vector, in bytes."""
        return self.answers.ask(pid, lambda: process.read(self.root, pid, "auxv", pagesize.page_size_of))

    @cached_property
    def meminfo_stand_in(self) -> str:
        """The type of the file system mounted over meminfo, as in a container; empty where it is the kernel's own."""
        return mounts.stand_in(self.root)

    def meminfo(self) -> meminfo.Meminfo | Absence:
        """Return the machine's memory counters."""
        return self._of_host("meminfo", meminfo.parse)

    def slabinfo(self) -> tuple[slabinfo.SlabCache, ...] | Absence:
        """Return the slab caches; needs root."""
        return self._of_host("slabinfo", slabinfo.parse)

    def vmallocinfo(self) -> tuple[vmallocinfo.VmallocCaller, ...] | Absence:
        """Return vmalloc areas by caller; needs root."""
        return self._of_host("vmallocinfo", vmallocinfo.parse)

    def zoneinfo(self) -> Zoneinfo | Absence:
        """Return the free pages on the CPUs' own lists and what their counters may hold back."""
        return self._of_host("zoneinfo", meminfo.parse_zoneinfo)

    def sockets(self) -> Sockstat | Absence:
        """Return what waits in sockets, as the first process's network sees it: our own may be one without any."""
        found = self._of_host("1/net/sockstat", stat.parse_sockstat)
        more = self._of_host("1/net/sockstat6", stat.parse_sockstat)
        if isinstance(found, Absence) or isinstance(more, Absence):
            return found
        return replace(found, fragment_bytes=found.fragment_bytes + more.fragment_bytes)

    def dying_cgroups(self) -> int | Absence:
        """Return how many control groups were removed and are still held; a walk over all of them with version 1."""
        return dying.dying_cgroups(self.root, self.sys_root)

    def slab_aliases(self) -> Mapping[str, tuple[str, ...]]:
        """Return the other names of each slab cache that several share; a link to read for each."""
        return slabinfo.slab_aliases(self.sys_root)

    def host_stat(self) -> HostStat | Absence:
        """Return the boot time."""
        return self._of_host("stat", stat.parse)

    def slab_reclaimable(self, name: str) -> bool | Absence:
        """Return whether a slab cache's memory counts as reclaimable; asked once a name."""
        if name not in self._reclaimable:
            self._reclaimable[name] = sysfs.slab_reclaimable(self.sys_root, name)
        return self._reclaimable[name]

    def memory_limit_bytes(self, cgroup: pid_cgroup.CgroupPaths) -> tuple[int, str] | Absence:
        """Return the smallest memory limit that binds, and the path of the group that sets it; UNSUPPORTED if none."""
        return sysfs.memory_limit_bytes(self.sys_root, cgroup, self.page_size)

    def memory_group(self, cgroup: pid_cgroup.CgroupPaths) -> cgroup_memory.Group | None:
        """Return where the memory controller has this process; None where it is nowhere, or outside of what we see."""
        return cgroup_memory.group_of(self.sys_root, cgroup)

    def group_memory(self, group: cgroup_memory.Group) -> cgroup_memory.GroupMemory | Absence:
        """Return what the memory controller says of a group."""
        return cgroup_memory.read_memory(group)

    def group_limit_bytes(
        self, group: cgroup_memory.Group, read: sysfs.Limits | None = None
    ) -> tuple[int, str] | Absence | None:
        """Return the smallest limit that binds a group and the path of the group that sets it, None without one.

        ``read`` holds what was read in this round already: most groups lie in a few others.
        """
        return sysfs.group_limit_bytes(group, self.page_size, {} if read is None else read)

    def group_levels(self, group: cgroup_memory.Group) -> tuple[room.GroupLimit, ...]:
        """Return what the limits of a group and of those around it leave, innermost first."""
        return room.levels_of(group, self.page_size)

    def group_oom_kills(self, group: cgroup_memory.Group) -> tuple[int, int] | Absence:
        """Return a group's inode and its count of OOM kills."""
        return cgroup_memory.read_oom_count(group)

    def oom_kills(self) -> int | Absence:
        """Return how many processes the kernel has killed for want of memory since the boot; since Linux 4.13."""
        found = self._of_host("vmstat", lambda data: files.parse_flat_keyed(data, _OOM_KILL))
        if isinstance(found, Absence):
            return found
        return found.get("oom_kill", Absence(AbsenceReason.UNSUPPORTED, "vmstat: no oom_kill before Linux 4.13"))

    def _of_host(self, name: str, parse: Callable[[bytes], Record]) -> Record | Absence:
        return process.read_host(self.root, name, parse)


def _host_root(root: str) -> str | None:
    """Return what is / to the machine the tree belongs to: of /host/proc it is /host."""
    above = Path(root).absolute().parent
    return str(above).rstrip("/") if is_directory(str(above / "var")) else None


def _sys_beside(root: str) -> str | None:
    if os.path.realpath(root) == "/proc":
        return "/sys"
    beside = str(Path(root).absolute().parent / "sys")
    return beside if is_directory(beside) else None
