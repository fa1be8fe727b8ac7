"""A bundle of evidence: what is read of the machine for it, and how it is written and kept.

It holds what the process, its service and the kernel are now, never an environment. It is a directory or a packed one
that only its owner may read, written whole or not at all. Those made unasked lie beside the store, bounded by age, size
and number.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from leakwatch.collectors.processes.mapping_classes import summed
from leakwatch.model.identity import ProcessIdentity
from leakwatch.model.sample import Absence
from leakwatch.procfs.files import LARGE, MalformedError, read_file
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import mappings
from leakwatch.procfs.pid.mappings import Mapping
from leakwatch.text import outfile
from leakwatch.text.escape import printable

MOST_BYTES = 8 << 20
"""Of a file in a bundle: smaps of 20,000 mappings."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """A file of a bundle."""

    name: str
    about: str
    """What is in it, in one line."""
    data: bytes | None
    """None where it could not be had."""
    note: str = ""
    """Why it is missing, or what is left out of it."""


def bounded(name: str, about: str, data: bytes) -> BundleEntry:
    """Return a file, cut at a line where it is too large for a bundle."""
    if len(data) <= MOST_BYTES:
        return BundleEntry(name, about, data)
    kept = data[: data.rfind(b"\n", 0, MOST_BYTES) + 1]
    return BundleEntry(name, about, kept, f"cut: the first {len(kept)} of {len(data)} bytes")


PACKED = (".tar.gz", ".tgz")
_ACTS = re.compile(rb"[^\t\n\x20-\x7e]")
_ADVICE = "give another name with -o"


def write(entries: Iterable[BundleEntry], path: Path, at_s: float) -> None:
    """Write a bundle to a path that is not there yet; packed where its name says so, and into a pipe or a device.

    Raises OutputExistsError or OutputWriteError, and leaves nothing behind then.
    """
    packed = [path.name.removesuffix(suffix) for suffix in PACKED if path.name.endswith(suffix)]
    if packed or not outfile.is_replaceable(path):
        with outfile.file(path, advice=_ADVICE) as raw:
            _pack(entries, raw, packed[0] if packed else "leakwatch-evidence", at_s)
        return
    with outfile.directory(path, advice=_ADVICE) as part:
        for entry in entries:
            if entry.data is not None:
                (part / entry.name).touch(outfile.OWNER_ONLY, exist_ok=False)
                (part / entry.name).write_bytes(_readable(entry.data))


def _pack(entries: Iterable[BundleEntry], raw: BinaryIO, top: str, at_s: float) -> None:
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if entry.data is not None:
                data = _readable(entry.data)
                info = tarfile.TarInfo(f"{top}/{entry.name}")
                info.size, info.mode, info.mtime = len(data), 0o600, int(at_s)
                tar.addfile(info, io.BytesIO(data))


def _readable(data: bytes) -> bytes:
    """Return text in which nothing acts on what shows it: the kernel prints names of files and programs as they are."""
    if not _ACTS.search(data):
        return data
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines).encode()


DIRECTORY = "evidence"
MOST = 100
"""Bundles, however small."""
_INTERRUPTED = ".part"
"""Behind the name of a bundle that an earlier version did not finish."""
_NAME = re.compile(r"(?P<incident>[a-z][0-9a-f]{8})-(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.tar\.gz")


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """One bundle."""

    path: Path
    incident_id: str
    stamp: str
    """When it was made: UTC, as ``20261126T050000Z``; sorts by time."""
    size_bytes: int


def shelf_of(store: Path) -> Path:
    """Return where the bundles of a store are."""
    return store.parent / DIRECTORY


def kept(shelf: Path) -> list[KeptBundle]:
    """Return the bundles there, oldest first; what is not one of ours is none of our business."""
    try:
        paths = list(shelf.iterdir())
    except OSError:
        return []
    found = []
    for path in paths:
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        try:
            found.append(KeptBundle(path, name["incident"], name["stamp"], path.stat().st_size))
        except OSError:
            continue
    return sorted(found, key=lambda one: (one.stamp, one.path.name))


def surplus(bundles: Sequence[KeptBundle], oldest_stamp: str, max_bytes: int, most: int = MOST) -> list[KeptBundle]:
    """Return which are to go: those made before a time, then the oldest until size and number fit. Pure."""
    too_old = [one for one in bundles if one.stamp < oldest_stamp]
    stay = [one for one in bundles if one.stamp >= oldest_stamp]
    total = sum(one.size_bytes for one in stay)
    while stay and (total > max_bytes or len(stay) > most):
        first = stay.pop(0)
        total -= first.size_bytes
        too_old.append(first)
    return too_old


def remove(bundles: Sequence[KeptBundle], shelf: Path) -> None:
    """Remove bundles, and what a bundle that was interrupted has left."""
    outfile.clear(shelf)
    left = [path for path in shelf.glob(f"*{_INTERRUPTED}") if _NAME.fullmatch(path.name.removesuffix(_INTERRUPTED))]
    for path in [one.path for one in bundles] + left:
        path.unlink(missing_ok=True)


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
