#!/usr/bin/env python3
"""What a round of the kernel's own files costs, file by file: CPU time of this thread, the median of many.

usage (root): kernel_cost.py [-n 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.collectors.kernel.collector import (
    collect_cgroups,
    collect_meminfo,
    collect_slab,
    collect_sockets,
    collect_vmalloc,
)
from leakwatch.collectors.result import CollectorResult
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable


def cpu_us(work: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        began_ns = time.thread_time_ns()
        work()
        spent.append((time.thread_time_ns() - began_ns) / 1000)
    return statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=60, help="readings of each; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    procfs = ProcFS()
    callers = collect_vmalloc(procfs, CollectorResult())
    pieces: dict[str, tuple[str, Callable[[], object]]] = {
        "slabinfo": ("every", lambda: collect_slab(procfs, CollectorResult(), slow=False)),
        "vmallocinfo": ("every", lambda: collect_vmalloc(procfs, CollectorResult())),
        "meminfo, zoneinfo": ("every", lambda: collect_meminfo(procfs, CollectorResult(), callers, slow=False)),
        "sockets": ("every", lambda: collect_sockets(procfs, CollectorResult())),
        "dying control groups": ("slow", lambda: collect_cgroups(procfs, CollectorResult())),
        "names of merged caches": ("for a suspect", procfs.slab_aliases),
    }
    found = {name: cpu_us(work, args.n) for name, (_, work) in pieces.items()}
    print("| read | in which rounds | CPU |\n|:--|:--|--:|")
    for name, (when, _) in pieces.items():
        print(f"| {name} | {when} | {found[name]:.0f} µs |")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
