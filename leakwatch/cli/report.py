"""``leakwatch report``: the suspected leakers, from the store."""

from __future__ import annotations

import argparse

from leakwatch.cli.arguments import EXIT_CODE_HELP, add_format, duration, moment, verdicts
from leakwatch.cli.output import complain, show
from leakwatch.clock import SystemClock
from leakwatch.config import load_config
from leakwatch.errors import EXIT_OK
from leakwatch.queries.report import stored_report
from leakwatch.report import summary
from leakwatch.report.build import DEFAULT_VERDICTS, Filters
from leakwatch.report.renderers import REPORT

EPILOG = """\
examples:
  sudo leakwatch report                      what leaks, by urgency
  leakwatch report --unit 'redis*' --verdict all
  leakwatch report --format json --exit-code && deploy

The store is that of --config, else the service's (/var/lib/leakwatch), else your own (~/.local/state/leakwatch).

--exit-code ends with the first of these that holds:
  1  something shown leaks, or leaked until it ended or was restarted, if that was since --since (a day)
  4  there are no recent samples: nothing is measured
  3  all processes, or all kernel caches, that the options ask about are still learning, or none matches
  0  the rest. New processes are always learning, so name what you test: --unit shop.service --exit-code
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "report",
        parents=[common],
        help=text,
        description="Lists suspected leakers, processes, services and kernel caches in one list, the most urgent "
        "first. Works while the daemon runs and when it is stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_format(parser, REPORT)
    parser.add_argument("--name", action="append", default=[], metavar="PATTERN", help="name, service or id")
    parser.add_argument(
        "--unit", action="append", default=[], metavar="PATTERN", help="service: unit, container, program"
    )
    parser.add_argument("--user", action="append", default=[], metavar="PATTERN", help="owner")
    parser.add_argument("--pid", type=int, help="process id")
    parser.add_argument("--verdict", metavar="LIST", help="ok, learning, watch, leak or all (default: leak,watch)")
    parser.add_argument("--window", metavar="DURATION", help="as this window alone sees it, like 4h")
    parser.add_argument("--exit-code", action="store_true", help=EXIT_CODE_HELP)
    parser.add_argument("--since", metavar="TIME", help="leaks that have ended count from then on (default: 1d)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; return 0 or, with ``--exit-code``, what it comes to."""
    now_ms = SystemClock().now().wall_ms
    filters = _filters(args, now_ms)
    config = load_config(args.config)
    report = stored_report(config.store.url, filters, now_ms, config.privacy.command_lines)
    show(REPORT[args.format], report)
    if not args.exit_code:
        return EXIT_OK
    if why := summary.reason(report):
        complain(why)
    return report.outcome.exit_code


def _filters(args: argparse.Namespace, now_ms: int) -> Filters:
    window_s = duration("--window", args.window)
    return Filters(
        names=tuple(args.name),
        units=tuple(args.unit),
        users=tuple(args.user),
        pid=args.pid,
        verdicts=verdicts(args.verdict) if args.verdict else DEFAULT_VERDICTS,
        window_s=None if window_s is None else round(window_s),
        ended_since_ms=moment("--since", args.since, now_ms),
    )
