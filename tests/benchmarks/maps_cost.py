#!/usr/bin/env python3
"""What looking into the mappings of suspects costs a round of sampling, on a farm of processes.

usage: python -m tests.benchmarks.maps_cost [-n 500] [--suspects 20] [--interval 5] [--rounds 40] [--look-every 25]
                                            [--json FILE]

Two collectors sample the same farm (procfarm.py) in the same rounds at the default budget; the same processes are
suspects of both and are asked for every fifth round, as evaluations do. One of the two looks into their mappings: at
the default --look-every at each evaluation, 36 times as often as the daemon does with its default windows. What was
saved of the budget is taken away before the first round that counts: from there on it has to do. CPU is the thread's,
user + system. In the end a process with many mappings is looked into, up to the most that is done.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.clock import thread_cpu_ns
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.processes.mapping_classes import LOOKS_A_ROUND, MAPPINGS_MOST, classified, summed
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.sample import Absence
from leakwatch.procfs.files import raise_file_limit
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Iterator

FARM = Path(__file__).parent / "procfarm.py"
FARM_PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
ASKED_EVERY = 5
WARM_UP = 6
"""Rounds before the first that counts: everybody new was read by then."""


@contextmanager
def farm(size: int) -> Iterator[dict[str, Any]]:
    argv = [FARM_PYTHON, str(FARM), "-n", str(size), "--cap-gib", str(size / 125), "--fill"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.communicate()  # closing its input ends it and all of its processes


class Watcher:
    """A process collector, round by round."""

    def __init__(self, sampling: SamplingConfig, checkpoint_every_s: float | None) -> None:
        procfs = ProcFS()
        self.collector = ProcessCollector(procfs, procfs.boot_id(), sampling, checkpoint_every_s)
        self.result = CollectorResult()
        self.rounds: list[float] = []
        self.reading: list[float] = []
        self.checkpoints = 0

    def round(self, suspects: list[int], *, counts: bool) -> None:
        targets = {info.identity.pid: info.identity.target for info in self.result.processes}
        self.collector.want_full([targets[pid] for pid in suspects if pid in targets])
        self.result = CollectorResult()
        began = thread_cpu_ns()
        self.collector.collect(self.result, slow=False)
        spent = (thread_cpu_ns() - began) / 1e6
        if counts:
            self.rounds.append(spent)
            self.reading.append(self.collector.spent.last.reading_ns / 1e6)
            self.checkpoints += self.collector.spent.last.checkpoints

    def result(self, elapsed_s: float) -> dict[str, float]:
        asked = self.rounds[::ASKED_EVERY]
        return {
            "round_median_ms": statistics.median(self.rounds),
            "asked_round_median_ms": statistics.median(asked),
            "round_largest_ms": max(self.rounds),
            "reading_share": sum(self.reading) / 1000 / elapsed_s,
            "looks": self.checkpoints,
            "saved_ms": self.collector._dear._purse.left_us / 1000,
        }


def measure(args: argparse.Namespace, info: dict[str, Any]) -> dict[str, Any]:
    sampling = SamplingConfig(interval_s=args.interval)
    busy = [pid for pid in info["pids"] if info["kinds"][str(pid)] in ("leak", "churn", "touch")]
    rest = [pid for pid in info["pids"] if pid not in set(busy)]
    suspects = (busy + rest)[: args.suspects]
    without, looking = Watcher(sampling, None), Watcher(sampling, args.look_every)
    began = 0.0
    for number in range(WARM_UP + args.rounds):
        at = time.monotonic()
        if number == WARM_UP:
            began = at
            for one in (without, looking):
                one.collector._dear._purse.left_us = 0.0
        now = suspects if number >= WARM_UP and (number - WARM_UP) % ASKED_EVERY == 0 else []
        for one in (without, looking):
            one.round(now, counts=number >= WARM_UP)
        time.sleep(max(0.0, args.interval - (time.monotonic() - at)))
    elapsed_s = time.monotonic() - began
    return {
        "processes": args.n, "suspects": args.suspects, "interval_s": args.interval, "budget": sampling.cpu_budget,
        "look_every_s": args.look_every, "looks_a_round": LOOKS_A_ROUND,
        "without": without.result(elapsed_s), "looking": looking.result(elapsed_s),
    }  # fmt: skip


def of_many_mappings(counts: tuple[int, ...]) -> list[dict[str, float]]:
    """Return what a look at ourselves costs with so many mappings more, the rollup beside it."""
    procfs, pid, kept, found = ProcFS(), os.getpid(), [], []
    for count in counts:
        while len(kept) < count:  # two kinds by turns, as adjacent ones of a kind become one
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if len(kept) % 2 else 0)
            kept.append(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, protection))
        times = []
        for _ in range(3):
            began = thread_cpu_ns()
            procfs.memory(pid)
            rolled = thread_cpu_ns()
            seen = procfs.mappings(pid)
            read = thread_cpu_ns()
            assert not isinstance(seen, Absence)
            summed(seen.mappings, classified(seen.mappings, procfs.memory_devices(pid, seen.mappings)))
            times.append((rolled - began, read - rolled, thread_cpu_ns() - read))
        rollup, smaps, classes = (min(column) / 1e6 for column in zip(*times, strict=True))
        mappings = len(seen.mappings)
        found.append({
            "mappings": mappings, "rollup_ms": rollup, "smaps_ms": smaps, "classes_ms": classes,
            "us_a_mapping": (smaps + classes - rollup) * 1000 / mappings,
        })  # fmt: skip
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="processes of the farm")
    parser.add_argument("--suspects", type=int, default=20)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--look-every", type=float, default=25.0, help="seconds between two looks at one suspect")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    raise_file_limit()
    with farm(args.n) as info:
        result = measure(args, info)
    result["of_many_mappings"] = of_many_mappings((0, 1000, MAPPINGS_MOST))
    print(
        f"{args.n} processes, {args.suspects} suspects, a round every {args.interval:g} s, each suspect looked into "
        f"every {args.look_every:g} s\n\n"
        "| CPU a round | median | where suspects are read | largest | full reads, of a core | budget | looks |\n"
        "|:--|--:|--:|--:|--:|--:|--:|"
    )
    for name, title in (("without", "suspects read fully"), ("looking", "and looked into")):
        one = result[name]
        print(
            f"| {title} | {one['round_median_ms']:.1f} ms | {one['asked_round_median_ms']:.1f} ms "
            f"| {one['round_largest_ms']:.1f} ms | {one['reading_share']:.3%} | {result['budget']:.1%} "
            f"| {one['looks']} |"
        )
    print("\n| mappings | rollup | smaps, read and parsed | told apart | a mapping |\n|--:|--:|--:|--:|--:|")
    for row in result["of_many_mappings"]:
        print(
            f"| {row['mappings']} | {row['rollup_ms']:.2f} ms | {row['smaps_ms']:.1f} ms | {row['classes_ms']:.1f} ms "
            f"| {row['us_a_mapping']:.1f} us |"
        )
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
