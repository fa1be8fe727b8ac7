#!/usr/bin/env python3
"""Records this host's kernel memory while kernel objects leak, or come and go, and labels what was recorded.

usage (root): record_kernel.py OUT --plan a|b|c|healthy [--seed N] [--minutes 16]

Slab caches as `kernel/slab:CACHE` (bytes of active objects) and fields of meminfo as `kernel/FIELD`, once a second;
a second stands for a minute in what is written. The host should be otherwise calm. Everything made goes at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from tests.corpus.corpus_files import Row, write_labels, write_trace
from tests.corpus.kernel_labels import label_all
from tests.corpus.kernel_objects import kinds
from tests.corpus.kernel_plans import PLANS, Part
from tests.corpus.kernel_pools import believable, cost_of, read_meminfo, read_slabs, start_pool

SCRATCH = Path("/dev/shm/recorded-kernel-objects")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="gets raw/, traces/ and labels.csv")
    parser.add_argument("--plan", choices=sorted(PLANS), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=16)
    parser.add_argument("--relabel", action="store_true", help="select and label anew what raw/ holds, record nothing")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("record_kernel.py: must run as root: /proc/slabinfo, mounts and control groups are root's")
    seconds, rng = int(args.minutes * 60), np.random.default_rng(args.seed)
    name = f"kernel-{args.plan}-{args.seed}"
    raw, costs = args.out / "raw" / f"{name}.pickle", args.out / "raw" / "costs.json"
    raw.parent.mkdir(parents=True, exist_ok=True)
    if not costs.exists():
        costs.write_text(json.dumps(measured_costs(), indent=1))
    if not args.relabel:
        raw.write_bytes(pickle.dumps(recorded(PLANS[args.plan](seconds, rng), seconds)))
    rows, plan = pickle.loads(raw.read_bytes())
    cost = {name: believable(name, found) for name, found in json.loads(costs.read_text()).items()}
    kept, labels = label_all(rows, plan, cost, np.random.default_rng(args.seed))
    write_trace(args.out / "traces" / f"{name}.csv.gz", kept)
    write_labels(args.out / "labels.csv", name, labels)
    return 0


def measured_costs() -> dict[str, dict[str, float]]:
    """What an object of each kind costs on this kernel, measured once for all recordings."""
    try:
        return {name: cost_of(name, SCRATCH) for name in kinds()}
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def recorded(plan: list[Part], seconds: int) -> tuple[list[Row], list[Part]]:
    """The samples and what was done."""
    try:
        return record(plan, seconds), plan
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def record(plan: list[Part], seconds: int) -> list[Row]:
    """Sample before each second's changes, so that the first sample is of the state before everything."""
    time.sleep(2)
    begin = time.monotonic() + 1
    pids = [start_pool(part.kind, part.levels, SCRATCH / str(i), begin + 0.2) for i, part in enumerate(plan)]
    rows: list[Row] = []
    try:
        for second in range(seconds):
            time.sleep(max(0.0, begin + second - time.monotonic()))
            at = time.monotonic() - begin
            rows += [(at, series, value) for series, value in (read_meminfo() | read_slabs()).items()]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        failed = [part.kind for part, pid in zip(plan, pids, strict=True) if os.waitpid(pid, 0)[1] != 0]
    if failed:
        sys.exit(f"these pools failed: {', '.join(failed)}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
