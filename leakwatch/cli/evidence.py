"""``leakwatch evidence``: all that is known of one finding in one bundle, to keep or to hand on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from leakwatch.cli.arguments import file_name
from leakwatch.cli.output import complain, emit, remark
from leakwatch.clock import SystemClock
from leakwatch.config import PrivacyConfig, load_config
from leakwatch.errors import EXIT_OK, UsageError
from leakwatch.evidence import bundle, gather
from leakwatch.evidence.bundle import kept, shelf_of
from leakwatch.explain.stored import find
from leakwatch.procfs.fs import ProcFS
from leakwatch.queries.report import open_store
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import printable
from leakwatch.text.outfile import is_replaceable
from leakwatch.units import format_bytes

EPILOG = """\
In the bundle: the finding with its evidence, its series as CSV, the next steps, smaps, status and limits of the
process, its service's command lines, slabinfo, vmallocinfo, meminfo, and a README.txt that says what each is and what
is missing. Only you may read it. Command lines are without secrets (values of options and variables named like a
password or token, passwords in URLs and headers, what looks like a token); there are no environment variables in it and
no memory. While smaps is read the process waits where it maps or frees memory, some 13 ms a GiB. The daemon makes one
by itself when a leak is confirmed ([evidence] when_confirmed).

examples:
  sudo leakwatch evidence shop.service
  sudo leakwatch evidence s41b17577 -o /var/tmp/shop          a directory
  sudo leakwatch evidence --list                              those the daemon has made

exit codes:
  0 done · 66 no store yet · 67 no such finding · 73 the output is there already · 74 it cannot be written
  77 a privilege is missing
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "evidence",
        parents=[common],
        help=text,
        description="Writes a bundle of what the store and the machine tell of one finding.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="ID|NAME", help="finding, as leakwatch report lists it")
    parser.add_argument(
        "-o",
        "--output",
        type=file_name,
        metavar="PATH",
        help="a directory, packed where it ends in .tar.gz; default: here, packed",
    )
    parser.add_argument("--list", action="store_true", help="list the bundles the daemon has made")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the bundle, or list those there are."""
    if args.list == (args.name is not None):
        raise UsageError("evidence: give the id or name of a finding, or --list alone")
    config = load_config(args.config)
    reader = open_store(config.store.url)
    try:
        return _list(reader) if args.list else _write(reader, args.name, args.output, config.privacy)
    finally:
        reader.close()


def _list(reader: Reader) -> int:
    shelf = shelf_of(reader.path)
    names = {incident.id: incident.name for incident in reader.incidents()}
    bundles = kept(shelf)
    for one in bundles:
        name = printable(names.get(one.incident_id, "not known any more"))
        emit(f"{printable(str(one.path))}  {format_bytes(one.size_bytes)}  {name}\n")
    if not bundles:
        emit(f"No evidence yet in {printable(str(shelf))}: a bundle is made when a leak is confirmed.\n")
    return EXIT_OK


def _write(reader: Reader, name: str, output: str | None, privacy: PrivacyConfig) -> int:
    now_ms = SystemClock().now().wall_ms
    row = find(gather.rows_of(reader), name)
    path = Path(output or f"leakwatch-evidence-{gather.file_name(row.finding, '', now_ms)}")
    found = gather.entries(reader, ProcFS(command_lines=privacy.command_lines), row, now_ms)
    bundle.write(found, path, now_ms / 1000)
    there = sum(entry.data is not None for entry in found)
    told = f"{printable(str(path))}: {there} files; README.txt says what is what"
    emit(f"{told}\n") if is_replaceable(path) else remark(told)
    for entry in found:
        if entry.data is None:
            complain(f"{entry.name} is missing: {entry.note}")
    if os.geteuid() != 0 and any(entry.data is None for entry in found):
        complain("run it as root to have more of it")
    return EXIT_OK
