"""The ``leakwatch`` command: finds the verb, runs it, turns errors into one line and an exit code.

Each verb is a module of this package with ``add_parser(subparsers, common)`` and ``run(args) -> int``. The modules
import nothing heavy at the top, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING

from leakwatch import __version__
from leakwatch.cli import (
    analyze,
    backtest,
    config,
    daemon,
    db,
    demo,
    doctor,
    evidence,
    explain,
    incidents,
    kernel,
    maps,
    ps,
    report,
    service,
    stats,
)
from leakwatch.errors import EXIT_SOFTWARE, LeakwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = (
    daemon, report, explain, evidence, maps, incidents, ps, kernel, stats, analyze, backtest, demo, config, db, doctor,
    service,
)  # fmt: skip

EPILOG = """\
examples:
  leakwatch demo                           see it find real leaks in about two minutes
  sudo leakwatch service install           watch this machine from now on
  sudo leakwatch report                    who leaks, how fast, since when
  leakwatch report --format json --exit-code
  sudo leakwatch explain shop.service      why it is, or is not, called a leak, and what would change that
  sudo leakwatch explain shop.service --next   what to do about it: the commands, their cost and risk
  sudo leakwatch evidence shop.service     all that is known of it in one file, to hand on
  sudo leakwatch maps 812                  what part of one process's memory grows
  sudo leakwatch incidents ack ID          say that you know of one
  sudo leakwatch ps -k -t                  who holds memory now, the largest last, with totals
  sudo leakwatch kernel --since 1h         where all RAM is, and what changed
  leakwatch analyze capture.csv.gz         the same verdicts on series from elsewhere
  leakwatch backtest --since 3d            what would have been alarmed when
  sudo leakwatch db stats                  what takes the room, and when it will be full
  leakwatch daemon --config my.toml --for 3h

exit codes:
  0 done · 1 something leaks (report, analyze --exit-code) · 2 wrong argument or configuration
  65 store damaged or newer, captured file wrong · 66 no store yet, no such file · 67 no such incident, finding, process
  69 /proc or systemd not there · 70 a defect of leakwatch · 73 the file to write is there already
  74 store or file cannot be written · 75 another daemon holds the store · 77 a privilege is missing
"""


def common_options() -> argparse.ArgumentParser:
    """Return the options every verb takes."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        metavar="FILE",
        help="configuration to use instead of /etc/leakwatch/config.toml and its conf.d",
    )
    return common


def build_parser() -> argparse.ArgumentParser:
    """Return the whole command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="leakwatch",
        description="Watches memory for days and tells which process, service or kernel cache leaks, how fast, "
        "since when, and why it is believed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"leakwatch {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    common = common_options()
    for verb in VERBS:
        verb.add_parser(verbs, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: one of the three places that catch what they do not know."""
    _make_output_safe()
    args = build_parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except LeakwatchError as error:
        for line in str(error).splitlines():
            print(f"leakwatch: {line}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error, and nothing may be printed at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("LEAKWATCH_DEBUG"):
            raise
        print(
            f"leakwatch: internal error: {type(error).__name__}: {error}; "
            "run again with LEAKWATCH_DEBUG=1 for a traceback and report it",
            file=sys.stderr,
        )
        return EXIT_SOFTWARE
    return code


def _make_output_safe() -> None:
    """Let nothing we print fail: streams that are closed go nowhere, what the terminal cannot show is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for the process's life
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
