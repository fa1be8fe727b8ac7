#!/usr/bin/env python3
"""What a whole round of the daemon costs, stage by stage, beside a loop of psutil in the same run.

usage: python -m tests.benchmarks.round_cost [-n 1000] [--interval 5] [--rounds 12] [--json FILE]

A round is what the daemon does between two scrapes: sample, read the kernel's files, feed the detector, store, and
its share of an evaluation. Stages are CPU time, medians over the rounds; ``ratio`` is psutil's loop
(``memory_full_info`` of every process), run right after each round, to the round. With ``-n 0`` no farm is started:
what runs on the machine is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from leakwatch.clock import SystemClock, thread_cpu_ns
from leakwatch.collectors.limits import ProcLimits
from leakwatch.collectors.scrape import Scraper, TickClock
from leakwatch.config import Config, SamplingConfig
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.procfs.fs import ProcFS

from .daemon_cost import FARM, FARM_PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leakwatch.model.sample import SealedBlock

STAGES = ("sampling", "kernel", "other_scraping", "feeding", "storing", "evaluating")
EVALUATE_EVERY = 5
"""Rounds, as the daemon does where samples come every 5 s."""


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU time this thread takes for it."""
    began_ns = thread_cpu_ns()
    work()
    return (thread_cpu_ns() - began_ns) / 1e6


def psutil_round() -> None:
    """Read the USS of every process as psutil does."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            process.memory_full_info()


@contextlib.contextmanager
def farm(processes: int) -> Iterator[None]:
    """Run the farm."""
    if not processes:
        yield
        return
    argv = [FARM_PYTHON, str(FARM), "-n", str(processes), "--cap-gib", str(processes / 125)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        try:
            yield
        finally:
            running.stdin.close()


class Rounds:
    """The daemon's jobs, called one after another in one thread."""

    def __init__(self, store: Path, interval_s: float) -> None:
        self._config = Config(sampling=SamplingConfig(interval_s=interval_s))
        self._procfs = procfs = ProcFS()
        boot_id = procfs.boot_id()
        self._supervisor = StoreSupervisor(store, SystemClock(), interval_s)
        self._timeline = self._supervisor.begin_timeline(boot_id)
        self._scraper = Scraper(procfs, boot_id, self._config.sampling, self._config.analysis.windows_s[0] / 4)
        self._ticks = TickClock(interval_s, boot_id)
        self.detector = Detector(self._config, ProcLimits(procfs))
        self.samples = 0

    def once(self) -> dict[str, float]:
        """Do one round but for the evaluation; return the ms of each stage."""
        totals = self._scraper.spent.totals
        sampled_s, kernel_s, began_ns = totals.sampling_cpu_seconds, totals.kernel_cpu_seconds, self._procfs.cpu_ns()
        scrape = self._scraper.scrape(self._ticks.tick(self._timeline.now()))
        whole = (self._procfs.cpu_ns() - began_ns) / 1e6
        sampling, kernel = (
            1e3 * (now_s - before_s)
            for now_s, before_s in (
                (totals.sampling_cpu_seconds, sampled_s),
                (totals.kernel_cpu_seconds, kernel_s),
            )
        )
        self.samples = len(scrape.samples)
        blocks: list[SealedBlock] = []
        feeding = cpu_ms(lambda: blocks.extend(self.detector.feed(scrape)))
        storing = cpu_ms(lambda: self._supervisor.write_scrape(scrape, blocks, {}))
        values = (sampling, kernel, whole - sampling - kernel, feeding, storing)
        return dict(zip(STAGES, values, strict=False))

    def evaluate(self) -> float:
        """Judge once; return what a round's share of it is, in ms."""
        return cpu_ms(lambda: self.detector.evaluate(self._timeline.now().ts_ms)) / EVALUATE_EVERY

    def close(self) -> None:
        """Close the store."""
        self._supervisor.close()


def measure(rounds: Rounds, count: int, interval_s: float) -> dict[str, float]:
    """Return the medians; the first two rounds, in which everything is new, do not count."""
    taken: list[dict[str, float]] = []
    share = 0.0
    for number in range(count + 2):
        began = time.monotonic()
        stages = rounds.once()
        if number % EVALUATE_EVERY == 0:
            share = rounds.evaluate()
        stages["evaluating"] = share
        stages["round"] = sum(stages.values())
        stages["psutil"] = cpu_ms(psutil_round)
        stages["ratio"] = stages["psutil"] / stages["round"]
        if number >= 2:
            taken.append(stages)
        time.sleep(max(0.0, interval_s - (time.monotonic() - began)))
    return {name: median(one[name] for one in taken) for name in taken[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1000, help="processes of the farm; 0: what runs already")
    parser.add_argument("--interval", type=float, default=5, help="seconds")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with farm(args.n), tempfile.TemporaryDirectory() as directory:
        rounds = Rounds(Path(directory) / "store.db", args.interval)
        try:
            result = measure(rounds, args.rounds, args.interval)
        finally:
            rounds.close()
        result["samples"] = rounds.samples
    print("".join(f"| {name} " for name in result) + "|\n|" + "--:|" * len(result))
    print("".join(f"| {value:.1f} " for value in result.values()) + "|")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
