"""The cheap tier: a look at every process's ``statm`` at every tick, and who is new, gone or another program by now.

Who a process is: its name, command, owner and service, read when it is met and looked after now and then.
"""

from __future__ import annotations

import os

from leakwatch.collectors.processes.tracked_process import Parentage, TrackedProcess
from leakwatch.collectors.result import CollectorResult
from leakwatch.collectors.services.containers import ContainerNames, container_among
from leakwatch.collectors.services.naming import service_of
from leakwatch.model.identity import ProcessIdentity, ProcessInfo
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.files import MalformedError, read_kept
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import stat as pid_statm
from leakwatch.procfs.pid.cgroup import CgroupPaths
from leakwatch.procfs.pid.stat import PidStat
from leakwatch.text.escape import as_text

COMMAND_LENGTH = 512
"""Characters of a command line that are kept: enough to tell two workers apart."""
RENEW_EVERY = 10
"""Scrapes after which a process's name and control group are looked at again, the processes taking turns: it may move
to another group or rename itself, which nothing announces. An exec shows in ``statm`` and is seen at once."""
RENEW_EVERY_S = 600.0
"""The same in seconds, where scrapes come fast: looking costs ten times what ``statm`` does."""
SETTLE = 2
"""Scrapes after its birth at which they are read again too: between fork and exec, and before its manager has moved it
to its control group, a new process still looks like its parent."""


def renewal_due(pid: int, age: int, every: int) -> bool:
    """Tell whether a process of this age, in scrapes, is looked at again; those of one age take turns."""
    return age == SETTLE or not (age + pid) % every


def renew_every(interval_s: float) -> int:
    """Return after how many scrapes a process is looked at again."""
    return max(RENEW_EVERY, round(RENEW_EVERY_S / interval_s))


class IdentityReader:
    """Reads who processes are."""

    def __init__(self, procfs: ProcFS) -> None:
        self._procfs = procfs
        self.home = _own_container(procfs)
        self._names = ContainerNames(procfs.host_root)

    def cgroup(self, pid: int) -> CgroupPaths | None:
        """Return a process's control groups, None where they cannot be read."""
        found = self._procfs.cgroup(pid)
        return None if isinstance(found, Absence) else found

    def info(self, identity: ProcessIdentity, comm: str, cgroup: CgroupPaths | None) -> ProcessInfo:
        """Return who a process is."""
        pid = identity.pid
        status, (args, exe) = self._procfs.status(pid), self._procfs.program(pid)
        words = () if isinstance(args, Absence) else args
        program = None if isinstance(exe, Absence) else exe
        service = service_of(cgroup, comm, program, words, self.home, self._names.name_of)
        return ProcessInfo(
            identity=identity,
            name=as_text(comm),
            command=as_text(" ".join(self._procfs.shown(words)))[:COMMAND_LENGTH],
            uid=None if isinstance(status, Absence) else status.uid,
            service=type(service)(service.kind, as_text(service.name)),
            unanswered=isinstance(args, Absence) and args.reason is AbsenceReason.NO_ANSWER,
        )


def _own_container(procfs: ProcFS) -> str | None:
    """Return the id or name of the container this process runs in, where the tree is the one it lives in."""
    if procfs.root != "/proc":
        return None
    own = procfs.cgroup(os.getpid())
    container = None if isinstance(own, Absence) else container_among(own)
    return container.name if container else None


NO_MEMORY = b"0 0 0 0 0 0 0\n"
"""``statm`` of a kernel thread, a zombie and a process whose main thread has ended."""
_NO_ADDRESS_SPACE = Absence(AbsenceReason.NO_ADDRESS_SPACE)


