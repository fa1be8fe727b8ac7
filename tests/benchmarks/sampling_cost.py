#!/usr/bin/env python3
"""What a round of sampling costs beside its peers, and how far its values are off, on a farm of processes.

usage: python -m tests.benchmarks.sampling_cost [-n 500,1000] [--cap-gib 8] [--rounds 18] [--interval 5]
                                                [--tolerance 128KiB] [--no-peers] [--json FILE]

Each farm (procfarm.py: a tenth active, a tenth in copy-on-write families) is read by leakwatch's process collector at
the default configuration, a round every five seconds, as after days: the ages of the full reads are spread as they are
then. The peers read the same farm in the same run: psutil's memory_full_info, a raw smaps_rollup loop, a statm loop,
procpath (from the package index, into a temporary environment), smem and prometheus-process-exporter (from Debian,
unpacked into a temporary directory). A peer that cannot be had is left out with the reason. CPU is user + system.

Errors: the farm is stopped (SIGSTOP), leakwatch takes a round, smaps_rollup of everybody is read at once and compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from leakwatch import metrics
from leakwatch.collectors.processes.budget import age_limit_us
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.procfs.files import raise_file_limit
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse
from leakwatch.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FARM = Path(__file__).parent / "procfarm.py"
FARM_PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
WARM_UP = 6
"""Rounds before the first that counts: families are recognised, habits learnt."""
CHECK_EVERY = 3
PEER_ROUNDS = 3
COW = ("cow-idle", "cow-write")
TICK = os.sysconf("SC_CLK_TCK")
PORT = 19256


class NotToBeHadError(Exception):
    """A peer cannot be measured here; the message says why."""


@contextmanager
def farm(size: int, cap_gib: float) -> Iterator[dict[str, Any]]:
    argv = [FARM_PYTHON, str(FARM), "-n", str(size), "--cap-gib", str(cap_gib), "--fill"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.communicate()  # closing its input ends it and all of its processes


def cpu_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def children_cpu(argv: list[str], **options: Any) -> float:
    before = os.times()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


# leakwatch


class Watcher:
    """leakwatch's process collector, round by round."""

    def __init__(self, sampling: SamplingConfig) -> None:
        self.sampling = sampling
        self.procfs = ProcFS()
        self.collector = ProcessCollector(self.procfs, self.procfs.boot_id(), self.sampling)
        self._round = 0

    def round(self) -> float:
        """Take a round; return its CPU seconds, measured from outside."""
        slow = self._round % self.sampling.slow_every == 0
        self._round += 1
        self.result = CollectorResult()
        return cpu_of(lambda: self.collector.collect(self.result, slow=slow))

    def spread_ages(self) -> None:
        """Let full reads fall due as they do after days, when their ages are spread over the maximal age."""
        chance = random.Random(1)
        for one in self.collector._lookout.watched.values():
            if one.due_us:
                limit = age_limit_us(self.sampling.max_age_s, one.identity.pid, one.reads)
                one.due_us = one.read_us + round(limit * chance.random())

    def uss(self) -> dict[int, int]:
        pids = {one.identity.target: one.identity.pid for one in self.result.processes}
        return {pids[s.target]: s.value for s in self.result.samples if s.metric == metrics.PROCESS_USS}


