"""From a finding to its steps on this machine: its process, if it is still the same one, and this kernel's facts.

Of a live or recorded process it reads what tells the runtime; it keeps no environment variable but those it decides by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from leakwatch.errors import ProcUnavailableError
from leakwatch.model.identity import ProcessIdentity, ProcessInfo
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import SUSPECT, Finding, FindingKind
from leakwatch.nextsteps import counts, kernel_tools, runtime_signs
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.runtime_signs import ENVIRONMENT, Elf, Traces, listening
from leakwatch.nextsteps.step import Patient, Step, first, nobody
from leakwatch.nextsteps.toolbox import facts_here, patient_of
from leakwatch.procfs.files import link_target, read_file
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import mappings
from leakwatch.text.escape import as_text

# Paths are strings here, as in procfs.


MOST_MAPS = 8 << 20
"""Bytes of ``maps`` that are read: libraries come among the first hundred lines but for what is above the heap."""
MOST_ENVIRONMENT = 1 << 18
_CAUGHT = re.compile(rb"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_INNER = re.compile(rb"^NSpid:\s*(.+)$", re.MULTILINE)
_NAMES = {name.encode(): name for name in ENVIRONMENT}


def read_traces(procfs: ProcFS, pid: int, *, deep: bool = True) -> Traces | None:
    """Return what can be read of a process, None when it is gone; ``deep``: the texts of its program are searched."""
    stat = procfs.stat(pid)
    if isinstance(stat, Absence):
        return None
    base = f"{procfs.root}/{pid}"
    unread: list[str] = []
    arguments, exe = procfs.program(pid)
    if isinstance(exe, Absence):
        unread.append(exe.detail)
    maps = _asked(procfs, pid, "maps", MOST_MAPS, unread)
    environment = _asked(procfs, pid, "environ", MOST_ENVIRONMENT, unread)
    status = _bytes(f"{base}/status", 1 << 16, unread)
    stuck = procfs.answers.waits(pid)
    if stuck:
        unread.append(f"{base}: a thread of it waits in the kernel, so its files are not touched")
    caught, inner, found = _CAUGHT.search(status), _INNER.search(status), procfs.status(pid)
    innermost = int(inner[1].split()[-1]) if inner else pid
    return Traces(
        pid=pid,
        name=as_text(stat.comm),
        exe="" if isinstance(exe, Absence) else as_text(exe),
        arguments=() if isinstance(arguments, Absence) else tuple(map(as_text, procfs.shown(arguments))),
        directory=as_text(_link(f"{base}/cwd")),
        mapped=tuple(map(as_text, mappings.mapped_files(maps))),
        elf=None if stuck else _elf(f"{base}/exe", deep=deep),
        environment=_environment(environment),
        caught=_signals(int(caught[1], 16)) if caught else None,
        uid=None if isinstance(found, Absence) else found.uid,
        inner_pid=None if innermost == pid else innermost,
        contained=_differs(_link(f"{base}/ns/mnt"), _link(f"{procfs.root}/self/ns/mnt"))
        and (stuck or _other_root(base)),
        ports=listening(base) if deep else (),
        stuck=stuck,
        unread=tuple(unread),
    )


def _asked(procfs: ProcFS, pid: int, name: str, limit: int, unread: list[str]) -> bytes:
    """Return a file that takes the process's mmap lock."""
    found = procfs.answers.ask(pid, lambda: _bytes(f"{procfs.root}/{pid}/{name}", limit, unread))
    if isinstance(found, Absence):
        unread.append(found.detail)
        return b""
    return found


def _bytes(path: str, limit: int, unread: list[str]) -> bytes:
    try:
        return read_file(path, limit=limit)
    except OSError as error:
        unread.append(f"{path}: {error.strerror}")
        return b""


def _link(path: str) -> str:
    try:
        return link_target(path)
    except OSError:
        return ""


def _differs(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _other_root(base: str) -> bool:
    """Return whether its root is another file system than ours: a service with a private /tmp is no container."""
    try:
        its, ours = os.stat(f"{base}/root/usr"), os.stat("/usr")  # noqa: PTH116 - as in procfs
    except OSError:
        return True
    return (its.st_dev, its.st_ino) != (ours.st_dev, ours.st_ino)


def _environment(data: bytes) -> dict[str, str]:
    pairs = (one.partition(b"=") for one in data.split(b"\0"))
    return {_NAMES[name]: value.decode("utf-8", "replace") for name, _, value in pairs if name in _NAMES}


def _signals(mask: int) -> frozenset[int]:
    return frozenset(bit + 1 for bit in range(64) if mask >> bit & 1)


def _elf(path: str, *, deep: bool) -> Elf | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    try:
        return runtime_signs.parse_elf(lambda at, size: os.pread(descriptor, size, at), deep=deep)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def identity_of(finding: Finding, processes: Sequence[ProcessInfo]) -> ProcessIdentity | None:
    """Return whose process a finding names, by what was stored of the processes alive at the last scrape."""
    return next((info.identity for info in processes if info.identity.pid == finding.pid), None)


def is_alive(procfs: ProcFS, identity: ProcessIdentity) -> bool:
    """Return whether this run of this process is there: its number may belong to another one by now."""
    try:
        if procfs.boot_id() != identity.boot_id:
            return False
    except ProcUnavailableError:
        return False
    stat = procfs.stat(identity.pid)
    return not isinstance(stat, Absence) and stat.start_ticks == identity.start_ticks


def patient_for(procfs: ProcFS, identity: ProcessIdentity | None, *, deep: bool = True) -> Patient | None:
    """Return the process with the tools at hand, None when it is gone or on another machine."""
    if identity is None or not is_alive(procfs, identity):
        return None
    traces = read_traces(procfs, identity.pid, deep=deep)
    return None if traces is None else patient_of(procfs, traces)


def kernel_steps(finding: Finding) -> tuple[Step, ...]:
    """Return the steps for a finding about the kernel, on this machine."""
    kind = finding.metric.partition(".")[0]
    if kind == "slab":
        reclaimable = finding.is_reclaimable
        return kernel_tools.of_slab(finding.name, facts_here(finding.name.partition("@")[0]), reclaimable=reclaimable)
    if kind == "vmalloc":
        return kernel_tools.of_vmalloc(finding.name, facts_here())
    return kernel_tools.of_total(finding.metric, facts_here())


def brief(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> str:
    """Return the first step in one line; empty where there is nothing to be done or nobody to do it to."""
    if finding.assessment.verdict not in SUSPECT:
        return ""
    step = first(_steps(procfs, finding, processes))
    return step.command if step else ""


def _steps(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> tuple[Step, ...]:
    if finding.kind is FindingKind.KERNEL:
        if finding.metric in counts.TOLD:
            return counts.of_count(finding.metric, "", ())
        return kernel_steps(finding)
    patient = patient_for(procfs, identity_of(finding, processes), deep=False)
    if patient is None:
        return ()
    if finding.metric in counts.TOLD:
        return counts.of_count(finding.metric, patient.pid, finding.sorts)
    return steps_for(patient)


def patient_or_nobody(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> Patient:
    """Return the process of a finding, or what stands for it where it is gone: its number may be another's by now."""
    patient = patient_for(procfs, identity_of(finding, processes))
    return patient or nobody(f"{finding.name} {finding.service or ''}".strip(), None)
