"""Who a process is: its name, command, owner and service, read when it is met and looked after now and then."""

from __future__ import annotations

import os

from leakwatch.collectors.services.container_names import ContainerNames
from leakwatch.collectors.services.containers import container_among
from leakwatch.collectors.services.naming import service_of
from leakwatch.model.identity import ProcessIdentity, ProcessInfo
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.cgroup import CgroupPaths
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