class StatmScanner:
    """Knows all processes from one tick to the next."""

    def __init__(self, procfs: ProcFS, boot_id: str, tolerance_pages: float, interval_s: float) -> None:
        self._procfs = procfs
        self._boot_id = boot_id
        self._tolerance = tolerance_pages
        self._renew_every = renew_every(interval_s)
        self._identifier = IdentityReader(procfs)
        self._memoryless: dict[int, int] = {}
        self._swaps: bytes | None = b""
        self.watched: dict[int, TrackedProcess] = {}
        self.gone: list[TrackedProcess] = []
        """Those that ended since the last look, or turned out to have."""
        self.zombies: dict[int, int] = {}
        """The parent of each that has ended and was not waited for."""

    @property
    def home(self) -> str | None:
        """The container we run in ourselves."""
        return self._identifier.home

    @property
    def swap_in_use(self) -> bool:
        """Whether anything can be in swap, as far as is known."""
        return self._swaps is None or self._swaps.count(b"\n") > 1

    def look(self, pids: list[int], result: CollectorResult) -> None:
        """Look at every process; ``watched`` then holds those with an address space, in the order of ``pids``."""
        swap_moved = self._swap_moved()
        known, seen, empty = self.watched, dict[int, TrackedProcess](), dict[int, int]()
        zombies, self.zombies = self.zombies, {}
        self.gone = []
        for pid in pids:
            one = known.get(pid)
            if one is not None and self._is_still(one):
                one.age += 1
                if one.outdated and (swap_moved or one.vm_swap):
                    self.read_swap(one)
                if renewal_due(pid, one.age, self._renew_every):
                    self._renew(one)
                seen[pid] = one
            elif pid in self._memoryless and self._is_still_empty(self._memoryless[pid]):
                empty[pid] = self._memoryless.pop(pid)
                if pid in zombies:
                    self.zombies[pid] = zombies[pid]
            elif new := self._meet(pid, empty, result):
                seen[pid] = new
        self._forget(known, seen)
        for file in self._memoryless.values():
            self._procfs.kept.close(file)
        self.watched, self._memoryless = seen, empty
        for _ in empty:
            result.absent(_NO_ADDRESS_SPACE)

    def _is_still(self, one: TrackedProcess) -> bool:
        """Look at a known process; return False when it has ended, or has no address space any more."""
        if one.statm_file is None:
            return self._look_by_path(one)
        try:
            raw = read_kept(one.statm_file)
        except OSError:
            return False
        return raw == one.raw or self._take(one, raw)

    def _take(self, one: TrackedProcess, raw: bytes) -> bool:
        """Take what a kept ``statm`` says now; return False when this is no longer the process it was."""
        if raw == NO_MEMORY:
            return False
        try:
            statm = pid_statm.parse_statm(raw)
        except MalformedError:
            return False
        one.raw = raw
        self._move(one, statm)
        return True

    def _move(self, one: TrackedProcess, statm: pid_statm.PidStatm) -> None:
        if one.moves_to(statm):
            self._renew(one)
        if one.full is not None and one.error_pages() > self._tolerance:
            one.due_us = 0

    def _look_by_path(self, one: TrackedProcess) -> bool:
        """Look at a process whose ``statm`` is not kept open; return False when it is gone or another one."""
        pid = one.identity.pid
        stat = self._procfs.stat(pid)
        if isinstance(stat, Absence) or stat.start_ticks != one.identity.start_ticks or _has_ended(stat):
            return False
        statm = self._procfs.statm(pid)
        if isinstance(statm, Absence):
            one.statm, one.due_us = None, 0
        elif one.statm is None:
            one.statm = statm
        elif statm != one.statm:
            self._move(one, statm)
        if stat.comm != one.comm:
            self._rename(one, stat)
        return True

    def _is_still_empty(self, file: int) -> bool:
        try:
            return read_kept(file) == NO_MEMORY
        except OSError:
            return False

    def _meet(self, pid: int, empty: dict[int, int], result: CollectorResult) -> TrackedProcess | None:
        """Return a process not known so far; None when there is nothing to watch, which is counted."""
        # In this order: if the open file still answers after ``stat`` was read, both are of the same process.
        file = self._procfs.kept.open(pid, "statm")
        one = self._met(pid, file, result)
        if file is not None and (one is None or one.statm_file is None):
            if one is None and self._is_still_empty(file):
                empty[pid] = file
            else:
                self._procfs.kept.close(file)
        return one

    def _met(self, pid: int, file: int | None, result: CollectorResult) -> TrackedProcess | None:
        stat = self._procfs.stat(pid)
        if isinstance(stat, Absence):
            result.absent(stat)
            return None
        if _has_ended(stat):
            if stat.is_zombie:
                self.zombies[pid] = stat.ppid
            if file is None:
                result.absent(_NO_ADDRESS_SPACE)  # those with a file are counted by it
            return None
        one = self._watched_by_file(pid, stat, file, result) if file is not None else None
        if file is None or stat.has_lost_main_thread:
            found = self._procfs.statm(pid)
            one = self._watched(pid, stat, None, b"", None if isinstance(found, Absence) else found)
        if one is not None and (parent := self.watched.get(stat.ppid)) is not None:
            one.born_of(parent)
        if one is not None and self.swap_in_use:
            self.read_swap(one)
        return one

    def _watched_by_file(self, pid: int, stat: PidStat, file: int, result: CollectorResult) -> TrackedProcess | None:
        try:
            raw = read_kept(file)
        except OSError:
            result.absent(Absence(AbsenceReason.GONE, f"{self._procfs.root}/{pid}/statm: ESRCH"))
            return None
        if raw == NO_MEMORY:  # it is ending, or has lost its main thread
            return None
        try:
            return self._watched(pid, stat, file, raw, pid_statm.parse_statm(raw))
        except MalformedError:  # an empty file of a recorded tree
            return self._watched(pid, stat, None, b"", None)

    def _watched(
        self, pid: int, stat: PidStat, file: int | None, raw: bytes, statm: pid_statm.PidStatm | None
    ) -> TrackedProcess:
        identity = ProcessIdentity(self._boot_id, pid, stat.start_ticks)
        cgroup = self._identifier.cgroup(pid)
        return TrackedProcess(
            identity=identity,
            target=identity.target,
            info=self._identifier.info(identity, stat.comm, cgroup),
            comm=stat.comm,
            cgroup=cgroup,
            parentage=Parentage(stat.ppid, stat.pgrp),
            statm_file=file,
            raw=raw,
            statm=statm,
        )

    def _renew(self, one: TrackedProcess) -> None:
        """Look after a process's name, parent and control group.

        Once it has settled, after its arguments too: it may have given itself a title, or its container a name.
        """
        stat = self._procfs.stat(one.identity.pid)
        if isinstance(stat, Absence) or stat.start_ticks != one.identity.start_ticks:
            return  # the next look will tell
        one.parentage = Parentage(stat.ppid, stat.pgrp)
        settled = one.age == SETTLE
        if (
            settled
            or stat.comm != one.comm
            or one.since.upset
            or one.info.unanswered
            or self._identifier.cgroup(one.identity.pid) != one.cgroup
        ):
            self._rename(one, stat)

    def _rename(self, one: TrackedProcess, stat: PidStat) -> None:
        cgroup = self._identifier.cgroup(one.identity.pid)
        info = self._identifier.info(one.identity, stat.comm, cgroup)
        if info.unanswered and not one.info.unanswered:
            return  # what was known of it is better, until it answers again
        one.comm, one.cgroup, one.info = stat.comm, cgroup, info

    def read_swap(self, one: TrackedProcess) -> None:
        """Ask ``status`` how much of a process is in swap."""
        status = self._procfs.status(one.identity.pid)
        if not isinstance(status, Absence) and status.vm_swap_bytes is not None:
            one.swap_is(status.vm_swap_bytes)

    def _swap_moved(self) -> bool:
        before, self._swaps = self._swaps, self._procfs.swap_areas()
        return self.swap_in_use and (self._swaps is None or self._swaps != before)

    def _forget(self, known: dict[int, TrackedProcess], seen: dict[int, TrackedProcess]) -> None:
        for pid, one in known.items():
            if seen.get(pid) is not one:
                self.gone.append(one)
                for file in (one.statm_file, one.stat_file):
                    if file is not None:
                        self._procfs.kept.close(file)
                one.statm_file = one.stat_file = None


def _has_ended(stat: PidStat) -> bool:
    return stat.is_kernel_thread or stat.is_zombie
