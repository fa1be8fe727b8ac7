"""Reads what a bundle holds of the machine as it is now: the process, its service, the kernel. No environment, ever.

``smaps`` → a table, a line a file or kind of mapping, the largest first: what a person looks for in it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leakwatch.collectors.processes.mapping_classes import summed
from leakwatch.evidence.bundle import BundleEntry, bounded
from leakwatch.model.identity import ProcessIdentity
from leakwatch.model.sample import Absence
from leakwatch.procfs.fields import MalformedError
from leakwatch.procfs.files import LARGE, read_file
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import mappings
from leakwatch.procfs.pid.mappings import Mapping
from leakwatch.text.escape import printable

COLUMNS = ("mapping", "count", "size_bytes", "rss_bytes", "pss_bytes", "private_bytes", "swap_bytes")


def summary(smaps: bytes) -> bytes:
    """Return tab-separated lines with a heading; sizes in bytes. Raises MalformedError."""
    found = mappings.parse(smaps).mappings
    rows = [
        (one.key, one.mappings, one.size_bytes, one.rss_bytes, one.pss_bytes, one.uss_bytes, one.swap_bytes)
        for one in sorted(summed(found, map(_name, found)).values(), key=lambda one: (-one.held_bytes, one.key))
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in (COLUMNS, *rows)).encode()


def _name(one: Mapping) -> str:
    if one.path:
        return printable(one.path)
    return "[shared, nameless]" if one.permissions.endswith("s") else "[nameless]"


STALL_S_PER_GIB = 0.013
"""What a process that maps or frees memory waits while its own is walked, a GiB of 4 KiB pages (docs/sampling.md)."""
MOST_PROCESSES = 2000
HOST_FILES = {
    "meminfo": "where the machine's memory is, as the kernel counts",
    "slabinfo": "every slab cache: objects and their size",
    "vmallocinfo": "every vmalloc area and who asked for it",
    "vmstat": "the kernel's memory events and pages by kind",
    "buddyinfo": "free pages by size: how broken up memory is",
}
PROCESS_FILES = {
    "status": "the process's memory, threads and owner, as the kernel counts",
    "limits": "its limits",
    "cgroup": "its control groups",
    "smaps_rollup": "its memory in all",
}


@dataclass(frozen=True, slots=True)
class EvidenceSubject:
    """Of whom to collect."""

    identity: ProcessIdentity | None
    """The process that grows, None for the kernel or where it is gone."""
    members: tuple[int, ...]
    """Process ids of its service; empty: of everybody, as for the kernel."""


def collect(procfs: ProcFS, subject: EvidenceSubject, *, max_stall_s: float | None) -> Iterator[BundleEntry]:
    """Yield the files; ``max_stall_s`` is how long the process may be kept waiting, None: as long as it takes."""
    if subject.identity is not None:
        yield from _of_process(procfs, subject.identity.pid, max_stall_s)
    yield _processes(procfs, subject.members or tuple(procfs.pids()))
    for name, about in HOST_FILES.items():
        yield _read(f"{procfs.root}/{name}", f"{name}.txt", about)


def _of_process(procfs: ProcFS, pid: int, max_stall_s: float | None) -> Iterator[BundleEntry]:
    stall_s = _stall_s(procfs, pid)
    skipped = (
        f"left out: it would make the process wait {1000 * stall_s:.0f} ms, longer than [sampling] max_stall; "
        "leakwatch evidence ID takes it"
        if max_stall_s is not None and stall_s > max_stall_s
        else ""
    )
    for name, about in PROCESS_FILES.items():
        if skipped and name == "smaps_rollup":
            yield BundleEntry(f"{name}.txt", about, None, skipped)
        else:
            yield _asked(procfs, pid, name, (f"{name}.txt", about))
    smaps = ("smaps.txt", "every mapping of the process with its memory")
    table = ("mappings.tsv", "the same, a line a file or kind of mapping, the largest private memory first")
    if skipped:
        yield from (BundleEntry(*smaps, None, skipped), BundleEntry(*table, None, skipped))
        return
    whole = _asked(procfs, pid, "smaps", smaps, bound=False)
    if whole.data is None:
        yield from (whole, BundleEntry(*table, None, whole.note))
        return
    yield bounded(*smaps, whole.data)
    try:
        yield bounded(*table, summary(whole.data))
    except MalformedError as error:  # it ended while it was read
        yield BundleEntry(*table, None, str(error))


def _stall_s(procfs: ProcFS, pid: int) -> float:
    status = procfs.status(pid)
    rss = 0 if isinstance(status, Absence) else status.vm_rss_bytes or 0
    return STALL_S_PER_GIB * rss / (1 << 30)


def _asked(procfs: ProcFS, pid: int, name: str, entry: tuple[str, str], *, bound: bool = True) -> BundleEntry:
    found = procfs.answers.ask(pid, lambda: _read(f"{procfs.root}/{pid}/{name}", *entry, bound=bound))
    return BundleEntry(*entry, None, found.detail) if isinstance(found, Absence) else found


def _read(path: str, name: str, about: str, *, bound: bool = True) -> BundleEntry:
    try:
        data = read_file(path, LARGE)
    except OSError as error:
        return BundleEntry(name, about, None, f"{path}: {error.strerror}")
    return bounded(name, about, data) if bound else BundleEntry(name, about, data)


def _processes(procfs: ProcFS, pids: Sequence[int]) -> BundleEntry:
    about = "the processes of its service (for the kernel: all of them), command lines without secrets"
    lines = ["pid\tparent\tname\trss_bytes\tthreads\tcommand"]
    for pid in pids[:MOST_PROCESSES]:
        stat, status, arguments = procfs.stat(pid), procfs.status(pid), procfs.cmdline(pid)
        if isinstance(stat, Absence) or isinstance(status, Absence):
            continue
        words = () if isinstance(arguments, Absence) else procfs.shown(arguments)
        cells = (pid, stat.ppid, stat.comm, status.vm_rss_bytes or 0, status.threads or "", " ".join(words))
        lines.append("\t".join(printable(str(cell)) for cell in cells))
    entry = bounded("processes.tsv", about, ("\n".join(lines) + "\n").encode())
    left = len(pids) - MOST_PROCESSES
    return entry if left <= 0 else BundleEntry(entry.name, entry.about, entry.data, f"{left} processes are left out")
