"""``leakwatch ps``: who holds memory now, by process, user, mapping or the whole machine.

The command line of ``leakwatch ps``: smem's letters.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from dataclasses import replace

from leakwatch.cli.arguments import file_name
from leakwatch.cli.output import emit, remark, written
from leakwatch.config import Config, load_config
from leakwatch.errors import EXIT_OK, LeakwatchError, ProcUnavailableError, UsageError
from leakwatch.model.sample import Absence
from leakwatch.procfs.fs import ProcFS
from leakwatch.ps import chart, table, views
from leakwatch.ps.chart import picture_format
from leakwatch.ps.reading import Reading, ReadRequest, read, remarks
from leakwatch.ps.smemcap import captured
from leakwatch.ps.table import Scale, TableStyle, chosen
from leakwatch.ps.views import MAPPINGS, PROCESSES, SYSTEM, USERS, Row, View, ViewKind
from leakwatch.text.redact import CommandLines
from leakwatch.units import parse_size

EPILOG = """\
examples:
  sudo leakwatch ps -k -t                       every process, the largest PSS last, with totals
  sudo leakwatch ps -r -s uss -c 'pid name uss swap' | head
  sudo leakwatch ps -P '^postgres' -t           the processes of one program together
  sudo leakwatch ps -u -p                       by user, as shares of the machine's memory
  sudo leakwatch ps -m -M '\\.so' -s rss -k      by library
  leakwatch ps -w -k                            the whole machine
  sudo leakwatch ps --bar                       bars in the terminal
  sudo leakwatch ps --pie name -s uss -o memory.svg
  sudo smemcap > now.tar; leakwatch ps -S now.tar -k
  sudo leakwatch ps --format json | jq 'max_by(.pss_bytes)'

The letters are smem's: -p is percent, and a process id is --pid. Patterns are regular expressions (Python's) found
anywhere in the text. Sizes are KiB unless -k or -p is given; JSON has bytes. What could not be read is told on
standard error. Columns, for -c, -s, --bar and --pie:
{columns}"""


def add_arguments(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> argparse.ArgumentParser:
    """Add the verb and return its parser."""
    parser = verbs.add_parser(
        "ps",
        parents=[common],
        help=text,
        description="Shows who holds memory now, as smem does: by process, or by user (-u), mapping (-m), whole system "
        "(-w). Needs no daemon and no store.",
        epilog=EPILOG.format(columns=_columns()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    view = parser.add_mutually_exclusive_group()
    view.add_argument("-u", "--users", action="store_true", help="one line a user")
    view.add_argument("-m", "--mappings", action="store_true", help="one line a file or area that is mapped")
    view.add_argument("-w", "--system", action="store_true", help="the whole machine: kernel, processes, free")
    parser.add_argument(
        "-P", "--processfilter", metavar="REGEX", help="processes by name or command line, but this one"
    )
    parser.add_argument("-U", "--userfilter", metavar="REGEX", help="processes by owner")
    parser.add_argument("-M", "--mapfilter", metavar="REGEX", help="of every process only what it maps of that name")
    parser.add_argument("--pid", type=int, action="append", default=[], metavar="PID", help="this process; repeatable")
    parser.add_argument("-c", "--columns", metavar="LIST", help="columns to show, apart by blanks or commas")
    parser.add_argument("-s", "--sort", metavar="COLUMN", help="column to sort by (default: pss)")
    parser.add_argument("-r", "--reverse", action="store_true", help="the largest first")
    parser.add_argument("-k", "--abbreviate", action="store_true", help="sizes with unit suffixes, like 3.1M")
    parser.add_argument("-p", "--percent", action="store_true", help="sizes as shares of memory, or of swap")
    parser.add_argument("-t", "--totals", action="store_true", help="totals below")
    parser.add_argument("-H", "--no-header", action="store_true", help="no line of headings")
    parser.add_argument("-n", "--numeric", action="store_true", help="user ids instead of names")
    parser.add_argument("-a", "--autosize", action="store_true", help="for smem's sake: columns always fit here")
    parser.add_argument(
        "-R", "--realmem", metavar="SIZE", help="memory built in, like 16GiB: what is 100 %%, and for -w"
    )
    chart = parser.add_mutually_exclusive_group()
    chart.add_argument(
        "--bar", metavar="LABEL", nargs="?", const="", help="bars, named by this column (default: name, user, map)"
    )
    chart.add_argument("--pie", metavar="LABEL", nargs="?", const="", help="shares of memory, small ones together")
    parser.add_argument(
        "-o", "--output", type=file_name, metavar="FILE", help="the chart as .png, .svg or .pdf; needs matplotlib"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE where it is there already")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    root = parser.add_mutually_exclusive_group()
    root.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    root.add_argument("-S", "--source", metavar="FILE", help="a capture by smemcap, or a directory with proc in it")
    return parser


def _columns() -> str:
    views = {"by process": PROCESSES, "-u": USERS, "-m": MAPPINGS, "-w": SYSTEM}
    lines = [f"  {name + ':':<12} {' '.join(view.columns)}\n" for name, view in views.items()]
    return "".join(lines)


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    add_arguments(verbs, common, text).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is held; return 0."""
    if args.source is None:
        return _run(args, ProcFS(args.proc, command_lines=_command_lines()))

    with captured(args.source) as root:
        return _run(args, ProcFS(root, command_lines=_command_lines()))


def _command_lines() -> CommandLines:
    """Return what is configured; the default where the configuration cannot be read, which ps does without."""
    try:
        return load_config().privacy.command_lines
    except LeakwatchError:
        return Config().privacy.command_lines


