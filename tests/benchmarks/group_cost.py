"""What reading control groups costs: so many real groups with a process each, read as in a slow round. Needs root.

usage: python -m tests.benchmarks.group_cost [--groups 100] [--json FILE]

Prints the CPU time of a slow round's groups, of a round in which nothing has to be read, and of one group.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from leakwatch.clock import thread_cpu_ns
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.collectors.services.cgroups import GroupCollector
from leakwatch.procfs.fs import ProcFS

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    many = args.groups
    top = (V1 if (V1 / "memory.stat").exists() else V2) / "leakwatch-bench.slice"
    top.mkdir()
    if top.parent == V2:
        (top / "cgroup.subtree_control").write_text("+memory")
    processes, groups = [], []
    try:
        for number in range(many):
            group = top / f"bench{number}x.service"
            group.mkdir()
            groups.append(group)
            processes.append(subprocess.Popen(["sleep", "600"]))
            (group / "cgroup.procs").write_text(str(processes[-1].pid))
        time.sleep(0.5)
        found = measure(many)
        if args.json:
            Path(args.json).write_text(json.dumps(found) + "\n")
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for group in [*groups, top]:
            for _ in range(50):
                with suppress(OSError):
                    group.rmdir()
                    break
                time.sleep(0.05)


def measure(many: int) -> dict[str, float]:
    procfs = ProcFS()
    watch = ProcessCollector(procfs, procfs.boot_id())
    watch.collect(CollectorResult(), slow=False)
    collector = GroupCollector(procfs, None)
    costs: dict[bool, list[float]] = {True: [], False: []}
    read = 0
    for _ in range(ROUNDS):
        for slow in (True, False):
            result = CollectorResult()
            began = thread_cpu_ns()
            collector.collect(result, watch.watched, slow=slow)
            costs[slow].append((thread_cpu_ns() - began) / 1000)
            read = result.targets_read
    slow_us, other_us = (statistics.median(costs[slow]) for slow in (True, False))
    assert read >= many, "not every group was read"
    print("| groups | processes | CPU of a slow round | of another | a group |\n|--:|--:|--:|--:|--:|")
    print(f"| {read} | {len(watch.watched)} | {slow_us / 1000:.2f} ms | {other_us / 1000:.3f} ms "
          f"| {slow_us / read:.0f} µs |")  # fmt: skip
    return {"groups": read, "slow_round_us": slow_us, "other_round_us": other_us}


if __name__ == "__main__":
    main()
