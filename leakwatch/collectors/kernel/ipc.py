"""System V IPC: how many there are of each, and the memory that nobody will ever give back.

A segment that nobody has attached and whose creator has ended, and messages in a queue whose last sender and last
receiver have ended, stay until somebody removes them. Only the IPC namespace leakwatch runs in can be seen.
"""

from __future__ import annotations

import os

from leakwatch import metrics
from leakwatch.collectors.result import CollectorResult
from leakwatch.model.identity import HOST
from leakwatch.model.sample import Absence, Sample
from leakwatch.procfs.fs import ProcFS
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
