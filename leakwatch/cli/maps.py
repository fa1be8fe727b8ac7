"""``leakwatch maps``: what the memory of one process is made of, and which part of it grows between two looks."""

from __future__ import annotations

import argparse
import time

from leakwatch.cli.arguments import duration
from leakwatch.cli.output import emit
from leakwatch.clock import SystemClock
from leakwatch.collectors.processes.mapping_classes import classified, summed
from leakwatch.errors import EXIT_OK, FindingNotFoundError, PermissionNeededError, ProcUnavailableError, UsageError
from leakwatch.model.memory_class import ClassUse
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.mounts import hides_from_us
from leakwatch.procfs.pid.mappings import Mapped
from leakwatch.report import maps
from leakwatch.report.maps import Looked, MapsLine
from leakwatch.text.escape import printable

APART_S = 10.0

EPILOG = """\
examples:
  sudo leakwatch maps 812                  two looks, ten seconds apart: what is held, and what was gained
  sudo leakwatch maps 812 --apart 5m       slow leaks take longer
  sudo leakwatch maps 812 --once --all     one look, and every mapping

"held" is what the process has for itself: private pages, dirty or clean, and what is in swap; it is what a report
calls USS + swap. No daemon is needed. Others' processes take CAP_SYS_PTRACE. It holds the process's memory lock as
long as reading /proc/PID/smaps does: some 15 ms a GiB, and 4 us a mapping.

exit codes: 0 done   67 no such process, or none with memory   69 /proc unreadable, or the process hangs and does not
answer   77 it may not be looked into
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "maps",
        parents=[common],
        help=text,
        description="Takes two looks at the mappings of a process and tells by class what it holds and what changed: "
        "the heap, malloc arenas, thread stacks, anonymous and named memory, each file, memfds, shared memory.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pid", type=int, metavar="PID", help="process id")
    parser.add_argument("--apart", metavar="DURATION", help="time between the two looks (default: 10s)")
    parser.add_argument("--once", action="store_true", help="one look only")
    parser.add_argument("--all", action="store_true", help="list every mapping, too")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was seen."""
    apart_s = duration("--apart", args.apart)
    if args.once and apart_s is not None:
        raise UsageError("maps: --once is one look; leave out --apart, or --once")
    procfs = ProcFS(args.proc)
    first = None if args.once else _look(procfs, args.pid)
    if first is not None:
        apart_s = apart_s or APART_S
        time.sleep(apart_s)
    looked = _compared(procfs, args.pid, first, apart_s, every=args.all)
    emit((maps.as_json if args.format == "json" else maps.table)(looked))
    return EXIT_OK


def _look(procfs: ProcFS, pid: int) -> tuple[int, Mapped]:
    """Return when the process began, and its mappings. Raises the errors the exit codes are of."""
    procfs.pids()  # a tree that is none is told as such
    stat = procfs.stat(pid)
    if isinstance(stat, Absence):
        if stat.reason is AbsenceReason.DENIED:
            raise PermissionNeededError(f"maps: {stat.detail}; needs CAP_SYS_PTRACE: run it with sudo")
        if hidden := hides_from_us(procfs.root):
            why = f"if there is a process {pid}, /proc hides it (hidepid={printable(hidden)})"
            raise PermissionNeededError(f"maps: {why}; needs CAP_SYS_PTRACE: run it with sudo")
        raise FindingNotFoundError(f"maps: there is no process {pid}")
    found = procfs.mappings(pid)
    if not isinstance(found, Absence):
        return stat.start_ticks, found
    if found.reason is AbsenceReason.DENIED:
        raise PermissionNeededError(f"maps: {found.detail}; needs CAP_SYS_PTRACE: run it with sudo")
    if found.reason is AbsenceReason.NO_ANSWER:
        waits = f"its memory map is locked; what it waits for: sudo cat /proc/{pid}/task/*/stack"
        raise ProcUnavailableError(f"maps: process {pid} ({printable(stat.comm)}) does not answer: {waits}")
    if found.reason is AbsenceReason.GONE:
        raise FindingNotFoundError(f"maps: process {pid} has ended")
    if found.reason is AbsenceReason.NO_ADDRESS_SPACE:
        raise FindingNotFoundError(f"maps: process {pid} is a kernel thread or has ended: it has no memory of its own")
    raise ProcUnavailableError(f"maps: {found.detail}")


def _compared(
    procfs: ProcFS, pid: int, first: tuple[int, Mapped] | None, apart_s: float | None, *, every: bool
) -> Looked:
    began, now = _look(procfs, pid)
    if first is not None and first[0] != began:
        raise FindingNotFoundError(f"maps: process {pid} has ended, and its number is another's by now")
    devices = procfs.memory_devices(pid, now.mappings)
    keys = classified(now.mappings, devices)
    uses = summed(now.mappings, keys)
    old = None
    if first is not None:
        old = summed(first[1].mappings, classified(first[1].mappings, devices))
    names = dict.fromkeys([*uses, *(old or {})])
    classes = [
        MapsLine(key, uses.get(key, ClassUse(key)), None if old is None else old.get(key, ClassUse(key)))
        for key in names
    ]
    lines = _single(now, keys, first[1] if first else None) if every else []
    stat = procfs.stat(pid)
    name = "?" if isinstance(stat, Absence) else stat.comm
    return Looked(pid, name, SystemClock().now().wall_ms, apart_s, tuple(classes), tuple(lines))


def _single(now: Mapped, keys: list[str], first: Mapped | None) -> list[MapsLine]:
    """Return a line for every mapping; it is the one of the first look that began or ended where it does."""
    known = {} if first is None else {("start", m.start): m for m in first.mappings}
    known |= {} if first is None else {("end", m.end): m for m in first.mappings}
    lines = []
    for one, key in zip(now.mappings, keys, strict=True):
        same = known.get(("start", one.start)) or known.get(("end", one.end))
        before = None if first is None else summed([same], [key])[key] if same else ClassUse(key)
        address = f"{one.start:x}-{one.end:x}"
        lines.append(MapsLine(key, summed([one], [key])[key], before, address, one.permissions, one.path))
    return lines
