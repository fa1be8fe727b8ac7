"""``leakwatch backtest``: what would have been alarmed when, over captured series or the store's history."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from leakwatch.analysis.replay.capture import Capture, settings_of
from leakwatch.analysis.replay.replay import replay
from leakwatch.cli.arguments import duration, moment
from leakwatch.cli.captures import FILES_RULE, add_unit, captured, concluded
from leakwatch.cli.output import emit
from leakwatch.clock import SystemClock
from leakwatch.config import Config, load_config
from leakwatch.errors import EXIT_OK, StoreNotFoundError, UsageError
from leakwatch.importers.store import stored_captures
from leakwatch.queries.report import open_store
from leakwatch.report import alarms
from leakwatch.report.alarms import Replayed
from leakwatch.report.conclusion import tally

ALARM_HELP = "end with 1 when something would have been alarmed, 3 when nothing is decided"
FORMATS = ("table", "jsonl")

EPILOG = """\
Nothing is known at a time that was not measured by then: it is what would have happened. Without FILE it goes over the
history in the store, which is that of --config, else the service's, else your own. Files are those that
leakwatch analyze takes.

examples:
  sudo leakwatch backtest                            over all that is stored
  sudo leakwatch backtest --since 3d --compare /etc/leakwatch/config.toml quieter.toml
  leakwatch backtest --format jsonl capture.csv.gz

Each line of jsonl is one series: series, verdict and slope_bytes_per_hour at its end, first_alert and alerts, a list of
[start, end], in seconds since 1970; the end is null while it is alarmed.

""" + FILES_RULE.format(leaks="would have been alarmed")


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "backtest",
        parents=[common],
        help=text,
        description="Replays history through the code the daemon runs and lists what would have been alarmed when: "
        "how a threshold is chosen.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="tidy CSV, plain or gzip; - for standard input")
    add_unit(parser)
    parser.add_argument("--step", metavar="DURATION", help="time between two evaluations (default: as the daemon)")
    parser.add_argument("--compare", nargs=2, metavar=("A.toml", "B.toml"), help="two configurations side by side")
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("--exit-code", action="store_true", help=ALARM_HELP)
    parser.add_argument("--since", metavar="TIME", help="of stored history: from then on, like 3d, or a time")
    parser.add_argument("--until", metavar="TIME", help="of stored history: before then")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what would have been alarmed; return 0 or, with ``--exit-code``, what it comes to."""
    if args.files and (args.since or args.until):
        raise UsageError("--since and --until are for stored history; leave them out, or the files")
    if args.unit is not None and not args.files:
        raise UsageError("--unit is for files; stored history is in bytes")
    if args.compare and args.config:
        raise UsageError("--compare takes two configurations; leave out --config")
    configs = _configs(args)
    runs: list[list[Replayed]] = [[] for _ in configs]
    for file, captures in _captures(args, next(iter(configs.values()))):
        for at, found in enumerate(_replayed(captures, file, configs, args)):
            if args.format == "jsonl":
                _print_lines(found)
            runs[at] += found
    if args.format == "table":
        _print_table(runs)
    if not args.exit_code:
        return EXIT_OK
    every = [row for rows in runs for row in rows]
    judged = (((row.config, row.file), row.assessment.verdict) for row in every if row.decides)
    return concluded(tally(judged), leaks=any(row.alerts for row in every))


def _configs(args: argparse.Namespace) -> dict[str | None, Config]:
    """Return the configurations by how they are called, None where there is but one."""
    if not args.compare:
        return {None: load_config(args.config)}
    if args.compare[0] == args.compare[1]:
        raise UsageError("--compare: twice the same file; give two that differ")
    return {path: load_config(path) for path in args.compare}


def _captures(args: argparse.Namespace, config: Config) -> Iterator[tuple[str | None, Sequence[Capture]]]:
    """Yield each source's series, with the file's name where there are several."""
    if not args.files:
        yield None, _history(args, config)
    for file in captured(args.files, args.unit):
        yield (file.path if len(args.files) > 1 else None), file.captures


def _history(args: argparse.Namespace, config: Config) -> list[Capture]:
    now_ms = SystemClock().now().wall_ms
    since_ms, until_ms = moment("--since", args.since, now_ms), moment("--until", args.until, now_ms)
    reader = open_store(config.store.url)
    try:
        captures = stored_captures(reader, config.ignore, since_ms, until_ms)
    finally:
        reader.close()
    if not captures:
        raise StoreNotFoundError(f"{reader.path} holds no samples of that time; widen --since and --until")
    return captures


def _replayed(
    captures: Sequence[Capture], file: str | None, configs: dict[str | None, Config], args: argparse.Namespace
) -> Iterator[list[Replayed]]:
    """Yield what each configuration makes of one source's series."""
    step_s = duration("--step", args.step)
    for name, config in configs.items():
        outcomes = replay(captures, settings_of(config), step_s)
        yield [
            Replayed(
                outcome.name,
                outcome.assessment,
                outcome.alerts,
                last_ms=int(capture.times_ms[-1]),
                hours=capture.sampled_s / 3600,
                file=file,
                config=name,
                decides=capture.subject.grows,
            )
            for capture, outcome in zip(captures, outcomes, strict=True)
        ]


def _print_lines(found: list[Replayed]) -> None:
    emit(alarms.lines(found))


def _print_table(runs: list[list[Replayed]]) -> None:
    emit(alarms.table(runs[0]) if len(runs) == 1 else alarms.comparison(*runs))
