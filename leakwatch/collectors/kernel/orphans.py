"""Memory without an owner: of System V IPC, and files in tmpfs.

System V IPC: how many there are of each, and the memory that no process will give back.

A segment that nobody has attached and whose creator has ended, and messages in a queue whose last sender and last
receiver have ended, stay until somebody removes them. Only the IPC namespace leakwatch runs in can be seen.

Files in tmpfs that no process has open or mapped: memory that stays until somebody removes them.

How much a tmpfs holds costs one call. Only one that has grown since leakwatch began is walked, and then its files are
looked for in what every process has open; both within a purse, and again only when what it holds has changed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leakwatch import metrics
from leakwatch.collectors.processes.budget import ASIDE, CpuBudget
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.shared_memory import TmpFile
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

NAMED = 3
"""Of the largest: enough to see whose they are."""
SLACK_S = 2
"""Boot time and start times are whole seconds and hundredths, rounded each on its own."""


def collect_ipc(procfs: ProcFS, result: CollectorResult) -> None:
    """Sample what there is of System V IPC."""
    living = _Living(procfs)
    _shared_memory(procfs, living, result)
    _messages(procfs, living, result)
    sets = procfs.counted.semaphore_sets()
    if isinstance(sets, Absence):
        result.absent(sets)
    else:
        result.samples.append(Sample(metrics.IPC_SEM_SETS, HOST, sets))


def _shared_memory(procfs: ProcFS, living: _Living, result: CollectorResult) -> None:
    segments = procfs.counted.shm_segments()
    if isinstance(segments, Absence):
        result.absent(segments)
        return
    orphans = [
        one
        for one in segments
        if not one.attached and one.memory_bytes and not living.since(one.creator_pid, one.changed_s)
    ]
    orphans.sort(key=lambda one: -one.memory_bytes)
    result.samples += [
        Sample(metrics.IPC_SHM_SEGMENTS, HOST, len(segments)),
        Sample(metrics.IPC_SHM_ORPHANS, HOST, sum(one.memory_bytes for one in orphans)),
    ]
    result.largest[metrics.IPC_SHM_ORPHANS] = tuple(
        f"shmid {one.id} {format_bytes(one.memory_bytes)} (uid {one.uid}, made by pid {one.creator_pid}, now gone)"
        for one in orphans[:NAMED]
    )
    result.targets_read += len(segments)


def _messages(procfs: ProcFS, living: _Living, result: CollectorResult) -> None:
    queues = procfs.counted.message_queues()
    if isinstance(queues, Absence):
        result.absent(queues)
        return
    orphans = [
        one
        for one in queues
        if one.bytes and not any(living.since(pid, one.used_s) for pid in (one.sender_pid, one.receiver_pid) if pid)
    ]
    orphans.sort(key=lambda one: -one.bytes)
    result.samples += [
        Sample(metrics.IPC_MSG_QUEUES, HOST, len(queues)),
        Sample(metrics.IPC_MSG_ORPHANS, HOST, sum(one.bytes for one in orphans)),
    ]
    result.largest[metrics.IPC_MSG_ORPHANS] = tuple(
        f"msqid {one.id} {format_bytes(one.bytes)} (uid {one.uid}, last sent by pid {one.sender_pid}, now gone)"
        for one in orphans[:NAMED]
    )
    result.targets_read += len(queues)


class _Living:
    """Tells whether a process is the one that was meant: pids are given out again."""

    def __init__(self, procfs: ProcFS) -> None:
        self._procfs = procfs
        self._hertz = os.sysconf("SC_CLK_TCK")
        self._boot_s: int | None = None

    def since(self, pid: int, when_s: int) -> bool:
        """Return whether a process of this pid lives that began before a time, in seconds since 1970."""
        stat = self._procfs.stat(pid)
        if isinstance(stat, Absence) or stat.is_zombie:
            return False
        if self._boot_s is None:
            host = self._procfs.host_stat()
            self._boot_s = 0 if isinstance(host, Absence) else host.btime_s
        # The kernel tells the boot by the clock as it is now. A stamp before it was made before that clock was set, as
        # on a board that boots in 1970: then nothing but the pid tells.
        return when_s + SLACK_S < self._boot_s or self._boot_s + stat.start_ticks / self._hertz <= when_s + SLACK_S


GROWN_BYTES = 1 << 20
"""What a tmpfs must have grown by before it is walked at all, as [thresholds] min_growth."""
MOVED_BYTES = 1 << 16
"""And have changed by to be walked again."""
MOST_ENTRIES = 20_000
"""Names looked at in one walk."""
NAMED_FOLDERS = 2


@dataclass(slots=True)
class _Known:
    """One tmpfs."""

    least: int
    walked: int | None = None
    """What it held when it was last walked."""
    orphans: int = 0
    largest: tuple[str, ...] = ()
    incomplete: bool = False


class Tmpfs:
    """Knows what each tmpfs held when it was last looked at."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig) -> None:
        self._procfs = procfs
        self._cpu_budget = CpuBudget(ASIDE * sampling.cpu_budget, sampling.interval_s)
        self._known: dict[str, _Known] = {}
        self._last_us: int | None = None

    def collect(self, result: CollectorResult, now_us: int) -> None:
        """Sample what all of them hold, and what of that belongs to nobody where one has grown."""
        if self._last_us is not None:
            self._cpu_budget.earn(now_us - self._last_us)
        self._last_us = now_us
        mounted = self._procfs.counted.tmpfs_used()
        if isinstance(mounted, Absence):
            result.absent(mounted)
            return
        self._known = {device: self._known.get(device) or _Known(size) for device, (_, size) in mounted.items()}
        result.targets_read = len(mounted)
        result.samples.append(Sample(metrics.TMPFS_USED, HOST, sum(size for _, size in mounted.values())))
        grown = False
        for device, (path, size) in mounted.items():
            one = self._known[device]
            one.least = min(one.least, size)
            if one.walked is None and size - one.least < GROWN_BYTES:
                continue
            grown = True
            if one.walked is None or abs(size - one.walked) >= MOVED_BYTES:
                if self._cpu_budget.left_us <= 0:
                    return  # what is known is of the past: no sample
                if not self._walk(one, path, size):
                    result.absent(Absence(AbsenceReason.DENIED, f"tmpfs {path}: who has its files open"))
                    return
        if grown:
            self._tell(result)

    def _walk(self, one: _Known, path: str, size: int) -> bool:
        """Look through one; return whether it can be told whose its files are."""
        began_ns = self._procfs.cpu_ns()
        files, whole = self._procfs.counted.tmpfs_files(path, MOST_ENTRIES)
        held = self._procfs.counted.tmpfs_held(self._procfs.pids(), files)
        self._cpu_budget.spend((self._procfs.cpu_ns() - began_ns) / 1000)
        if held is None:
            return False
        orphans = [file for file in files if file.inode not in held]
        one.walked, one.incomplete = size, not whole
        one.orphans, one.largest = sum(file.bytes for file in orphans), _described(orphans)
        return True

    def _tell(self, result: CollectorResult) -> None:
        by_size = sorted(self._known.values(), key=lambda one: -one.orphans)
        result.samples.append(Sample(metrics.TMPFS_ORPHANS, HOST, sum(one.orphans for one in by_size)))
        result.largest[metrics.TMPFS_ORPHANS] = tuple(text for one in by_size for text in one.largest)[
            : 2 * NAMED_FOLDERS
        ]
        if any(one.incomplete for one in by_size):
            result.absent(Absence(AbsenceReason.SKIPPED, f"tmpfs: only {MOST_ENTRIES} names of one were looked at"))


def _described(orphans: Iterable[TmpFile]) -> tuple[str, ...]:
    """Return where most of them lie, and the largest."""
    files = sorted(orphans, key=lambda file: -file.bytes)
    if not files:
        return ()
    sizes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for file in files:
        directory = file.path.rpartition("/")[0] or "/"
        sizes[directory] += file.bytes
        numbers[directory] += 1
    found = [
        f"{printable(directory)} {format_bytes(size)} in {numbers[directory]} files"
        for directory, size in sizes.most_common(NAMED_FOLDERS)
    ]
    largest = files[0]
    return (*found, f"{printable(largest.path)} {format_bytes(largest.bytes)} (uid {largest.uid})")
