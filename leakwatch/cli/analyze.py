"""``leakwatch analyze``: verdicts on captured series."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator

from leakwatch.analysis.replay.capture import Settings, look_briefly, settings_of
from leakwatch.analysis.replay.replay import replay
from leakwatch.cli.arguments import EXIT_CODE_HELP, verdicts
from leakwatch.cli.captures import FILES_RULE, add_unit, captured, concluded
from leakwatch.cli.output import emit, shows_colours
from leakwatch.config import load_config
from leakwatch.errors import EXIT_OK
from leakwatch.model.verdict import Verdict
from leakwatch.report import captures as judged
from leakwatch.report.build import DEFAULT_VERDICTS
from leakwatch.report.captures import JudgedCapture, tally_of

FORMATS = ("table", "json", "jsonl")

EPILOG = """\
A file has a header and a line a sample, plain or gzip, - for standard input:

  time,series,value
  1795500000,proc/redis-server[812],104857600
  2026-11-24T05:21:00Z,slab/kmalloc-4k,33554432

time: seconds since 1970, or ISO 8601 with an offset; in the order of sampling, at any interval.
value: bytes; or in the unit of --unit, of a column "unit", of a column's name (rss_kb) or behind the number (12 kB).
series: proc/NAME[PID], and proc/NAME#1, #2 for successive lives of it; group/NAME for the sum over a service's
processes; slab/CACHE; kernel/FIELD of meminfo; vmalloc/CALLER; /uss or /pss may follow; or any other name.
/fds, /threads, /mappings, /children or /zombies after a process: a number instead of bytes.

examples:
  leakwatch analyze capture.csv.gz
  leakwatch analyze --format jsonl host-a.csv host-b.csv | jq -r 'select(.verdict == "leak") | .series'
  ssh board cat /tmp/capture.csv | leakwatch analyze --exit-code -

""" + FILES_RULE.format(leaks="leaks")


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "analyze",
        parents=[common],
        help=text,
        description="Judges captured series as the daemon judges live ones, with the same code and thresholds. "
        "Each file is one host.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="tidy CSV, plain or gzip; - for standard input")
    add_unit(parser)
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument(
        "--verdict",
        metavar="LIST",
        help="ok, learning, watch, leak or all (default: leak,watch in the table, all elsewhere)",
    )
    parser.add_argument("--exit-code", action="store_true", help=EXIT_CODE_HELP)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the verdicts; return 0 or, with ``--exit-code``, what they come to."""
    gc.disable()  # there is nothing for it among hundreds of thousands of series, and looking takes half the time
    default = DEFAULT_VERDICTS if args.format == "table" else frozenset(Verdict)
    shown = verdicts(args.verdict) if args.verdict else default
    files = _judged(args.files, args.unit, settings_of(load_config(args.config)))
    rows = _print(files, args.format, shown)
    leaks = any(row.assessment.verdict is Verdict.LEAK for row in rows)
    return concluded(tally_of(rows), leaks=leaks and Verdict.LEAK in shown) if args.exit_code else EXIT_OK


def _judged(paths: list[str], unit: str | None, settings: Settings) -> Iterator[list[JudgedCapture]]:
    """Yield the verdicts on each file's series; nothing of a file that is wrong somewhere."""
    for file in captured(paths, unit):
        yield [
            JudgedCapture(
                one.name,
                look_briefly(capture, one.assessment, settings.criteria_for),
                file.path if len(paths) > 1 else None,
                file.doubt,
                capture.subject.grows,
            )
            for capture, one in zip(file.captures, replay(file.captures, settings), strict=True)
        ]


def _print(files: Iterator[list[JudgedCapture]], form: str, shown: frozenset[Verdict]) -> list[JudgedCapture]:
    """Print all files' series, as each is judged where lines can be, and return them."""
    rows: list[JudgedCapture] = []
    for found in files:
        if form == "jsonl":
            emit(judged.lines(row for row in found if row.assessment.verdict in shown))
        rows += found
    if form == "json":
        emit(judged.document(rows, shown))
    elif form == "table":
        emit(judged.table(rows, shown, colour=shows_colours()), colour=shows_colours())
    return rows
