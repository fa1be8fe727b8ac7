#!/usr/bin/env python3
"""Fills a store with weeks of history in seconds, as a daemon would have left it: sealed days, and some newest hours.

usage: python -m tests.benchmarks.store_fill STORE [-n 500] [--days 30] [--metrics 1] [--no-blocks]

A quarter of the values differ from the one before, by up to 60 pages. Days are packed and stored by the store's own
functions, only without having been rounds before; the last hours are written scrape by scrape.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import insert

from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import Block, CollectorOutcome, Sample, Scrape, SealedBlock, Tick
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Verdict, said
from leakwatch.store import tables
from leakwatch.store.encoding import chunks
from leakwatch.store.encoding.rounds import BlockColumns
from leakwatch.store.maintenance import migrate
from leakwatch.store.maintenance.sealing import SEALED_STARTS, Sealed, chunk_rows
from leakwatch.store.sql import seals as seal_sql
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BASE_MS = 1_790_000_000_000
INTERVAL_MS = 60_000
DAY = 1440
NEWEST = 150
"""Scrapes left as they came at the end: two hours and a half."""
BLOCK = 5
SPAN_S = 300
BOOT = "b0a1c2d3-0000-4000-8000-000000000000"
METRICS = ("process.uss_bytes", "process.swap_bytes", "process.rss_bytes", "process.pss_bytes", "process.shmem_bytes")


def process(number: int) -> ProcessInfo:
    service = Service(ServiceKind.UNIT, f"service-{number % 60}.service")
    command = f"/usr/lib/some/program-{number % 60} --config /etc/some/program.conf --worker {number}"
    return ProcessInfo(
        ProcessIdentity(BOOT, 100 + number, number * 100), f"worker-{number % 60}", command, 1000, service
    )


def walks(series: int, scrapes: int, change: float = 0.25, seed: int = 1) -> NDArray[np.int64]:
    """Return the values of some series, a row each: a quarter of them differ from the one before."""
    rng = np.random.default_rng(seed)
    walked = np.empty((series, scrapes), np.int64)
    for at in range(series):
        moved = rng.random(scrapes) < change
        pages = np.cumsum(np.where(moved, rng.integers(-50, 60, scrapes), 0))
        walked[at] = (pages + 1000 + rng.integers(1 << 18) - pages.min()) * 4096
    return walked


def fill(
    path: Path,
    processes: int = 500,
    days: int = 30,
    metrics: Sequence[str] = METRICS[:1],
    *,
    blocks: bool = True,
    newest: int = NEWEST,
) -> NDArray[np.int64]:
    """Make the store at ``path`` and return its values, a row a series in the order (metric, process)."""
    migrate.upgrade(path)
    infos = [process(number) for number in range(processes)]
    sealed = days * DAY
    values = walks(len(metrics) * processes, sealed + newest)
    names = [(metric, info.identity.target) for metric in metrics for info in infos]
    writer = Writer(path)
    try:
        numbers = _begin(writer, names, infos, values[:, 0])
        _seal_days(writer, numbers, values, days)
        if blocks:
            _seal_blocks(writer, numbers, values[:, :sealed])
        for at in range(sealed, sealed + newest):
            writer.write_scrape(_scrape(at, names, infos, values[:, at]), _blocks(at, names, values) if blocks else ())
        _judge(writer, infos, BASE_MS + (sealed + newest) * INTERVAL_MS)
    finally:
        writer.close()
    return values


def _scrape(at: int, names: list[tuple[str, Target]], infos: list[ProcessInfo], values: NDArray[np.int64]) -> Scrape:
    samples = [Sample(metric, target, value) for (metric, target), value in zip(names, values.tolist(), strict=True)]
    samples.append(Sample("kernel.mem_total_bytes", HOST, 64 << 30))
    samples.append(Sample("kernel.mem_available_bytes", HOST, 32 << 30))
    collector = Target(TargetKind.COLLECTOR, "processes")
    samples += [Sample("collector.up", collector, 1), Sample("collector.targets_read", collector, len(infos))]
    outcome = CollectorOutcome("processes", 1000, len(infos))
    return Scrape(Tick(BASE_MS + at * INTERVAL_MS, BOOT), tuple(samples), tuple(infos), (outcome,), duration_us=20_000)


def _begin(
    writer: Writer, names: list[tuple[str, Target]], infos: list[ProcessInfo], first: NDArray[np.int64]
) -> list[int]:
    """Write one scrape, for its names, and take its samples back; return the series' numbers."""
    writer.write_scrape(_scrape(0, names, infos, first))
    with writer.exclusive() as connection:
        connection.execute(seal_sql.drop_sample_rounds(1, 1))
        rows = connection.exec_driver_sql(
            "SELECT name, key, series.id FROM series "
            "JOIN target ON target.id = target_id JOIN metric ON metric.id = metric_id"
        ).all()
    found = {(metric, key): number for metric, key, number in rows}
    return [found[metric, target.key] for metric, target in names]


