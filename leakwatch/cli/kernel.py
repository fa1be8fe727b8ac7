"""``leakwatch kernel``: where all RAM is, and what changed."""

from __future__ import annotations

import argparse

from leakwatch.cli.arguments import moment
from leakwatch.cli.output import complain, emit
from leakwatch.clock import SystemClock
from leakwatch.collectors.kernel.collector import kernel_now
from leakwatch.config import Config, load_config
from leakwatch.errors import EXIT_OK, StoreNotFoundError, StorePathError, UsageError
from leakwatch.kernel.view import KernelView
from leakwatch.procfs.fs import ProcFS
from leakwatch.queries.kernel_history import kernel_then
from leakwatch.queries.report import open_store
from leakwatch.report import kernel_report

EPILOG = """\
examples:
  sudo leakwatch kernel                          where all RAM is now, the largest caches and callers
  sudo leakwatch kernel --since "1h ago"         and what changed since, from the store
  sudo leakwatch kernel -b 2026-11-26T03:00:00Z --format json

The parts do not overlap and, with what is unaccounted, add up to MemTotal. A part that is not told by this kernel is in
what is unaccounted. Where meminfo mixes a container's figures with the host's (lxcfs), it ends with exit code 69.
Caches and callers need root (CAP_DAC_READ_SEARCH); the parts do not.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "kernel",
        parents=[common],
        help=text,
        description="Cuts all RAM into parts that add up: programs, files, slab by cache, vmalloc by caller, page "
        "tables and the rest, and what no counter names. Reads /proc now; what it was before comes from the store.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-b",
        "--since",
        "--begin",
        metavar="TIME",
        help='show what changed since: "1h ago", 10m, seconds since 1970 or ISO 8601',
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="caches and callers to list (default: 10)")
    parser.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the account."""
    if args.top < 0:
        raise UsageError(f"--top: {args.top} is no number of lines; write 0 or more")
    now_ms = SystemClock().now().wall_ms
    since_ms = moment("--since", args.since, now_ms)
    # The store before the counters: reading it takes memory.
    then = None if since_ms is None else _then(load_config(args.config), since_ms)
    now = kernel_now(ProcFS(args.proc), now_ms)
    if args.format == "json":
        emit(kernel_report.render_json(now, then))
    else:
        emit(kernel_report.render_text(now, then, args.top))
    return EXIT_OK


def _then(config: Config, since_ms: int) -> KernelView | None:
    """Return what the store knows of the time; without a store or with an empty one say so and return None."""
    try:
        reader = open_store(config.store.url)
    except StorePathError:
        raise  # no store can ever be there
    except StoreNotFoundError as error:
        complain(f"this shows now only: {error}")
        return None
    try:
        found = kernel_then(reader, since_ms, config.sampling.slow_every)
    finally:
        reader.close()
    if found is None:
        complain(f"this shows now only: {reader.path} does not tell where RAM was")
    elif found.at_ms > since_ms:
        complain(f"{reader.path} begins later than that; compared with its first scrape")
    return found
