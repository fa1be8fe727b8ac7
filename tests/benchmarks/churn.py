#!/usr/bin/env python3
"""What the daemon's memory, its store and what it writes do while containers come and go: days in minutes.

usage: python -m tests.benchmarks.churn [--days 90] [--names 1000] [--interval 300]
                                        [--keep-samples 7] [--keep-blocks 30]

The daemon's own objects run on a clock made by hand, on scrapes made by hand: so many containers a day, each under a
new name, that live for an hour and a half; one in fifty leaks, and lives for half a day; forty services stay. Judging
and upkeep run in this process. Bytes written are those handed to the kernel by this process (wchar of /proc/self/io),
whatever the file system; blocks are what Python has allocated. Both retention times are set below the days that are
simulated, so that what is to level off does so within them.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.clock import Instant
from leakwatch.collectors.processes.cost_stats import CostRound, SamplingCost
from leakwatch.config import Config, EvidenceConfig, SamplingConfig, StoreConfig
from leakwatch.model.identity import HOST, Owner, ProcessIdentity, ProcessInfo, Service, ServiceKind
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape
from leakwatch.monitoring.daemon import Daemon
from leakwatch.monitoring.evaluation import in_process
from leakwatch.store.maintenance.job import tend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leakwatch.model.sample import Tick

MIB = 1 << 20
DAY_S = 86_400
START_MS = 1_790_000_000_000
LIFE_S, LEAK_LIFE_S = 5400, 12 * 3600
LASTING = 40
LEAK_EVERY = 50
TABLES = ("target", "process", "series", "state", "suspicion", "finding", "incident", "incident_event")


@dataclass
class HandClock:
    """Wall and monotonic time, moved by hand."""

    elapsed_ms: int = 0

    def now(self) -> Instant:
        boot_ms = 600_000 + self.elapsed_ms
        return Instant(START_MS + self.elapsed_ms, boot_ms, boot_ms)


@dataclass
class Groups:
    kill_counts: None = None


@dataclass
class Machine:
    """Stands for the scraper: what runs is made anew at each scrape from the time alone."""

    clock: HandClock
    names_a_day: int
    slow_every: int
    spent: SamplingCost = field(default_factory=SamplingCost)
    groups: Groups = field(default_factory=Groups)
    asked: int = 0
    rounds: int = 0

    def want_full(self, targets: object) -> None:
        self.asked += len(list(targets))  # type: ignore[call-overload]

    def want_counts(self, keys: object) -> None:
        """Counts are not sampled here."""

    def alive(self) -> Iterator[tuple[int, int]]:
        """The containers by number, each with its age in seconds."""
        apart_s = DAY_S / self.names_a_day
        now_s = self.clock.elapsed_ms / 1000
        newest = int(now_s / apart_s)
        for number in range(max(0, newest - int(LEAK_LIFE_S / apart_s)), newest + 1):
            age_s = now_s - number * apart_s
            if age_s < (LIFE_S if number % LEAK_EVERY else LEAK_LIFE_S):
                yield number, int(age_s)

    def scrape(self, tick: Tick) -> Scrape:
        processes, samples = [], []
        chance = random.Random(self.rounds)
        for number in range(LASTING):
            service = Service(ServiceKind.UNIT, f"lasting{number}.service")
            info = ProcessInfo(ProcessIdentity(tick.boot_id, 100 + number, 100), f"lasting{number}", "", 0, service)
            processes.append(info)
            samples += _sizes(info, (30 + number) * MIB + chance.randrange(64) * 4096)
        for number, age_s in self.alive():
            identity = ProcessIdentity(tick.boot_id, 1000 + number % 30_000, 1000 + number)
            service = Service(ServiceKind.CONTAINER, f"job-{number:09d}")
            info = ProcessInfo(identity, f"job{number % 20}", f"/usr/bin/job --number {number}", 1000, service)
            processes.append(info)
            size = 40 * MIB + chance.randrange(64) * 4096
            samples += _sizes(info, size + (age_s * MIB // 8 if number % LEAK_EVERY == 0 else 0))
        samples.append(Sample("kernel.mem_total_bytes", HOST, 64 << 30))
        samples.append(Sample("kernel.mem_available_bytes", HOST, 40 << 30))
        slow = self.rounds % self.slow_every == 0
        self.rounds += 1
        self.spent.add(CostRound())
        owners = None
        if slow:
            owners = {
                info.service.target: Owner(groups=(f"/system.slice/docker-{info.service.name}.scope",), engine="docker")
                for info in processes
                if info.service is not None
            }
            samples += [Sample(metrics.GROUP_CURRENT, target, 50 * MIB) for target in owners]
        outcome = CollectorOutcome("processes", 1000, len(processes))
        return Scrape(tick, tuple(samples), tuple(processes), (outcome,), owners=owners)


def _sizes(info: ProcessInfo, size: int) -> list[Sample]:
    target = info.identity.target
    return [
        Sample(metrics.PROCESS_USS, target, size),
        Sample(metrics.PROCESS_PSS, target, size + MIB),
        Sample(metrics.PROCESS_RSS, target, size + 4 * MIB),
        Sample(metrics.PROCESS_SWAP, target, 0),
    ]


class Simulation:
    """A daemon whose time is made by hand."""

    def __init__(self, directory: Path, names_a_day: int, interval_s: float, keep: StoreConfig) -> None:
        self.clock = HandClock()
        config = Config(
            sampling=SamplingConfig(interval_s=interval_s), store=keep, evidence=EvidenceConfig(when_confirmed=False)
        )
        self.path = directory / "leakwatch.db"
        self.daemon = Daemon(config, self.path, clock=self.clock)
        self.machine = Machine(self.clock, names_a_day, config.sampling.slow_every)
        self.daemon._scraper = self.machine  # type: ignore[assignment]
        self.detector = self.daemon._past.detector
        self.detector._judge = in_process
        self.daemon._supervisor.tend = _Here()  # type: ignore[assignment]
        self.interval_ms = round(interval_s * 1000)
        self.rounds = 0

    def run(self, days: float) -> None:
        """Go on by so many days: a scrape each interval, an evaluation every fifth, upkeep every sixtieth."""
        for _ in range(round(days * DAY_S * 1000 / self.interval_ms)):
            self.clock.elapsed_ms += self.interval_ms
            self.daemon._scrape()
            self.rounds += 1
            if self.rounds % 5 == 0:
                self.daemon._evaluate()
            if self.rounds % 60 == 0:
                self.daemon._purge()

    def figures(self) -> dict[str, int]:
        """What is held now."""
        gc.collect()
        with self.daemon._supervisor._writer._transaction() as (connection, _):
            rows = {table: connection.execute(f"SELECT count(*) AS n FROM {table}").fetchone().n for table in TABLES}
        return {
            "python_blocks": sys.getallocatedblocks(),
            "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * 4096,
            "store_bytes": self.path.stat().st_size,
            "written_bytes": written_bytes(),
            **rows,
        }

    def close(self) -> None:
        self.daemon._supervisor.close()


class _Here:
    """Upkeep in this process."""

    def __call__(self, task: object) -> object:
        return tend(task)  # type: ignore[arg-type]

    def end(self) -> None:
        """There is no child to end."""


def written_bytes() -> int:
    """What this process has handed to the kernel."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["wchar"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--every", type=int, default=5, help="days between two lines")
    parser.add_argument("--names", type=int, default=1000, help="a day")
    parser.add_argument("--interval", type=float, default=300.0)
    parser.add_argument("--keep-samples", type=float, default=7.0, help="days")
    parser.add_argument("--keep-blocks", type=float, default=30.0, help="days")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # one in fifty is announced
    keep = replace(StoreConfig(), keep_samples_s=given.keep_samples * DAY_S, keep_blocks_s=given.keep_blocks * DAY_S)
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        simulation = Simulation(Path(directory), given.names, given.interval, keep)
        print("  day  blocks/k  RSS MiB  store MiB  written MiB/d  " + "  ".join(TABLES) + "  seconds")
        before = simulation.figures()["written_bytes"]
        for day in range(given.every, given.days + 1, given.every):
            began = time.monotonic()
            simulation.run(given.every)
            found = simulation.figures()
            a_day, before = (found["written_bytes"] - before) / given.every, found["written_bytes"]
            lines.append({"day": day, "written_bytes_a_day": round(a_day), **found})
            tables = "  ".join(f"{found[table]:>{len(table)}}" for table in TABLES)
            print(
                f"{day:5}  {found['python_blocks'] / 1000:8.0f}  {found['rss_bytes'] / MIB:7.1f}  "
                f"{found['store_bytes'] / MIB:9.1f}  {a_day / MIB:13.1f}  {tables}  {time.monotonic() - began:7.1f}",
                flush=True,
            )
        simulation.close()
    if given.json:
        given.json.write_text(json.dumps(lines, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