def _seal_days(writer: Writer, numbers: list[int], values: NDArray[np.int64], days: int) -> None:
    rng = np.random.default_rng(2)
    jitter = rng.integers(0, 4, days * DAY)  # milliseconds a tick is late
    head = {"boot_id": 1, "missed": 0, "suspended_ms": 0, "clock_step_ms": 0, "duration_us": 20_000, "notes": "{}"}
    for day in range(days):
        at = np.arange(day * DAY, (day + 1) * DAY)
        times_ms = (BASE_MS + at * INTERVAL_MS + jitter[at]).tolist()
        scrapes = [
            {"id": n + 1, "ts_ms": ms, "late_ms": 0, **head} for n, ms in zip(at.tolist(), times_ms, strict=True)
        ]
        packed = []
        for number, row in zip(numbers, values, strict=True):
            course = chunks.Course(b"\1" * DAY, row[day * DAY : (day + 1) * DAY].tolist(), b"")
            packed.append((number, DAY, chunks.encode_course(course)))
        run = Sealed(seal_sql.SAMPLES, day * DAY + 1, (day + 1) * DAY, (at + 1).tolist(), times_ms, packed)
        with writer.exclusive() as connection:
            connection.execute(insert(tables.scrape), scrapes[1:] if day == 0 else scrapes)
            _put(connection, run, seal_sql.MERGED)


def _put(connection: object, run: Sealed, level: int) -> None:
    seal = int(connection.execute(seal_sql.next_seal()).scalar_one())  # type: ignore[attr-defined]
    connection.execute(seal_sql.ADD_SEAL, run.row(seal, level))  # type: ignore[attr-defined]
    connection.execute(seal_sql.ADD_CHUNKS, chunk_rows(seal, run.packed))  # type: ignore[attr-defined]


def _seal_blocks(writer: Writer, numbers: list[int], values: NDArray[np.int64]) -> None:
    series, scrapes = values.shape
    cut = values.reshape(series, scrapes // BLOCK, BLOCK)
    levels = (cut.min(axis=2), np.median(cut, axis=2), cut.max(axis=2), cut[:, :, -1])
    for at in range(0, scrapes // BLOCK, SEALED_STARTS):
        starts = [BASE_MS + n * SPAN_S * 1000 for n in range(at, min(at + SEALED_STARTS, scrapes // BLOCK))]
        packed = []
        for row, number in enumerate(numbers):
            some = [level[row, at : at + SEALED_STARTS].astype(float).tolist() for level in levels]
            columns = BlockColumns([BLOCK] * len(starts), *some, [BASE_MS] * len(starts))
            packed.append(
                (
                    number,
                    len(starts),
                    chunks.encode_block_course(chunks.BlockCourse(b"\1" * len(starts), columns)),
                )
            )
        run = Sealed(SPAN_S, at + 1, at + len(starts), range(len(starts)), starts, packed)
        with writer.exclusive() as connection:
            _put(connection, run, seal_sql.SEALED)


def _blocks(at: int, names: list[tuple[str, Target]], values: NDArray[np.int64]) -> list[SealedBlock]:
    """Return the blocks the scrape at ``at`` completes."""
    if at % BLOCK:
        return []
    start_ms = BASE_MS + (at - BLOCK) * INTERVAL_MS
    cut = values[:, at - BLOCK : at]
    columns = (cut.min(axis=1), np.median(cut, axis=1), cut.max(axis=1), cut[:, -1])
    return [
        SealedBlock(metric, target, SPAN_S, BASE_MS, Block(start_ms, BLOCK, *map(float, levels)))
        for (metric, target), *levels in zip(names, *columns, strict=True)
    ]


def _judge(writer: Writer, infos: list[ProcessInfo], now_ms: int) -> None:
    """Write a finding a process, one in fifty a leak, and that an evaluation took place."""
    leak = Assessment(Verdict.LEAK, 300 << 20, slope_bytes_per_hour=5e6, slope_low=4e6, slope_high=6e6,
                      since_ms=BASE_MS, grown_bytes=100 << 20, confidence=0.8, reasons=said("made up"))  # fmt: skip
    findings = []
    for at, info in enumerate(infos):
        assessment = leak if at % 50 == 0 else replace(leak, verdict=Verdict.OK, slope_bytes_per_hour=None)
        found = Finding(f"s{at:08x}", FindingKind.PROCESS, info.name, "process.uss_swap_bytes", assessment,
                        info.identity.pid, info.service and info.service.name, evaluated_at_ms=now_ms)  # fmt: skip
        findings.append((found, None))
    state = {"evaluation": {"at_ms": now_ms, "every_s": 300.0, "counts": {}, "windows_s": [3600], "interval_s": 60.0}}
    writer.write_evaluation(findings, {}, state, now_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("-n", type=int, default=500, help="processes")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--metrics", type=int, choices=range(1, len(METRICS) + 1), default=1)
    parser.add_argument("--no-blocks", dest="blocks", action="store_false")
    args = parser.parse_args()
    began = time.perf_counter()
    fill(args.store, args.n, args.days, METRICS[: args.metrics], blocks=args.blocks)
    size = args.store.stat().st_size
    print(f"{args.store}: {size / 1e6:.1f} MB in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
