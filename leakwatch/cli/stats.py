"""``leakwatch stats``: what watching costs, where the time goes and who was skipped."""

from __future__ import annotations

import argparse

from leakwatch.cli.output import emit
from leakwatch.config import load_config
from leakwatch.errors import EXIT_OK, StoreNotFoundError
from leakwatch.queries.report import open_store
from leakwatch.report import stats

EPILOG = """\
examples:
  sudo leakwatch stats                        where the time goes, who is dear to read, who is estimated
  leakwatch stats --format json | jq .sampling_cpu_seconds

Every process is looked at in every round; read fully are those whose memory can have changed by more than [sampling]
tolerance. The JSON counts since the store was begun, over restarts, in seconds of CPU: sampling_cpu_seconds is all
that processes cost, from listing them to their samples. What storing a round cost is counted with the next one.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "stats",
        parents=[common],
        help=text,
        description="Shows what the daemon has spent on sampling, storing and evaluating, and on whom.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the statistics the daemon stored with its newest scrape."""
    reader = open_store(load_config(args.config).store.url)
    try:
        stored = reader.states().get("stats")
    finally:
        reader.close()
    if not stored:
        raise StoreNotFoundError(
            f"{reader.path} holds no statistics; the daemon of this version stores them with its first scrape"
        )
    emit((stats.as_json if args.format == "json" else stats.table)(stored))
    return EXIT_OK
