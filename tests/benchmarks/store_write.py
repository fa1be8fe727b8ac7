#!/usr/bin/env python3
"""What storing a scrape costs: bytes written to the disk, bytes on it in the end, CPU time.

usage: python tests/benchmarks/store_write.py [-n 200] [--scrapes 720] [--blocks 2000000] [--directory DIR]

Bytes written are those of /proc/self/io (write_bytes: what reached the page cache of a real file system, so not on a
tmpfs; the log and the file, with every page as often as it was written). Values move as in daily work: a quarter of
the processes change between two scrapes, and with ``churn`` five of them are new in every one.

With --blocks, also how long the retention's questions take on a table of that many blocks.
"""

from __future__ import annotations

import argparse
import contextlib
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
from leakwatch.store import expiry, migrate
from leakwatch.store.retention import purge, used_bytes
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

BASE_MS = 1_790_000_000_000
METRICS = ("process.uss_bytes", "process.swap_bytes", "process.rss_bytes", "process.pss_bytes", "process.shmem_bytes")
SLABS = 150
BLOCK_SCRAPES = 5


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
        self._values[info] = [self._rng.randrange(1 << 20, 1 << 30) for _ in METRICS]

    def scrape(self, number: int) -> Scrape:
        for info in list(self._values)[: self._churn]:
            del self._values[info]
            self._add()
        samples = []
        for info, values in self._values.items():
            if self._rng.random() < 0.25:
                values[:] = [value + 4096 * self._rng.randrange(-50, 60) for value in values]
            target = info.identity.target
            samples += [Sample(metric, target, value) for metric, value in zip(METRICS, values, strict=True)]
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


def measure(directory: Path, processes: int, scrapes: int, churn: int) -> str:
    path = directory / f"store-{processes}-{churn}.db"
    migrate.upgrade(path)
    machine, writer = Machine(processes, churn), Writer(path)
    taken = [(machine.scrape(number), machine.blocks(number)) for number in range(1, scrapes + 1)]
    samples = sum(len(scrape.samples) for scrape, _ in taken)
    before, cpu = written_bytes(), time.process_time()
    for scrape, blocks in taken:
        writer.write_scrape(scrape, blocks)
    cpu = time.process_time() - cpu
    used = used_bytes(writer)
    writer.close()
    written = written_bytes() - before
    return (
        f"| {processes} | {churn} | {samples // scrapes} | {written / scrapes / 1000:.0f} kB | {used / samples:.1f} "
        f"| {written / used:.1f} | {cpu / scrapes * 1000:.1f} ms |"
    )


def time_blocks(directory: Path, blocks: int) -> None:
    path = directory / "blocks.db"
    migrate.upgrade(path)
    writer = Timed(path)
    series = 1000
    with writer.exclusive() as connection:
        for at, span_s in enumerate((300, 1200, 4800, 19200, 72000)):
            count = blocks // 2 >> at
            connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO block SELECT ?, ? + i / ? * ? * 1000, i % ?, 5, 1e6, 2e6, 3e6, 2e6, ? FROM n",
                (count - 1, span_s, BASE_MS, series, span_s, series, BASE_MS),
            )
    writer.longest_s = 0.0
    print("\n| question | time |\n|---|--:|")
    for name, query in (
        ("next_span", expiry.next_span(300)),
        ("oldest_block", expiry.oldest_block(300)),
    ):
        with writer.exclusive() as connection:
            began = time.perf_counter()
            connection.execute(query).all()
            print(f"| {name} | {(time.perf_counter() - began) * 1000:.2f} ms |")
    began = time.perf_counter()
    until_ms = BASE_MS + 2 * 86_400_000
    purge(writer, now_ms=until_ms, interval_s=60, keep_samples_s=86_400, keep_blocks_s=86_400, max_size_bytes=1 << 40)
    print(f"| purge of a day of blocks | {(time.perf_counter() - began) * 1000:.0f} ms |")
    print(f"| its longest transaction, which a scrape may have to wait for | {writer.longest_s * 1000:.0f} ms |")
    writer.close()


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
    parser.add_argument("--directory", type=Path, help="on which file system")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        print(
            "| processes | new a scrape | samples a scrape | written a scrape | bytes a sample | written/kept | CPU |"
        )
        print("|--:|--:|--:|--:|--:|--:|--:|")
        for churn in (0, 5):
            print(measure(Path(name), args.n, args.scrapes, churn))
        if args.blocks:
            time_blocks(Path(name), args.blocks)


if __name__ == "__main__":
    main()
