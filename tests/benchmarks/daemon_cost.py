#!/usr/bin/env python3
"""What the daemon costs at rest: its USS and its CPU over a time, on a farm of processes, at the default configuration.

usage: python tests/benchmarks/daemon_cost.py [--minutes 30] [-n 200] [--interval 60s] [--json FILE]

USS is what smaps_rollup says of the daemon's process alone; run it with no other Python of the same environment, or
what they share is not counted. CPU is user + system time of the daemon and its children, start included and apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FARM = Path(__file__).parent / "procfarm.py"
FARM_PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""Another interpreter for the farm, where there is one: pages it shared with the daemon would not count as USS."""
TICK = os.sysconf("SC_CLK_TCK")


def uss_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("-n", type=int, default=200, help="processes of the farm")
    parser.add_argument("--interval", default="60s")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = measure(args, Path(directory))
    print("| processes | interval | minutes | USS at end | USS largest | CPU at start | CPU after | share of a core |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    print(
        f"| {result['processes']} | {args.interval} | {args.minutes:g} | {result['uss_end_mb']:.1f} MB "
        f"| {result['uss_max_mb']:.1f} MB | {result['cpu_start_s']:.2f} s | {result['cpu_rest_s']:.2f} s "
        f"| {result['cpu_share']:.2%} |"
    )
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace, directory: Path) -> dict[str, float]:
    config = directory / "config.toml"
    config.write_text(f'[sampling]\ninterval = "{args.interval}"\n[store]\nurl = "sqlite:///{directory}/store.db"\n')
    farm = subprocess.Popen(
        [FARM_PYTHON, str(FARM), "-n", str(args.n), "--cap-gib", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert farm.stdout is not None
    assert farm.stdin is not None
    farm.stdout.readline()
    # Straight, not through a wrapper: the process measured is the daemon itself.
    daemon = subprocess.Popen([sys.executable, "-m", "leakwatch", "daemon", "--config", str(config)])
    try:
        time.sleep(5)
        began, cpu_start, largest = time.monotonic(), cpu_s(daemon.pid), 0
        while (elapsed := time.monotonic() - began) < args.minutes * 60 and daemon.poll() is None:
            time.sleep(min(10.0, args.minutes * 60 - elapsed))
            largest = max(largest, uss_bytes(daemon.pid))
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended with {daemon.returncode}")
        rest = cpu_s(daemon.pid) - cpu_start
        return {
            "processes": args.n,
            "uss_end_mb": uss_bytes(daemon.pid) / 1e6,
            "uss_max_mb": largest / 1e6,
            "cpu_start_s": cpu_start,
            "cpu_rest_s": rest,
            "cpu_share": rest / (time.monotonic() - began),
            "store_mb": sum(f.stat().st_size for f in directory.iterdir() if f.name.startswith("store.db")) / 1e6,
        }
    finally:
        daemon.terminate()
        daemon.wait()
        farm.stdin.close()
        farm.wait()


if __name__ == "__main__":
    sys.exit(main())
