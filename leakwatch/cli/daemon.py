"""``leakwatch daemon``: sample, store, judge, tell the log, until stopped.

Keeps out of the daemon's memory what it never uses.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading

from leakwatch.cli.arguments import duration
from leakwatch.config import load_config
from leakwatch.procfs.files import raise_file_limit
from leakwatch.store.files.lock import writer_path
from leakwatch.system.journal import setup_logging

UNUSED = ("ssl", "_hashlib")
"""The two ways to OpenSSL: APScheduler imports asyncio for the name of one function, asyncio imports ssl, and hashlib
takes its digests from OpenSSL where it can. The daemon opens no connection and needs no digest but those that Python
itself has, and everybody who imports these copes without. Measured: 5.0 MB, a tenth of the daemon."""


def without_openssl() -> None:
    """Have OpenSSL never loaded by this process. To be called before the imports that would."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # documented: None stops the import


EPILOG = """\
examples:
  leakwatch daemon                           until stopped, into the default store
  leakwatch daemon --config my.toml --for 3h
  leakwatch daemon --proc /mnt/target/proc --for 10m

Logs to the journal when started by systemd, else to standard error. A new leak is logged once, as a warning;
what becomes of it: leakwatch incidents.
SIGTERM and SIGINT end it in order.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "daemon",
        parents=[common],
        help=text,
        description="Samples memory, stores it, judges it and logs new leaks, until stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="end after this time, like 90s or 3h")
    parser.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the daemon; return its exit code."""
    without_openssl()
    from leakwatch.monitoring.daemon import Daemon, note_thread_end  # noqa: PLC0415 - it would load OpenSSL

    for_s = duration("--for", args.duration)
    config = load_config(args.config)

    setup_logging(args.log_level)
    threading.excepthook = note_thread_end
    raise_file_limit()  # one open file a process
    for number in (signal.SIGTERM, signal.SIGINT):
        # Opening the store may mean migrating it, in a child: leaving by an exception ends that, too.
        signal.signal(number, lambda *_: sys.exit(0))
    daemon = Daemon(config, writer_path(config.store.url), args.proc)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    gc.freeze()  # what is loaded by now stays: no collection need walk it again
    code = daemon.run(for_s)
    if threading.active_count() > 1:
        # A read that hangs in the kernel must not keep the process: everything is committed, leave at once.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
