"""``leakwatch doctor``: what this machine lets leakwatch read, what is missing and which privilege it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from leakwatch.model import AbsenceReason
    from leakwatch.procfs.root import ProcFS

EPILOG = """\
Run it as the user that is to sample. The service (leakwatch service install) has CAP_SYS_PTRACE and
CAP_DAC_READ_SEARCH and nothing else, which is all there is to need.
"""
CAPABILITIES = {2: "CAP_DAC_READ_SEARCH", 19: "CAP_SYS_PTRACE"}
"""Bits of CapEff (capability.h)."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        parents=[common],
        help="what can be read here, and which privilege what is missing needs",
        description="Tries to read everything leakwatch reads and says what is missing, why, and what would help.",
        epilog=EPILOG,
    )
    parser.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; return 0 unless /proc cannot be read at all."""
    from leakwatch.config import load_config
    from leakwatch.errors import EXIT_OK
    from leakwatch.procfs.root import ProcFS

    config = load_config(args.config)
    procfs = ProcFS(args.proc)
    for lines in (_who(procfs), _processes(procfs), _kernel(procfs), _places(config.sources, config.store.url)):
        for state, text in lines:
            print(f"{state:<8} {text}")
    return EXIT_OK


Line = tuple[str, str]


def _who(procfs: ProcFS) -> Iterator[Line]:
    import os
    import platform
    from pathlib import Path

    yield "info", f"kernel {platform.release()} ({platform.machine()}), pages of {procfs.page_size // 1024} KiB"
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    effective = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    held = [name for bit, name in CAPABILITIES.items() if effective >> bit & 1]
    yield "info", f"running as uid {os.geteuid()} with {' and '.join(held) or 'none of the two capabilities'}"


def _processes(procfs: ProcFS) -> Iterator[Line]:
    from collections import Counter

    from leakwatch.escape import printable
    from leakwatch.model import Absence, AbsenceReason

    memory: Counter[AbsenceReason] = Counter()
    files: Counter[AbsenceReason] = Counter()
    refused: list[str] = []
    read = counted = 0
    for pid in procfs.pids():
        use = procfs.memory(pid)
        if isinstance(use, Absence):
            memory[use.reason] += 1
            if use.reason is AbsenceReason.DENIED and len(refused) < 3:
                stat = procfs.stat(pid)
                refused.append(f"{pid} ({'?' if isinstance(stat, Absence) else printable(stat.comm)})")
            continue
        read += 1
        fds = procfs.fd_count(pid)
        if isinstance(fds, Absence):
            files[fds.reason] += 1
        else:
            counted += 1
    denied = memory[AbsenceReason.DENIED]
    yield "ok" if not denied else "partly" if read else "missing", f"USS, PSS and swap of {read} processes"
    if denied:
        yield "", f"refused: {denied}, such as {', '.join(refused)}; needs CAP_SYS_PTRACE"
        yield "", "a process refused even with it is protected by its own settings and stays out"
    if memory[AbsenceReason.NO_ADDRESS_SPACE]:
        yield "info", f"{memory[AbsenceReason.NO_ADDRESS_SPACE]} kernel threads and zombies have no memory of their own"
    yield _open_files(counted, files)


def _open_files(counted: int, absences: dict[AbsenceReason, int]) -> Line:
    if not absences:
        return "ok", f"open files of {counted} processes"
    return "partly" if counted else "missing", (
        f"open files of {counted} processes, {sum(absences.values())} refused; needs CAP_SYS_PTRACE and "
        "CAP_DAC_READ_SEARCH"
    )


def _kernel(procfs: ProcFS) -> Iterator[Line]:
    from leakwatch.model import Absence, AbsenceReason

    meminfo = procfs.meminfo()
    if isinstance(meminfo, Absence):
        yield "missing", f"meminfo: {meminfo.detail}"
    else:
        yield "ok", f"meminfo: {len(meminfo.fields)} fields"
        if meminfo.get("MemAvailable") is None:
            yield "missing", "MemAvailable (kernels before 3.14): no time until memory runs out can be given"
    for name, found, unit in (
        ("slabinfo", procfs.slabinfo(), "slab caches"),
        ("vmallocinfo", procfs.vmallocinfo(), "vmalloc callers"),
    ):
        if not isinstance(found, Absence):
            yield "ok", f"{name}: {len(found)} {unit}"
        elif found.reason is AbsenceReason.DENIED:
            yield "missing", f"{name}: refused; needs root or CAP_DAC_READ_SEARCH"
        else:
            yield "missing", f"{name}: {found.reason} ({found.detail}); this kernel was built without it"
    known = procfs.slab_reclaimable("dentry")
    if isinstance(known, Absence):
        yield "missing", f"whether a slab cache is reclaimable: {known.detail}; it is judged by its name"


def _places(sources: tuple[str, ...], url: str) -> Iterator[Line]:
    from leakwatch.clock import rfc3339
    from leakwatch.errors import LeakwatchError
    from leakwatch.store.location import reader_paths, writer_path
    from leakwatch.store.reader import Reader

    yield "info", f"configuration: {', '.join(sources) or 'defaults (no file in /etc/leakwatch)'}"
    yield "info", f"a daemon started here would store into {writer_path(url)}"
    for path in reader_paths(url):
        try:
            reader = Reader(path)
        except LeakwatchError as error:
            yield "info", str(error)
            continue
        last = reader.last_scrape()
        reader.close()
        size = path.stat().st_size
        when = f"last scrape {rfc3339(last.ts_ms)}" if last else "no scrape yet"
        yield "ok", f"store {path}: {size / 2**20:.1f} MiB, {when}"
