#!/usr/bin/env python3
"""What storing a scrape costs: bytes written to the disk, bytes on it in the end, CPU time.

usage: python tests/benchmarks/store_write.py [-n 200] [--scrapes 720] [--blocks 200000] [--json FILE]

Bytes written are those of /proc/self/io (write_bytes: what reached the page cache of a real file system, so not on a
tmpfs; the log and the file, with every page as often as it was written). Values move as in daily work: a quarter of
the processes change between two scrapes, nine tenths of USS and PSS are marked as estimates, and with ``churn`` five
processes are new in every scrape.

With --blocks, also how long sealing and purging that many blocks takes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.model import (
    Block,
    CollectorOutcome,
    ProcessIdentity,
    ProcessInfo,
    Sample,
    Scrape,
    SealedBlock,
    Service,
    ServiceKind,
    Target,
    TargetKind,
    Tick,
)
from leakwatch.store import migrate
from leakwatch.store.merging import merge
from leakwatch.store.retention import Limits, purge, used_bytes
from leakwatch.store.sealing import seal
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

BASE_MS = 1_790_000_000_000
METRICS = ("process.uss_bytes", "process.swap_bytes", "process.rss_bytes", "process.pss_bytes", "process.shmem_bytes")
KEEP_ALL = Limits(1e9, 1e9, 1 << 40, 1 << 40, 1 << 40)
ESTIMATED = {"process.uss_bytes", "process.pss_bytes"}
READ = 0.1
"""Share of the processes of which these are read, not estimated, in a scrape: others every time."""
SLABS = 150
BLOCK_SCRAPES = 5
PURGE_SCRAPES = 60
"""Scrapes between two purges, which seal first: as the daemon does it."""


HEADER = """\
| processes | new a scrape | samples a scrape | written a scrape | bytes a sample | CPU a scrape | sealing | lock |
|--:|--:|--:|--:|--:|--:|--:|--:|"""


def written_bytes() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


class Machine:
    """Made-up processes and caches."""

    def __init__(self, processes: int, churn: int) -> None:
        self._rng = random.Random(1)
        self._churn = churn
        self._next_pid = 0
        self._values: dict[ProcessInfo, list[int]] = {}
        for _ in range(processes):
            self._add()

    def _add(self) -> None:
        self._next_pid += 1
        pid = self._next_pid
        service = Service(ServiceKind.UNIT, f"service-{pid % 60}.service")
        info = ProcessInfo(
            ProcessIdentity("b0a1c2d3-0000-4000-8000-000000000000", pid, pid * 100),
            f"worker-{pid % 60}",
            f"/usr/lib/some/program-{pid % 60} --config /etc/some/program.conf --worker {pid}",
            1000,
            service,
        )
        self._values[info] = [self._rng.randrange(1 << 10, 1 << 20) * 1024 for _ in METRICS]  # /proc tells kB

    def scrape(self, number: int) -> Scrape:
        for info in list(self._values)[: self._churn]:
            del self._values[info]
            self._add()
        samples = []
        for info, values in self._values.items():
            if self._rng.random() < 0.25:
                values[:] = [value + 4096 * self._rng.randrange(-50, 60) for value in values]
            target = info.identity.target
            read = self._rng.random() < READ
            samples += [
                Sample(metric, target, value, estimated=metric in ESTIMATED and not read)
                for metric, value in zip(METRICS, values, strict=True)
            ]
        for slab in range(SLABS):
            target = Target(TargetKind.SLAB, f"cache-{slab}")
            samples.append(Sample("slab.active_bytes", target, slab * 8192 + number * 64))
            samples.append(Sample("slab.pages_bytes", target, slab * 16384))
        outcome = CollectorOutcome("processes", 1000, len(self._values))
        tick = Tick(BASE_MS + number * 60_000, "b0a1c2d3-0000-4000-8000-000000000000")
        return Scrape(tick, tuple(samples), tuple(self._values), (outcome,))

    def blocks(self, number: int) -> list[SealedBlock]:
        if number % BLOCK_SCRAPES:
            return []
        start_ms = BASE_MS + (number - BLOCK_SCRAPES) * 60_000
        block = Block(start_ms, BLOCK_SCRAPES, 1.5e6, 2.5e6, 3.5e6, 2.75e6)
        return [SealedBlock(METRICS[0], info.identity.target, 300, BASE_MS, block) for info in self._values]


def measure(directory: Path, processes: int, scrapes: int, churn: int) -> dict[str, float]:
    path = directory / f"store-{processes}-{churn}.db"
    migrate.upgrade(path)
    machine, writer = Machine(processes, churn), Timed(path)
    taken = [(machine.scrape(number), machine.blocks(number)) for number in range(1, scrapes + 1)]
    samples = sum(len(scrape.samples) for scrape, _ in taken)
    before, sealing_s = written_bytes(), 0.0
    began = time.process_time()
    for number, (scrape, blocks) in enumerate(taken, start=1):
        writer.write_scrape(scrape, blocks)
        if number % PURGE_SCRAPES == 0:
            at = time.process_time()
            seal(writer)
            while merge(writer, 1 << 40):
                pass
            purge(writer, KEEP_ALL, now_ms=scrape.tick.ts_ms, interval_s=60)
            sealing_s += time.process_time() - at
    cpu = time.process_time() - began
    used = used_bytes(writer)
    writer.close()
    written = written_bytes() - before
    return {
        "processes": processes,
        "churn": churn,
        "samples_a_scrape": samples / scrapes,
        "written_a_scrape_bytes": written / scrapes,
        "bytes_a_sample": used / samples,
        "cpu_a_scrape_ms": cpu / scrapes * 1000,
        "of_it_sealing_ms": sealing_s / scrapes * 1000,
        "longest_lock_ms": writer.longest_s * 1000,
    }


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
    purge(writer, Limits(86_400, 86_400, 1 << 40, 1 << 40, 1 << 40), now_ms=now_ms, interval_s=60)


class Timed(Writer):
    """Notes the longest transaction of maintenance."""

    longest_s = 0.0

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        began = time.perf_counter()
        with super().exclusive() as connection:
            yield connection
        self.longest_s = max(self.longest_s, time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, help="processes")
    parser.add_argument("--scrapes", type=int, default=720)
    parser.add_argument("--blocks", type=int, default=0, help="also time the retention on this many blocks")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--directory", type=Path, help="on which file system")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        print(HEADER)
        for churn in (0, 5):
            one = measure(Path(name), args.n, args.scrapes, churn)
            found.append(one)
            print(
                f"| {args.n} | {churn} | {one['samples_a_scrape']:.0f} | {one['written_a_scrape_bytes'] / 1000:.1f} kB "
                f"| {one['bytes_a_sample']:.2f} | {one['cpu_a_scrape_ms']:.1f} ms | {one['of_it_sealing_ms']:.1f} ms "
                f"| {one['longest_lock_ms']:.0f} ms |"
            )
        if args.blocks:
            time_blocks(Path(name), args.blocks)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
