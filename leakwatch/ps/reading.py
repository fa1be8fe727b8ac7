"""Reads what every process holds, or why that cannot be read.

Says what limits the answer: who could not be read, and what would read them.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import cache

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.mounts import hides_from_us
from leakwatch.procfs.pid.mappings import NameUse
from leakwatch.procfs.pid.stat import PidStat
from leakwatch.ps.sums import HeldMemory, Sums, matching, of_names
from leakwatch.text.escape import as_text, printable


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Which processes, which of their mappings, and whether mapping by mapping, which is dearer."""

    pids: frozenset[int] = frozenset()
    """Empty stands for all."""
    not_pid: int | None = None
    """Left out: ourselves, whose command line holds the pattern that is looked for in command lines."""
    process: re.Pattern[str] | None = None
    """Found in the name or the command line."""
    user: re.Pattern[str] | None = None
    mapping: re.Pattern[str] | None = None
    """With it only what matches is summed, and processes that map no such thing are left out."""
    by_mapping: bool = False


@dataclass(slots=True)
class Reading:
    """What was read and what was not."""

    held: list[HeldMemory] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Pid and name of those the kernel shows only to somebody with more privileges."""
    silent: list[tuple[int, str]] = field(default_factory=list)
    """Those that hang with their memory map locked."""
    failed: list[str] = field(default_factory=list)
    """Files, and what was wrong with each."""
    hidepid: str = ""
    """How others' processes are hidden from us, however many; empty where they are not."""


def read(procfs: ProcFS, wanted: ReadRequest) -> Reading:
    """Read every process wanted; raises ProcUnavailableError when the tree cannot be listed.

    Kernel threads and zombies have no memory of their own, and who ends meanwhile has none left: neither is an error.
    """
    found = Reading(hidepid=hides_from_us(procfs.root))
    for pid in procfs.pids():
        if (wanted.pids and pid not in wanted.pids) or pid == wanted.not_pid:
            continue
        stat = procfs.stat(pid)
        if isinstance(stat, Absence):
            _note(found, procfs, pid, "?", stat)
        elif not (stat.is_kernel_thread or stat.is_zombie):
            _read_one(found, procfs, stat, wanted)
    return found


def _read_one(found: Reading, procfs: ProcFS, stat: PidStat, wanted: ReadRequest) -> None:
    pid, name = stat.pid, as_text(stat.comm)
    args, uid = procfs.raw_cmdline(pid), procfs.owner(pid)
    if isinstance(uid, Absence):
        return
    words = () if isinstance(args, Absence) else args
    user = username(uid)
    if isinstance(args, Absence) and args.reason is AbsenceReason.NO_ANSWER:
        # Its command line is not known, so nothing says that it is not meant.
        if not _left_out(wanted.user, user):
            _note(found, procfs, pid, name, args)
        return
    if _left_out(wanted.process, name, as_text(" ".join(words)) or f"[{name}]") or _left_out(wanted.user, user):
        return
    named = _by_name(procfs, pid) if wanted.by_mapping or wanted.mapping else {}
    sums = named if isinstance(named, Absence) else _sums(procfs, stat, named, wanted)
    if isinstance(sums, Absence):
        _note(found, procfs, pid, name, sums)
    elif sums is not None and not isinstance(named, Absence):
        command = as_text(" ".join(procfs.shown(procfs.clean(words)))) or f"[{name}]"
        found.held.append(HeldMemory(pid, uid, user, name, command, sums, matching(named, wanted.mapping)))


def _left_out(pattern: re.Pattern[str] | None, *texts: str) -> bool:
    return pattern is not None and not any(pattern.search(text) for text in texts)


def _by_name(procfs: ProcFS, pid: int) -> dict[str, NameUse] | Absence:
    found = procfs.memory_by_name(pid)
    return found if isinstance(found, Absence) else {as_text(name): use for name, use in found.items()}


def _sums(procfs: ProcFS, stat: PidStat, named: Mapping[str, NameUse], wanted: ReadRequest) -> Sums | Absence | None:
    """Return what a process holds, of what was asked for; None where that is nothing at all."""
    if not named:
        return _totals(procfs, stat)
    if wanted.mapping is not None:
        chosen = matching(named, wanted.mapping)
        return of_names(chosen) if chosen else None
    return of_names(named)


def _totals(procfs: ProcFS, stat: PidStat) -> Sums | Absence:
    found = procfs.memory_summed(stat.pid)
    if isinstance(found, Absence) and found.reason is AbsenceReason.UNSUPPORTED:  # a tree copied without smaps
        only = procfs.memory(stat.pid)
        found = only if isinstance(only, Absence) else (only, None)
    if isinstance(found, Absence):
        return found
    use, size_bytes = found
    vss_bytes = size_bytes or stat.vsize_bytes
    if not vss_bytes:  # its main thread has ended, whose files show zeros
        statm = procfs.statm(stat.pid)
        if isinstance(statm, Absence):
            return statm
        vss_bytes = statm.size_pages * procfs.page_size
    return Sums(use.swap_bytes, use.uss_bytes, use.pss_bytes, use.rss_bytes, vss_bytes, use.mappings)


def _note(found: Reading, procfs: ProcFS, pid: int, name: str, absence: Absence) -> None:
    if absence.reason is AbsenceReason.DENIED:
        found.refused.append((pid, name))
    elif absence.reason is AbsenceReason.NO_ANSWER:
        found.silent.append((pid, name))
    elif absence.reason in (AbsenceReason.MALFORMED, AbsenceReason.UNSUPPORTED) and _lives(procfs, pid):
        found.failed.append(absence.detail)


def _lives(procfs: ProcFS, pid: int) -> bool:
    """Tell whether a process is still there in full: the files of one that ends are cut short."""
    stat = procfs.stat(pid)
    if isinstance(stat, Absence):
        return stat.reason is AbsenceReason.MALFORMED
    return not (stat.is_zombie or (stat.is_exiting and not stat.has_lost_main_thread))


@cache
def username(uid: int) -> str:
    """Return the name this machine knows a user id by, else the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


NAMED = 3
"""Processes named as examples."""


def remarks(reading: Reading, *, filtered: bool, root: bool | None = None) -> list[str]:
    """Return a line for each thing that is missing; ``root`` is whether we are, worked out when not given."""
    root = os.geteuid() == 0 if root is None else root
    lines = []
    if reading.hidepid:
        way = "it takes CAP_SYS_PTRACE to see them" if root else "sudo leakwatch ps shows them"
        lines.append(
            f"Not shown: processes of others, which /proc hides (hidepid={printable(reading.hidepid)}); {way}."
        )
    if reading.refused:
        named = _named(reading.refused)
        way = "refused even to root: see leakwatch doctor" if root else "sudo leakwatch ps shows them"
        lines.append(f"Not shown: {_processes(reading.refused)} whose memory we may not read, such as {named}; {way}.")
    if reading.silent:
        locked = "that hangs with its memory map" if len(reading.silent) == 1 else "that hang with their memory maps"
        lines.append(f"Not shown: {_processes(reading.silent)} {locked} locked, such as {_named(reading.silent)}.")
    if reading.failed:
        lines.append(f"Not read: {_processes(reading.failed)}, such as {printable(reading.failed[0])}.")
    if filtered and not reading.held and not lines:
        lines.append("No process matches.")
    return lines


def _named(those: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{pid} ({printable(name)})" for pid, name in those[:NAMED])


def _processes(those: Sized) -> str:
    return "1 process" if len(those) == 1 else f"{len(those)} processes"