def errors(watcher: Watcher, info: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return (kind, error, USS) in bytes of every process of the farm, which stands still meanwhile."""
    for pid in info["pids"]:
        os.kill(pid, signal.SIGSTOP)
    try:
        watcher.round()
        found, out = watcher.uss(), []
        for pid in info["pids"]:
            use = watcher.procfs.memory(pid)
            if isinstance(use, MemoryUse):
                out.append((info["kinds"][str(pid)], abs(found[pid] - use.uss_bytes), use.uss_bytes))
        return out
    finally:
        for pid in info["pids"]:
            os.kill(pid, signal.SIGCONT)


def measure_leakwatch(info: dict[str, Any], rounds: int, sampling: SamplingConfig) -> dict[str, Any]:
    watcher = Watcher(sampling)
    first = watcher.round()
    watcher.spread_ages()
    costs, off, reads = [], [], []
    for number in range(1, WARM_UP + rounds):
        began = time.monotonic()
        if number >= WARM_UP and number % CHECK_EVERY == 0:
            off += errors(watcher, info)
            counts = False  # the farm stood still: not a round as others are
        else:
            cost = watcher.round()
            counts = number >= WARM_UP
        if counts:
            costs.append(cost)
            reads.append(watcher.collector.spent.last.full_reads)
        time.sleep(max(0.0, sampling.interval_s - (time.monotonic() - began)))
    totals = watcher.collector.spent.totals
    return {
        "cpu_s": statistics.mean(costs),
        "cpu_median_s": statistics.median(costs),
        "cpu_largest_s": max(costs),
        "first_round_cpu_s": first,
        "full_reads_a_round": statistics.mean(reads),
        "sampling_cpu_seconds": totals.sampling_cpu_seconds,
        "errors": {
            "ordinary": summary([(e, u) for kind, e, u in off if kind not in COW]),
            "copy-on-write": summary([(e, u) for kind, e, u in off if kind in COW]),
            "all": summary([(e, u) for _, e, u in off]),
        },
    }


def summary(pairs: list[tuple[int, int]]) -> dict[str, float]:
    ordered = sorted(error for error, _ in pairs)
    within = sum(error <= max(128 << 10, uss / 100) for error, uss in pairs)
    return {
        "values": len(pairs),
        "median_bytes": statistics.median(ordered),
        "p99_bytes": ordered[int(len(ordered) * 0.99)],
        "largest_bytes": ordered[-1],
        "within_128_kib_or_1_percent": within / len(pairs),
    }


# Peers


def by_psutil() -> None:
    for process in psutil.process_iter():
        try:
            process.memory_full_info()
        except psutil.Error:
            continue


def raw_loop(name: str) -> None:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a loop as cheap as can be
        if entry.isdigit():
            try:
                descriptor = os.open(f"/proc/{entry}/{name}", os.O_RDONLY)
                try:
                    os.read(descriptor, 8192)
                finally:
                    os.close(descriptor)
            except OSError:
                continue


def in_process(work: Callable[[], None]) -> float:
    return statistics.median(cpu_of(work) for _ in range(PEER_ROUNDS))


def unpacked(package: str, folder: Path) -> Path:
    """Return where a Debian package was unpacked, without installing it."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotToBeHadError("this is no Debian")
    target = folder / package
    target.mkdir()
    try:
        subprocess.run(
            ["apt-get", "download", "-qq", package], cwd=target, check=True, capture_output=True, timeout=120
        )
        (archive,) = target.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(target)], check=True, capture_output=True)
    except (subprocess.SubprocessError, ValueError) as error:
        raise NotToBeHadError(f"{package} cannot be downloaded ({type(error).__name__})") from None
    return target


def procpath_round(folder: Path) -> float:
    """Return the difference of runs with more and fewer rounds: its start is not counted."""
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True, capture_output=True)
        pip = [str(folder / "env/bin/pip"), "install", "-q", "procpath"]
        subprocess.run(pip, check=True, capture_output=True, timeout=180)
    except subprocess.SubprocessError as error:
        raise NotToBeHadError(f"procpath cannot be installed ({type(error).__name__})") from None

    def run(rounds: int) -> float:
        argv = [str(folder / "env/bin/procpath"), "record", "-i", "0.1", "-r", str(rounds), "-f", "stat,smaps_rollup"]
        return children_cpu([*argv, "-d", str(folder / f"r{rounds}.db")])

    return (run(1 + PEER_ROUNDS) - run(1)) / PEER_ROUNDS


def smem_round(folder: Path) -> float:
    """Return a whole run: smem starts anew for each round."""
    smem = next(unpacked("smem", folder).glob("usr/bin/smem"))
    return statistics.median(children_cpu([FARM_PYTHON, str(smem), "-c", "pid uss pss"]) for _ in range(2))


