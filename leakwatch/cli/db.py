"""``leakwatch db``: what is in the store, whether it is sound, a copy of it, its room back, its samples elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from leakwatch.cli.arguments import file_name, moment
from leakwatch.cli.output import STDOUT, emit, remark, written
from leakwatch.clock import SystemClock
from leakwatch.config import load_config
from leakwatch.errors import EXIT_DATA, EXIT_OK
from leakwatch.queries import store_stats
from leakwatch.queries.report import open_store
from leakwatch.queries.store_stats import Choice, exported
from leakwatch.report import samples as export
from leakwatch.store.maintenance import inventory
from leakwatch.store.maintenance.backup import back_up, refuse_own_files, vacuum
from leakwatch.store.maintenance.integrity import check
from leakwatch.store.maintenance.retention import limits_of
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

EPILOG = """\
All but vacuum work while the daemon writes to the store, which is that of --config, else the service's
(/var/lib/leakwatch), else your own (~/.local/state/leakwatch).

examples:
  sudo leakwatch db stats                          what takes the room, and when it will be full
  sudo leakwatch db check && echo sound
  sudo leakwatch db backup /mnt/backup/leakwatch.db
  sudo leakwatch db export --metric process.uss_bytes --target 'redis*' --since 3d | leakwatch analyze -
  sudo leakwatch db export --format parquet -o memory.parquet

exit codes:
  0 done · 2 wrong argument, pyarrow missing · 65 damaged (check, export) · 66 no store yet
  73 the file is there already · 74 cannot be written · 75 the daemon holds the store (vacuum)
  77 a privilege is missing
"""
FORMATS = ("csv", "jsonl", "parquet")
SHOWN = 20
"""Problems listed by ``check``: more are of the same kind."""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb and its actions."""
    parser = verbs.add_parser(
        "db",
        parents=[common],
        help=text,
        description="Looks after the store: what is in it and what takes the room, whether it is sound, a copy of it "
        "while the daemon runs, its samples for other programs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    stats = _add_action(actions, "stats", "what is in it, what each part takes, and when it will be full", run_stats)
    stats.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    _add_action(actions, "check", "read all of it and tell whether anything is damaged (exit code 65)", run_check)
    backup = _add_action(actions, "backup", "copy it as it is now to one file, while the daemon writes", run_backup)
    backup.add_argument("file", type=file_name, metavar="FILE", help="the copy")
    backup.add_argument("--force", action="store_true", help="replace FILE where it is there already")
    _add_action(actions, "vacuum", "give room it does not need back; the daemon must be stopped", run_vacuum)
    export = _add_action(actions, "export", "write samples for other programs", run_export)
    export.add_argument("--format", choices=FORMATS, default="csv", help="default: csv, which leakwatch analyze reads")
    export.add_argument(
        "-o", "--output", type=file_name, metavar="FILE", default="-", help="default: standard output; .gz is packed"
    )
    export.add_argument("--force", action="store_true", help="replace FILE where it is there already")
    export.add_argument("--since", metavar="TIME", help="from then on, like 3d, or a time")
    export.add_argument("--until", metavar="TIME", help="before then")
    export.add_argument("--metric", action="append", default=[], metavar="PATTERN", help="like process.uss_bytes")
    export.add_argument(
        "--target", action="append", default=[], metavar="PATTERN", help="name, service, slab cache or series"
    )


def _add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: object
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="as before the action")
    parser.set_defaults(run=run)
    return parser


def _open(args: argparse.Namespace) -> Reader:
    return open_store(load_config(args.config).store.url)


def run_stats(args: argparse.Namespace) -> int:
    """Print what is in the store."""
    limits = limits_of(load_config(args.config).store)
    reader = _open(args)
    try:
        found = inventory.take(reader)
    finally:
        reader.close()
    render = store_stats.as_json if args.format == "json" else store_stats.as_table
    emit(render(reader.path, found, limits, inventory.outlook(found, limits)))
    return EXIT_OK


def run_check(args: argparse.Namespace) -> int:
    """Print whether the store is sound; return 65 where it is not."""
    reader = _open(args)
    try:
        found = check(reader)
    finally:
        reader.close()
    held = f"{found.samples:,} samples and {found.blocks:,} blocks"
    path = printable(str(reader.path))
    if not found.problems:
        emit(f"{path} is sound: {held}, each read and there once.\n")
        return EXIT_OK
    lines = [f"{path} is damaged: {len(found.problems)} problems; {held} are in it.", ""]
    lines += [f"  {printable(problem)}" for problem in found.problems[:SHOWN]]
    if len(found.problems) > SHOWN:
        lines.append(f"  and {len(found.problems) - SHOWN} more")
    lines += [
        "",
        "Reports and exports leave out what is damaged and use the rest. Keep a copy: leakwatch db backup FILE",
    ]
    emit("\n".join(lines) + "\n")
    return EXIT_DATA


def run_backup(args: argparse.Namespace) -> int:
    """Copy the store."""
    reader = _open(args)
    try:
        size = back_up(reader, Path(args.file), force=args.force)
    finally:
        reader.close()
    told = (
        f"{format_bytes(size)}, checked; to go back to it, stop the daemon and copy it to {printable(str(reader.path))}"
    )
    emit(f"{printable(args.file)}: {told}\n")
    return EXIT_OK


def run_vacuum(args: argparse.Namespace) -> int:
    """Give room back."""
    reader = _open(args)
    reader.close()
    before, after = vacuum(reader.path)
    emit(f"{printable(str(reader.path))}: {format_bytes(before)} before, {format_bytes(after)} now\n")
    return EXIT_OK


def run_export(args: argparse.Namespace) -> int:
    """Write samples; return 65 where some could not be read."""
    now_ms = SystemClock().now().wall_ms
    choice = Choice(
        tuple(args.metric),
        tuple(args.target),
        moment("--since", args.since, now_ms),
        moment("--until", args.until, now_ms),
    )
    reader = _open(args)
    try:
        if args.output != STDOUT:
            refuse_own_files(reader.path, Path(args.output))
        samples = exported(reader, choice)
        with written(args.output, binary=args.format == "parquet", force=args.force) as (text, raw):
            if args.format == "parquet":
                count = export.write_parquet(samples, raw)
            else:
                count = (export.write_csv if args.format == "csv" else export.write_jsonl)(samples, text)
    finally:
        reader.close()
    lost = len(reader.damage.found)
    if args.output != "-" or not count or lost:
        left_out = f"; {lost} damaged parts were left out, see: leakwatch db check" if lost else ""
        remark(f"{count:,} samples exported{left_out}")
    return EXIT_DATA if lost else EXIT_OK
