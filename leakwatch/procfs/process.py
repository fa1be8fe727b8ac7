"""One process's files, and what the lack of each means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.files import LARGE, MalformedError, absence, exists, listed, read_file
from leakwatch.procfs.pid import stat as pid_stat

Record = TypeVar("Record")
Parser = Callable[[bytes], Record]


def read(root: str, pid: int, name: str, parse: Parser[Record], limit: int | None = None) -> Record | Absence:
    """Return the record of ``<root>/<pid>/<name>``: UNSUPPORTED if only the file is missing, GONE if the process is."""
    path = f"{root}/{pid}/{name}"
    try:
        return parse(read_file(path, limit=limit))
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except ProcessLookupError as error:  # ended between open and read; its pid may be in use again
        return absence(path, error, AbsenceReason.GONE)
    except OSError as error:
        return missing(root, pid, path, error, AbsenceReason.UNSUPPORTED)


def read_host(root: str, name: str, parse: Parser[Record]) -> Record | Absence:
    """Return the record of ``<root>/<name>``, a file of the machine: UNSUPPORTED if it is missing."""
    path = f"{root}/{name}"
    try:
        return parse(read_file(path, LARGE))
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except OSError as error:
        return absence(path, error, AbsenceReason.UNSUPPORTED)


def missing(root: str, pid: int, path: str, error: OSError, alive: AbsenceReason) -> Absence:
    """Return why a file could not be read; ``alive`` is what its lack means while the process exists."""
    return absence(path, error, alive if exists(f"{root}/{pid}") else AbsenceReason.GONE)


def read_stat(root: str, pid: int) -> pid_stat.PidStat | Absence:
    """Return ``stat``, which every living process has: that it is missing means GONE."""
    found = read(root, pid, "stat", pid_stat.parse)
    if isinstance(found, Absence) and found.reason is AbsenceReason.UNSUPPORTED:
        return Absence(AbsenceReason.GONE, found.detail)  # ended, and its pid was in use again a moment later
    return found


def read_memory(root: str, pid: int, name: str, parse: Parser[Record]) -> Record | Absence:
    """Return the record of a file about the address space: ``statm``, ``smaps`` or ``smaps_rollup``.

    Without an address space the kernel shows zeros (statm), nothing (smaps) or ESRCH (smaps_rollup); to others than
    the owner it may say EACCES. Then ``stat`` is asked what kind of process this is.
    """
    path = f"{root}/{pid}/{name}"
    try:
        data = read_file(path)
        if data.strip(b"0 \n"):
            return parse(data)
        reason = Absence(AbsenceReason.NO_ADDRESS_SPACE, f"{path}: nothing in it")
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except ProcessLookupError as error:
        reason = missing(root, pid, path, error, AbsenceReason.NO_ADDRESS_SPACE)
    except OSError as error:
        reason = missing(root, pid, path, error, AbsenceReason.UNSUPPORTED)
    return _explained(root, pid, name, parse, reason)


def _explained(root: str, pid: int, name: str, parse: Parser[Record], seen: Absence) -> Record | Absence:
    stat = read_stat(root, pid)
    if isinstance(stat, Absence):
        return Absence(stat.reason, seen.detail)
    if stat.is_kernel_thread or stat.is_zombie:
        return Absence(AbsenceReason.NO_ADDRESS_SPACE, seen.detail)
    return _of_living_thread(root, pid, name, parse, seen) if stat.has_lost_main_thread else seen


def _of_living_thread(root: str, pid: int, name: str, parse: Parser[Record], seen: Absence) -> Record | Absence:
    """Return the record as another thread's file has it; all threads share the address space."""
    tasks = f"{root}/{pid}/task"
    try:
        threads = [int(thread) for thread in listed(tasks) if thread != str(pid)]
    except (OSError, ValueError):
        return seen
    for thread in threads:
        found = read(tasks, thread, name, parse)
        if not isinstance(found, Absence):
            return found
    return seen


def read_smaps(root: str, pid: int, parse: Parser[Record]) -> Record | Absence:
    """Return what ``parse`` makes of ``smaps``, unless the process ended meanwhile.

    The file takes many reads. When the process ends between two of them the rest is missing without an error, and
    the sum would be too small: so the process has to be alive still when the last byte has come.
    """
    use = read_memory(root, pid, "smaps", parse)
    if isinstance(use, Absence):
        return use
    return ended_meanwhile(root, pid, f"{root}/{pid}/smaps") or use


def ended_meanwhile(root: str, pid: int, path: str) -> Absence | None:
    """Return why what was read by several reads up to now cannot be trusted: its process has ended; else None."""
    stat = read_stat(root, pid)
    if isinstance(stat, Absence):
        return stat
    if stat.is_zombie or (stat.is_exiting and not stat.has_lost_main_thread):
        return Absence(AbsenceReason.NO_ADDRESS_SPACE, f"{path}: ended while it was read")
    return None