def exporter_round(folder: Path) -> float:
    binary = next(unpacked("prometheus-process-exporter", folder).glob("usr/bin/*process-exporter*"))
    config = folder / "all.yml"
    config.write_text('process_names:\n  - name: "{{.PID}}"\n    cmdline: [".+"]\n')
    argv = [str(binary), "-config.path", str(config), "-web.listen-address", f"127.0.0.1:{PORT}"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(50):
            time.sleep(0.2)
            try:
                scrape()
                break
            except OSError:
                continue
        else:
            raise NotToBeHadError("process-exporter does not answer")
        began = cpu_ticks(process.pid)
        for _ in range(PEER_ROUNDS):
            scrape()
        return (cpu_ticks(process.pid) - began) / TICK / PEER_ROUNDS
    finally:
        process.kill()
        process.wait()


def scrape() -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=30) as answer:
        answer.read()


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def measure_peers(folder: Path) -> dict[str, dict[str, Any]]:
    peers: dict[str, Callable[[], float]] = {
        "psutil memory_full_info": lambda: in_process(by_psutil),
        "raw smaps_rollup loop": lambda: in_process(lambda: raw_loop("smaps_rollup")),
        "raw statm loop": lambda: in_process(lambda: raw_loop("statm")),
        "procpath": lambda: procpath_round(folder),
        "smem": lambda: smem_round(folder),
        "process-exporter, smaps": lambda: exporter_round(folder),
    }
    out: dict[str, dict[str, Any]] = {}
    for name, work in peers.items():
        try:
            out[name] = {"cpu_s": work()}
        except NotToBeHadError as why:
            out[name] = {"left_out": str(why)}
    return out


def table(results: list[dict[str, Any]]) -> str:
    lines = ["| processes | resident | who | CPU a round | times leakwatch |", "|--:|--:|:--|--:|--:|"]
    for result in results:
        own = result["leakwatch"]["cpu_s"]
        head = f"| {result['processes']} | {result['resident_gib']:.1f} GiB "
        lines.append(f"{head}| **leakwatch**, a round every {result['interval_s']:g} s | {own * 1e3:.1f} ms | 1 |")
        for name, peer in result["peers"].items():
            told = f"{peer['cpu_s'] * 1e3:.0f} ms | {peer['cpu_s'] / own:.1f} |" if "cpu_s" in peer else "- | - |"
            lines.append(f"{head}| {name}{': ' + peer['left_out'] if 'left_out' in peer else ''} | {told}")
    lines += [
        "",
        "| processes | USS against an immediate full read | values | median | p99 | largest | within 128 KiB or 1 % |",
    ]
    lines.append("|--:|:--|--:|--:|--:|--:|--:|")
    for result in results:
        for kind, of in result["leakwatch"]["errors"].items():
            sizes = " | ".join(f"{of[key] / 1024:.0f} KiB" for key in ("median_bytes", "p99_bytes", "largest_bytes"))
            share = f"{100 * of['within_128_kib_or_1_percent']:.2f} %"
            lines.append(f"| {result['processes']} | {kind} | {of['values']} | {sizes} | {share} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", default="500,1000", help="sizes of the farms")
    parser.add_argument("--cap-gib", type=float, default=8, help="resident memory at 1000 processes; less at fewer")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--tolerance", default="128KiB", help="as in the configuration")
    parser.add_argument("--no-peers", action="store_true", help="leakwatch alone, to compare configurations")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    sampling = SamplingConfig(interval_s=args.interval, tolerance_bytes=parse_size(args.tolerance))
    raise_file_limit()
    results = []
    for size in map(int, args.n.split(",")):
        with tempfile.TemporaryDirectory() as folder, farm(size, args.cap_gib * size / 1000) as info:
            own = measure_leakwatch(info, args.rounds, sampling)
            peers = {} if args.no_peers else measure_peers(Path(folder))
        results.append({
            "processes": size,
            "resident_gib": args.cap_gib * size / 1000,
            "interval_s": args.interval,
            "leakwatch": own,
            "peers": peers,
        })  # fmt: skip
        print(json.dumps(results[-1]), file=sys.stderr)
    print(table(results))
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
