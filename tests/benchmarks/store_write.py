#!/usr/bin/env python3
"""What storing a scrape costs: bytes written to the disk, bytes on it in the end, CPU time.

usage: python -m tests.benchmarks.store_write [-n 500] [--scrapes 720] [--blocks 200000] [--pages] [--json FILE]

Bytes written are those of /proc/self/io (write_bytes: what reached the page cache of a real file system, so not on a
tmpfs; the log and the file, with every page as often as it was written), sealing and the fold of the log at the end
included. The store holds the names of 20,000 processes that have ended. The first row is of values alone; in the others
some processes are new in every scrape, every fifth is evaluated and each stores the statistics of sampling.
``store_load`` makes the machine up; ``store_live.py`` measures a daemon on a real one.

With --pages, which tables the pages belong to that a scrape writes to the log.

With --blocks, also how long sealing and purging that many blocks takes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.alerting.findings_log import FindingsLog
from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.sample import Block, SealedBlock
from leakwatch.store.maintenance import migrate
from leakwatch.store.maintenance.retention import RetentionLimits, purge, used_bytes
from leakwatch.store.maintenance.sealing import SEALED_SCRAPES, merge, seal
from leakwatch.store.sql.reading import FOLD_LOG
from leakwatch.store.writer import Writer
from tests.benchmarks.store_load import BASE_MS, BLOCK_SCRAPES, METRICS, Machine, at_ms
from tests.benchmarks.wal_pages import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

KEEP_ALL = RetentionLimits(1e9, 1e9, 1 << 40, 1 << 40, 1 << 40)
PURGE_SCRAPES = 60
"""Scrapes between two purges, which seal first: as the daemon does it."""
PAST, PAST_A_SCRAPE = 20_000, 1000
"""Processes that have ended before: a week of two a minute."""


HEADER = """\
| processes | new a scrape | evaluations | samples a scrape | written a scrape | of it log | bytes a sample \
| CPU a scrape | of it sealing | lock |
|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|"""


def written_bytes() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def measure(directory: Path, processes: int, scrapes: int, churn: int, *, daily: bool = True) -> dict[str, Any]:
    """Write ``scrapes`` scrapes into a store that has been used before; ``daily`` with evaluations and statistics."""
    path = directory / f"store-{processes}-{churn}-{daily}.db"
    migrate.upgrade(path)
    machine, writer, ledger = Machine(processes, churn), Timed(path), FindingsLog()
    machine.follow(write_past(writer))
    before = SEALED_SCRAPES + 10
    for number in range(1, before + 1):
        writer.write_scrape(machine.scrape(number), machine.blocks(number), machine.states(number))
    if daily:
        evaluate(writer, machine, ledger, 0)
    maintain(writer, before)
    fold(writer)  # what was written until now is in the file: what is measured begins with an empty log and ends so
    log = Log(path)
    log.forget()
    found = write(writer, machine, ledger if daily else None, range(before + 1, before + 1 + scrapes), log)
    return {"processes": processes, "churn": churn, "daily": daily, **found}


def write(writer: Timed, machine: Machine, ledger: FindingsLog | None, numbers: range, log: Log) -> dict[str, Any]:
    samples, used_before = 0, used_bytes(writer)
    writer.longest_s = cpu_s = sealing_s = 0.0
    before = written_bytes()
    for number in numbers:
        scrape, blocks, states = machine.scrape(number), machine.blocks(number), machine.states(number)
        samples += len(scrape.samples)
        began = time.process_time()
        writer.write_scrape(scrape, blocks, states if ledger else {})
        cpu_s += time.process_time() - began
        log.checkpoint()
        if ledger and number % BLOCK_SCRAPES == 0:
            evaluate(writer, machine, ledger, number)
            log.checkpoint()
        if number % PURGE_SCRAPES == 0:
            began = time.process_time()
            maintain(writer, number)
            sealing_s += time.process_time() - began
            log.checkpoint()
    used, tables = used_bytes(writer) - used_before, log.by_table()
    writer.close()
    return {
        "samples_a_scrape": samples / len(numbers),
        "written_a_scrape_bytes": (written_bytes() - before) / len(numbers),
        "logged_a_scrape_bytes": log.bytes / len(numbers),
        "bytes_a_sample": used / samples,
        "cpu_a_scrape_ms": (cpu_s + sealing_s) / len(numbers) * 1000,
        "of_it_sealing_ms": sealing_s / len(numbers) * 1000,
        "longest_lock_ms": writer.longest_s * 1000,
        "pages_a_scrape": {name: times / len(numbers) for name, times in tables.most_common()},
    }


def write_past(writer: Writer) -> Machine:
    """Write what many processes that have ended leave of names, by which a new one's may lie anywhere in an index."""
    before = Machine(0, PAST_A_SCRAPE)
    for number in range(-PAST // PAST_A_SCRAPE, 0):
        writer.write_scrape(before.scrape(number))
    return before


def evaluate(writer: Writer, machine: Machine, ledger: FindingsLog, number: int) -> None:
    entries = ledger.update(machine.findings(number), at_ms(number)).write
    writer.write_evaluation(
        [(entry.finding, entry.ended_ms) for entry in entries], {}, machine.evaluation(number), at_ms(number)
    )


def maintain(writer: Writer, number: int) -> None:
    """Seal, merge and purge, as the daemon does."""
    seal(writer)
    while merge(writer, 1 << 40):
        pass
    purge(writer, KEEP_ALL, now_ms=at_ms(number), interval_s=60)


def fold(writer: Writer) -> None:
    writer._connection.driver.execute(FOLD_LOG).fetchall()


def time_blocks(directory: Path, blocks: int) -> None:
    path = directory / "blocks.db"
    migrate.upgrade(path)
    writer = Timed(path)
    series = 1000
    targets = [Target(TargetKind.SLAB, f"cache-{number}") for number in range(series)]
    for at in range(blocks // series):
        start_ms = BASE_MS + at * 300_000
        block = Block(start_ms, BLOCK_SCRAPES, 1.5e6, 2.5e6, 3.5e6, 2.75e6)
        writer.write_blocks([SealedBlock(METRICS[0], target, 300, BASE_MS, block) for target in targets], start_ms)
    print(f"\n| of {blocks} blocks | CPU | longest lock, which a scrape may have to wait for |\n|---|--:|--:|")
    for name, step in (
        ("sealing them", lambda: all(iter(lambda: seal(writer), 0))),
        ("purge of all but a day", lambda: purge_blocks(writer, BASE_MS + blocks // series * 300_000)),
    ):
        writer.longest_s, began = 0.0, time.process_time()
        step()
        print(f"| {name} | {time.process_time() - began:.2f} s | {writer.longest_s * 1000:.0f} ms |")
    writer.close()


def purge_blocks(writer: Writer, now_ms: int) -> None:
    purge(writer, RetentionLimits(86_400, 86_400, 1 << 40, 1 << 40, 1 << 40), now_ms=now_ms, interval_s=60)


class Timed(Writer):
    """Notes the longest transaction of maintenance."""

    longest_s = 0.0

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        began = time.perf_counter()
        with super().exclusive() as connection:
            yield connection
        self.longest_s = max(self.longest_s, time.perf_counter() - began)


def print_pages(found: list[dict[str, Any]]) -> None:
    columns = [f"{one['churn']} new{', evaluations' if one['daily'] else ''}" for one in found]
    print(f"\n| pages a scrape in the log | {' | '.join(columns)} |\n|---|{'--:|' * len(found)}")
    for name in found[-1]["pages_a_scrape"]:
        print(f"| {name} | " + " | ".join(f"{one['pages_a_scrape'].get(name, 0):.2f}" for one in found) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="processes")
    parser.add_argument("--scrapes", type=int, default=720)
    parser.add_argument("--pages", action="store_true", help="tell which tables the pages in the log belong to")
    parser.add_argument("--blocks", type=int, default=0, help="also time the retention on this many blocks")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--directory", type=Path, help="on which file system")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        print(HEADER)
        for churn, daily in ((0, False), (3, True), (10, True)):
            one = measure(Path(name), args.n, args.scrapes, churn, daily=daily)
            found.append(one)
            print(
                f"| {args.n} | {churn} | {'yes' if daily else 'no'} | {one['samples_a_scrape']:.0f} "
                f"| {one['written_a_scrape_bytes'] / 1000:.1f} kB | {one['logged_a_scrape_bytes'] / 1000:.1f} kB "
                f"| {one['bytes_a_sample']:.2f} | {one['cpu_a_scrape_ms']:.1f} ms | {one['of_it_sealing_ms']:.1f} ms "
                f"| {one['longest_lock_ms']:.0f} ms |"
            )
        if args.pages:
            print_pages(found)
        if args.blocks:
            time_blocks(Path(name), args.blocks)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