def _run(args: argparse.Namespace, procfs: ProcFS) -> int:
    view, wanted = _view(args), _wanted(args, live=procfs.root == "/proc")
    named = table.chosen("-c", view, args.columns)
    drawn = _chart_label(args, view)
    sort = (table.chosen("-s", view, args.sort) or (view.drawn if drawn else view.sort,))[0]
    wanted = _with_mappings(wanted, args, named, sort)
    rows, reading = _rows(args, procfs, wanted)
    if args.source is not None:  # where it was unpacked is of no interest
        reading.failed = [why.replace(f"{procfs.root}/", f"{args.source}: ") for why in reading.failed]
    scale = _scale(args, procfs)
    if drawn:
        _draw(args, view, rows, drawn, (named, sort), scale)
    else:
        rows = table.ordered(rows, sort, largest_first=args.reverse)
        _print(args, view, rows, named, scale)
    _remark(args, wanted, reading, bool(rows))
    return EXIT_OK


def _view(args: argparse.Namespace) -> View:
    if args.users:
        return USERS
    return MAPPINGS if args.mappings else SYSTEM if args.system else PROCESSES


def _wanted(args: argparse.Namespace, *, live: bool) -> ReadRequest:
    return ReadRequest(
        pids=frozenset(args.pid),
        not_pid=os.getpid() if live and args.processfilter is not None else None,
        process=_pattern("-P", args.processfilter),
        user=_pattern("-U", args.userfilter),
        mapping=_pattern("-M", args.mapfilter),
    )


def _with_mappings(wanted: ReadRequest, args: argparse.Namespace, named: tuple[str, ...], sort: str) -> ReadRequest:
    """Return what to read: mapping by mapping only where something asked for needs it."""
    return replace(wanted, by_mapping=args.mappings or "maps" in (*named, sort))


def _pattern(option: str, text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"{option}: {text!r} is no regular expression: {error}") from None


def _rows(args: argparse.Namespace, procfs: ProcFS, wanted: ReadRequest) -> tuple[list[Row], Reading]:
    if args.system:
        meminfo = procfs.meminfo()
        if isinstance(meminfo, Absence):
            raise ProcUnavailableError(f"the whole machine cannot be shown (-w): {meminfo.detail}")
        return views.system_rows(meminfo, _installed(args)), Reading()
    reading = read(procfs, wanted)
    if args.users:
        return views.user_rows(reading.held, numeric=args.numeric), reading
    if args.mappings:
        return views.mapping_rows(reading.held), reading
    return views.process_rows(reading.held, numeric=args.numeric), reading


def _installed(args: argparse.Namespace) -> int | None:
    try:
        return None if args.realmem is None else parse_size(args.realmem)
    except ValueError as error:
        raise UsageError(f"-R: {error}") from None


def _scale(args: argparse.Namespace, procfs: ProcFS) -> Scale:
    style = TableStyle.SUFFIX if args.abbreviate else TableStyle.PERCENT if args.percent else TableStyle.KIB
    meminfo = procfs.meminfo()
    installed = _installed(args)
    if isinstance(meminfo, Absence):
        return Scale(style, installed, None)
    return Scale(style, installed or meminfo.get("MemTotal"), meminfo.get("SwapTotal"))


def _print(args: argparse.Namespace, view: View, rows: list[Row], named: tuple[str, ...], scale: Scale) -> None:
    if args.format == "json":
        emit(table.as_json(view, rows, named or view.json))
        return
    text = table.render(
        view,
        rows,
        named or view.shown,
        scale,
        header=not args.no_header,
        totals=args.totals,
        terminal_width=_terminal_width(),
    )
    emit(text)


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _chart_label(args: argparse.Namespace, view: View) -> str:
    """Return the column that names what is drawn, empty where a table is wanted."""
    option, text = ("--pie", args.pie) if args.pie is not None else ("--bar", args.bar)
    if text is None:
        if args.output:
            raise UsageError("-o writes a chart; add --bar or --pie (tables and JSON go to standard output)")
        return ""
    if args.format == "json":
        raise UsageError(f"{option} draws a chart and --format json writes none; leave one of them out")
    if args.output:
        picture_format(args.output)
    return chosen(option, view, text)[0] if text else view.label


def _draw(
    args: argparse.Namespace, view: View, rows: list[Row], label: str, what: tuple[tuple[str, ...], str], scale: Scale
) -> None:
    """Draw the sort column or, as bars, the numbers among the columns chosen."""
    named, sort = what
    several = tuple(name for name in named if view.columns[name].kind is ViewKind.SIZE)
    if args.pie is not None:
        drawing = chart.shares(view, rows, label, sort, scale)
    else:
        drawing = chart.bars(view, rows, label, several or (sort,), scale)
    if not args.output:
        plain = not _shows_blocks(sys.stdout.encoding)
        emit(chart.draw(drawing, _terminal_width(), plain=plain, header=not args.no_header))
        return
    if not any(map(any, drawing.values)):
        raise UsageError(f"there is nothing to draw: {sort} is 0 everywhere, or nothing matches")
    chart.figure_class()  # before a file is made: where it is missing there shall be none
    save = chart.save_pie if args.pie is not None else chart.save_bars
    with written(args.output, binary=True, force=args.force) as (_, out):
        save(drawing, out, chart.picture_format(args.output))


def _shows_blocks(encoding: str | None) -> bool:
    try:
        "█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _remark(args: argparse.Namespace, wanted: ReadRequest, reading: Reading, found: bool) -> None:
    """Tell on standard error what is missing and, on a terminal, what the numbers are."""
    if args.format == "table" and sys.stdout.isatty() and found and not (args.abbreviate or args.percent):
        chart = args.bar is not None or args.pie is not None
        if not chart:
            remark("Sizes in KiB; -k shows units.")
    filtered = bool(wanted.pids or wanted.process or wanted.user or wanted.mapping)
    for line in remarks(reading, filtered=filtered):
        remark(line)
