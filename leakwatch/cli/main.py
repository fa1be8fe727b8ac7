"""The ``leakwatch`` command: finds the verb, runs it, turns errors into one line and an exit code.

Each verb is a row of ``VERBS`` and a module with ``add_parser(subparsers, common, text)`` and ``run(args) -> int``.
Only the module of the verb that is asked for is imported, so that ``--help`` answers at once.

Ends a command in order when it is told to by a signal: what it has begun is removed, then the signal has its way.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn

from leakwatch import __version__
from leakwatch.cli import output
from leakwatch.errors import EXIT_DATA, EXIT_NO_RESOURCES, EXIT_OK, EXIT_SOFTWARE, LeakwatchError
from leakwatch.system.shortage import is_shortage
from leakwatch.text.escape import printable

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Those that would end the process at once. Python makes a KeyboardInterrupt of SIGINT itself."""


class _Told(BaseException):
    """Passes every ``finally`` on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP unwind what runs inside, then end the process as they would have.

    Not where they are ignored (nohup) or handled by others, nor outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _tell)
    try:
        yield
    except _Told as told:
        signal.signal(told.number, signal.SIG_DFL)
        os.kill(os.getpid(), told.number)
        raise SystemExit(128 + told.number) from None  # blocked: ended by it as soon as it can be
    finally:
        for number in ours:
            if signal.getsignal(number) in (_tell, signal.SIG_IGN):  # the daemon's own stay until the very end
                signal.signal(number, signal.SIG_DFL)


def _tell(number: int, _frame: object) -> NoReturn:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # an impatient second one must not end the tidying up
    raise _Told(number)


VERBS = {
    "daemon": ("leakwatch.cli.daemon", "the service: sample, store, judge, until stopped"),
    "report": ("leakwatch.cli.report", "suspected leakers: who, how fast, since when, why"),
    "explain": ("leakwatch.cli.explain", "why one of them is, or is not, called a leak"),
    "evidence": ("leakwatch.cli.evidence", "all that is known of one finding in one file, to hand on"),
    "maps": ("leakwatch.cli.maps", "what one process's memory is made of, and which part grows"),
    "incidents": ("leakwatch.cli.incidents", "what was found over time; acknowledge or silence it"),
    "ps": ("leakwatch.cli.ps", "who holds memory now: PSS, USS, RSS, VSS and swap by process, user, mapping"),
    "kernel": ("leakwatch.cli.kernel", "where all RAM is, and what changed since a time"),
    "stats": ("leakwatch.cli.stats", "what watching costs: where the CPU time goes, who is estimated or skipped"),
    "analyze": ("leakwatch.cli.analyze", "verdicts on captured series: CSV files"),
    "backtest": ("leakwatch.cli.backtest", "what would have been alarmed when, under this configuration or two"),
    "demo": ("leakwatch.cli.demo", "see it find real leaks in a minute and a half"),
    "config": ("leakwatch.cli.config", "check, show or start the configuration"),
    "db": ("leakwatch.cli.db", "the store: what is in it, check, backup, vacuum, export"),
    "doctor": ("leakwatch.cli.doctor", "what can be read here, and which privilege what is missing needs"),
    "service": ("leakwatch.cli.service", "have systemd run the daemon"),
}
"""Each verb's module and its line in the list of all."""
NUMPY_VERBS = frozenset({"explain", "analyze", "backtest"})
NUMPY_BYTES = 160 << 20
"""Of address space: its library, where it gets less, ends the process with 1, which is "something leaks"."""

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
  0 done · 1 something leaks, 3 not decided yet, 4 no recent samples (--exit-code) · 2 wrong argument or configuration
  65 store damaged or newer, captured file wrong · 66 no store yet, no such file · 67 no such incident, finding, process
  69 /proc or systemd not there · 70 a defect of leakwatch · 71 too little memory · 73 file is there already
  74 store, file or output cannot be written · 75 another daemon holds the store · 77 a privilege is missing
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


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the command line's grammar; of the verbs other than ``only``, where it is given, the names alone."""
    parser = _Parser(
        prog="leakwatch",
        description="Watches memory for days and tells which process, service or kernel cache leaks, how fast, "
        "since when, and why it is believed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"leakwatch {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    common = common_options()
    for name, (module, text) in VERBS.items():
        if only in (None, name):
            if only in NUMPY_VERBS:
                mmap.mmap(-1, NUMPY_BYTES).close()
            import_module(module).add_parser(verbs, common, text)
        else:
            verbs.add_parser(name, help=text)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what it has to say through the gate; the parsers of verbs are of this class, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.color = False  # since Python 3.14 it colours its help

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, what was typed made printable, and end with 2."""
        super().error(printable(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            output.emit(message)
            return
        for line in message.splitlines():
            output.remark(line)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: one of the three places that catch what they do not know."""
    output.prepare()
    words = sys.argv[1:] if argv is None else argv
    verb = next((word for word in words if not word.startswith("-")), "")  # no option before it has a value
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a buffer for each costs more than all it is used for
    try:
        with in_order():
            args = build_parser(verb).parse_args(words)
            code: int = args.run(args)
    except LeakwatchError as error:
        for line in error.lines:
            output.complain(line)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_OK  # the reader of our output (head, less) has gone
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("LEAKWATCH_DEBUG"):
            raise
        return _unforeseen(error)
    return code


def _damage() -> str:
    """Return what is wrong with the store that was read, in a line; nothing where none was, or it is sound."""
    reading = sys.modules.get("leakwatch.store.read.reader")
    path = reading.Reader.opened if reading else None
    if reading is None or path is None:
        return ""
    from leakwatch.store.maintenance.integrity import check  # noqa: PLC0415 - --help loads no store

    try:
        reader = reading.Reader(path)
        try:
            problems = check(reader).problems
        finally:
            reader.close()
    except LeakwatchError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - the error that led here is the one to tell: nobody catches another
        return ""
    if not problems:
        return ""
    return f"{path} is damaged, and what was asked for cannot be shown ({problems[0]}); all of it: leakwatch db check"


def _unforeseen(error: Exception) -> int:
    """Say what happened that no command foresees; return the exit code."""
    if is_shortage(error):
        output.complain("there is too little memory for this; allow more (ulimit -v, MemoryMax=), or ask for less")
        return EXIT_NO_RESOURCES
    if damage := _damage():
        output.complain(damage)
        return EXIT_DATA
    output.complain(
        f"internal error: {type(error).__name__}: {error}; "
        "run again with LEAKWATCH_DEBUG=1 for a traceback and report it"
    )
    return EXIT_SOFTWARE
