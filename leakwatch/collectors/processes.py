"""Every process's memory, and who it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.collectors.services import container_among, service_of
from leakwatch.model import Absence, AbsenceReason, ProcessIdentity, ProcessInfo, Sample

if TYPE_CHECKING:
    from leakwatch.collectors.result import Gathered
    from leakwatch.model import Target
    from leakwatch.procfs.pid_smaps import MemoryUse
    from leakwatch.procfs.pid_stat import PidStat
    from leakwatch.procfs.root import ProcFS

COMMAND_LENGTH = 512
"""Characters of a command line that are kept: enough to tell two workers apart."""
RENEW_EVERY = 10
"""Scrapes after which a process's name and service are read again: a process may move to another control group, which
nothing announces. An exec shows in its comm and is seen at once."""
SETTLE = 2
"""Scrapes after its birth at which they are read again too: between fork and exec, and before its manager has moved it
to its control group, a new process still looks like its parent."""


@dataclass(slots=True)
class _Known:
    info: ProcessInfo
    comm: str
    age: int = 0


class ProcessCollector:
    """Reads all processes; remembers only who they are."""

    def __init__(self, procfs: ProcFS, boot_id: str) -> None:
        self._procfs = procfs
        self._boot_id = boot_id
        self._home = _own_container(procfs)
        self._known: dict[ProcessIdentity, _Known] = {}

    def collect(self, gathered: Gathered, *, slow: bool) -> None:
        """Sample every process, with threads and files when ``slow``.

        Raises ProcUnavailableError when they cannot be listed.
        """
        seen: dict[ProcessIdentity, _Known] = {}
        for pid in self._procfs.pids():
            stat = self._procfs.stat(pid)
            if isinstance(stat, Absence):
                gathered.absent(stat)  # it ended since the listing
            elif stat.is_kernel_thread or stat.is_zombie:
                gathered.absent(Absence(AbsenceReason.NO_ADDRESS_SPACE))
            else:
                identity = ProcessIdentity(self._boot_id, pid, stat.start_ticks)
                seen[identity] = self._identify(identity, stat)
                self._sample(identity.target, stat, slow=slow, gathered=gathered)
        self._known = seen
        gathered.processes = [known.info for known in seen.values()]

    def _sample(self, target: Target, stat: PidStat, *, slow: bool, gathered: Gathered) -> None:
        use = self._procfs.memory(stat.pid)
        if isinstance(use, Absence):
            gathered.absent(use)
            if use.reason in (AbsenceReason.DENIED, AbsenceReason.UNSUPPORTED):
                self._sample_without_uss(target, stat.pid, gathered)
        else:
            _sample_use(target, use, gathered)
        if slow:
            self._sample_slow(target, stat, gathered)

    def _sample_without_uss(self, target: Target, pid: int, gathered: Gathered) -> None:
        """Sample what needs no privilege: it still shows growth, only not exactly whose."""
        status = self._procfs.status(pid)
        if isinstance(status, Absence):
            return  # counted already: the process's memory is missing, whichever file refused it
        values = {
            metrics.PROCESS_RSS: status.vm_rss_bytes,
            metrics.PROCESS_ANON: status.rss_anon_bytes,
            metrics.PROCESS_SWAP: status.vm_swap_bytes,
        }
        gathered.samples += [Sample(metric, target, value) for metric, value in values.items() if value is not None]

    def _sample_slow(self, target: Target, stat: PidStat, gathered: Gathered) -> None:
        gathered.samples.append(Sample(metrics.PROCESS_THREADS, target, stat.num_threads))
        files = self._procfs.fd_count(stat.pid)
        if isinstance(files, Absence):
            gathered.absent(files)
        else:
            gathered.samples.append(Sample(metrics.PROCESS_FDS, target, files))

    def _identify(self, identity: ProcessIdentity, stat: PidStat) -> _Known:
        known = self._known.get(identity)
        if known is not None:
            known.age += 1
            if known.comm == stat.comm and known.age != SETTLE and known.age % RENEW_EVERY:
                return known
        info = self._read_info(identity, stat)
        return _Known(info, stat.comm, known.age if known else 0)

    def _read_info(self, identity: ProcessIdentity, stat: PidStat) -> ProcessInfo:
        pid = identity.pid
        status, cgroup = self._procfs.status(pid), self._procfs.cgroup(pid)
        args, exe = self._procfs.cmdline(pid), self._procfs.exe(pid)
        words = () if isinstance(args, Absence) else args
        service = service_of(
            None if isinstance(cgroup, Absence) else cgroup,
            stat.comm,
            None if isinstance(exe, Absence) else exe,
            words,
            self._home,
        )
        return ProcessInfo(
            identity=identity,
            name=as_text(stat.comm),
            command=as_text(" ".join(words))[:COMMAND_LENGTH],
            uid=None if isinstance(status, Absence) else status.uid,
            service=type(service)(service.kind, as_text(service.name)),
        )


def _own_container(procfs: ProcFS) -> str | None:
    """Return the container this process runs in, where the tree is the one it lives in."""
    if procfs.root != "/proc":
        return None
    own = procfs.cgroup(os.getpid())
    return None if isinstance(own, Absence) else container_among(own)


def _sample_use(target: Target, use: MemoryUse, gathered: Gathered) -> None:
    gathered.targets_read += 1
    gathered.samples += [
        Sample(metrics.PROCESS_USS, target, use.uss_bytes),
        Sample(metrics.PROCESS_PSS, target, use.pss_bytes),
        Sample(metrics.PROCESS_RSS, target, use.rss_bytes),
    ]
    if use.swap_bytes is not None:
        gathered.samples.append(Sample(metrics.PROCESS_SWAP, target, use.swap_bytes))


def as_text(name: str) -> str:
    r"""Return a name in which every byte that is no UTF-8 is spelled out as ``\xNN``: any encoder takes it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
