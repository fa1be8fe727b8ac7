#!/usr/bin/env python3
"""What a daemon writes to the disk a scrape, beside a farm of processes and a few new ones a minute.

usage: python -m tests.benchmarks.store_live [-n 500] [--new 3] [--interval 60] [--minutes 15] [--json FILE]

Bytes are those of /proc/PID/io of the daemon (write_bytes). With a shorter interval new processes come as much faster;
what the kernel writes twice because it lay in the page cache for a minute is then counted once. The first third is left
out: names, the farm's start and the first evaluation.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.daemon_cost import FARM, FARM_PYTHON
from tests.benchmarks.wal_pages import Log

LIFE_INTERVALS = (1, 5)
"""How long a new process lives."""


class Visitors:
    """Processes that come and go."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._rng = random.Random(1)
        self._here: list[subprocess.Popen[bytes]] = []

    def arrive(self, count: int) -> None:
        """Start some, and bury those that have ended."""
        self._here = [one for one in self._here if one.poll() is None]
        for _ in range(count):
            life_s = self._interval_s * self._rng.uniform(*LIFE_INTERVALS)
            self._here.append(subprocess.Popen(["sleep", f"{life_s:.1f}"]))

    def leave(self) -> None:
        """End all that are left."""
        for one in self._here:
            one.terminate()
            one.wait()


def written_bytes(pid: int) -> int:
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


def watch(args: argparse.Namespace, directory: Path, pid: int) -> dict[str, object]:
    """Let the daemon run; return what it wrote in each interval, and of which tables."""
    store, visitors = directory / "store.db", Visitors(args.interval)
    log, taken, before = Log(store), [], 0
    intervals = round(args.minutes * 60 / args.interval)
    began = time.monotonic() + args.interval / 2  # half way between two scrapes
    try:
        for number in range(intervals):
            time.sleep(max(0.0, began + number * args.interval - time.monotonic()))
            now = written_bytes(pid)
            if number == intervals // 3:
                log.forget()
            elif number > intervals // 3:
                taken.append(now - before)
                log.checkpoint()
            before = now
            visitors.arrive(args.new)
    finally:
        visitors.leave()
    pages = {name: times / len(taken) for name, times in log.by_table().most_common()}
    return {"written_bytes": taken, "logged_a_scrape_bytes": log.bytes / len(taken), "pages_a_scrape": pages}


def measure(args: argparse.Namespace, directory: Path) -> dict[str, object]:
    config = directory / "config.toml"
    url = f"sqlite:///{directory}/store.db"
    config.write_text(f'[sampling]\ninterval = "{args.interval:g}s"\n[store]\nurl = "{url}"\n')
    farm = subprocess.Popen(
        [FARM_PYTHON, str(FARM), "-n", str(args.n), "--cap-gib", "4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert farm.stdout is not None
    assert farm.stdin is not None
    farm.stdout.readline()
    daemon = subprocess.Popen([sys.executable, "-m", "leakwatch", "daemon", "--config", str(config)])
    try:
        return watch(args, directory, daemon.pid)
    finally:
        daemon.terminate()
        daemon.wait()
        farm.stdin.close()
        farm.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="processes of the farm")
    parser.add_argument("--new", type=int, default=3, help="new processes an interval")
    parser.add_argument("--interval", type=float, default=60, help="seconds")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--directory", type=Path, help="on which file system")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        found = measure(args, Path(name))
    taken = found["written_bytes"]
    assert isinstance(taken, list)
    print("| processes | new a scrape | scrapes | written a scrape: mean | median | least | most | logged |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    figures = (statistics.mean(taken), statistics.median(taken), min(taken), max(taken), found["logged_a_scrape_bytes"])
    cells = " | ".join(f"{figure / 1000:.1f} kB" for figure in figures)
    print(f"| {args.n} | {args.new} | {len(taken)} | {cells} |\n\n| pages a scrape in the log | |\n|---|--:|")
    pages = found["pages_a_scrape"]
    assert isinstance(pages, dict)
    for table, times in pages.items():
        print(f"| {table} | {times:.2f} |")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
