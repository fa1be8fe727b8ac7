#!/usr/bin/env python3
"""For how long a large process waits for its own memory lock while it is watched.

usage: python -m tests.benchmarks.stall [--gib 4] [--seconds 20] [--every 1] [--json FILE]

A target with one mapping of so many GiB maps and unmaps a page every millisecond and notes how long each took. It does
so alone; beside leakwatch's process collector at the default configuration, a round every second (the default is a
minute); beside psutil's memory_full_info of all processes as often; and beside a raw smaps_rollup read of the target.
What waited for longer than a millisecond counts for those that were to follow meanwhile, too: a stall of 100 ms is one
slow call to a loop that waits for it, but a hundred to whoever sends a request every millisecond.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = """
import json, mmap, sys, time
size = int(float(sys.argv[1]) * (1 << 30))
area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    area.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, size, 4096):
    area[at] = 1
print("ready", flush=True)
for line in sys.stdin:
    end, took = time.monotonic() + float(line), []
    while time.monotonic() < end:
        began = time.perf_counter_ns()
        mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        waited = time.perf_counter_ns() - began
        while waited > 0:
            took.append(waited)
            waited -= 1_000_000
        time.sleep(0.001)
    took.sort()
    print(json.dumps([len(took), took[len(took) // 2], took[int(len(took) * 0.99)], took[-1]]), flush=True)
"""


def leakwatch() -> Callable[[], object]:
    procfs = ProcFS()
    collector = ProcessCollector(procfs, procfs.boot_id())
    return lambda: collector.collect(CollectorResult(), slow=False)


def by_psutil() -> None:
    for process in psutil.process_iter():
        try:
            process.memory_full_info()
        except psutil.Error:
            continue


def read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 8192)
    finally:
        os.close(descriptor)


def measure(
    target: subprocess.Popen[str], seconds: float, every: float, checkpoint: Callable[[], object]
) -> dict[str, Any]:
    assert target.stdin is not None
    assert target.stdout is not None
    print(seconds, file=target.stdin, flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end - every:
        checkpoint()
        time.sleep(every)
    checkpoints, median, p99, largest = json.loads(target.stdout.readline())
    return {"mmaps": checkpoints, "median_us": median / 1e3, "p99_us": p99 / 1e3, "largest_us": largest / 1e3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--every", type=float, default=1)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    argv = [sys.executable, "-c", TARGET, str(args.gib)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        try:
            assert target.stdout is not None
            target.stdout.readline()
            beside: dict[str, Callable[[], object]] = {
                "nobody": lambda: None,
                "leakwatch, default configuration": leakwatch(),
                "psutil memory_full_info": by_psutil,
                "raw smaps_rollup of the target": lambda: read(f"/proc/{target.pid}/smaps_rollup"),
            }
            found = {who: measure(target, args.seconds, args.every, checkpoint) for who, checkpoint in beside.items()}
        finally:
            target.kill()
    print(
        f"mmap and munmap of a page in a process of {args.gib:g} GiB, one a millisecond, a look every {args.every:g} s"
    )
    print("\n| watched by | median | p99 | largest |\n|:--|--:|--:|--:|")
    for who, one in found.items():
        print(f"| {who} | {one['median_us']:.0f} us | {one['p99_us']:.0f} us | {one['largest_us'] / 1e3:.2f} ms |")
    if args.json:
        Path(args.json).write_text(
            json.dumps({"gib": args.gib, "every_s": args.every, "beside": found}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
