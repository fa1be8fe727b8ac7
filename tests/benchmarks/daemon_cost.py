#!/usr/bin/env python3
"""What the daemon costs at rest: its USS and its CPU over a time, on a farm of processes, at the default configuration.

usage: python -m tests.benchmarks.daemon_cost [--minutes 30 | --ticks 5000] [-n 200] [--interval 60]
                                              [--directory DIR] [--json FILE]

With --ticks the windows shrink with the interval: 5000 ticks of a tenth of a second are to the detector what three and
a half days of a minute are, and what it says of the daemon itself is whether that grew.

USS is what smaps_rollup says of the daemon's process alone; run it with no other Python of the same environment, or
what they share is not counted. CPU is user + system time of the daemon and its children, start included and apart.
Bytes written are those of /proc/PID/io: nothing where --directory is on a tmpfs.
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


def written_bytes(pid: int) -> int:
    """What the process and the children it has waited for had written to the disk."""
    return int(dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())["write_bytes"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--ticks", type=int, help="run for so many samplings, with windows as short as they are fast")
    parser.add_argument("-n", type=int, default=200, help="processes of the farm")
    parser.add_argument("--interval", type=float, default=60, help="seconds")
    parser.add_argument("--directory", type=Path, help="on which file system")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.ticks:
        args.minutes = args.ticks * args.interval / 60
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        result = measure(args, Path(directory))
    head = (
        "processes | interval | minutes | USS after a tenth | at end | largest | CPU at start | after "
        "| share of a core | written a round"
    )
    print(f"| {head} | its own verdict |\n|{'--:|' * 10}---|")
    print(
        f"| {result['processes']} | {args.interval:g} s | {args.minutes:.1f} | {result['uss_begin_mb']:.1f} MB "
        f"| {result['uss_end_mb']:.1f} MB | {result['uss_max_mb']:.1f} MB | {result['cpu_start_s']:.2f} s "
        f"| {result['cpu_rest_s']:.2f} s | {result['cpu_share']:.2%} | {result['written_kb']:.1f} kB "
        f"| {result['verdict']} |"
    )
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


def configuration(args: argparse.Namespace, directory: Path) -> Path:
    """Write the configuration: the default but for the interval, and with ``--ticks`` windows that shrink with it."""
    config = directory / "config.toml"
    text = f'[sampling]\ninterval = "{args.interval:g}s"\n[store]\nurl = "sqlite:///{directory}/store.db"\n'
    if args.ticks:
        spans = [max(12, round(hours * args.interval * 60)) for hours in (4, 16, 64)]
        text += f"[analysis]\nwindows = {json.dumps([f'{span}s' for span in spans])}\n"
    config.write_text(text)
    return config


def own_verdict(config: Path, pid: int) -> str:
    """What the daemon's own report says of it."""
    argv = [sys.executable, "-m", "leakwatch", "report", "--config", str(config), "--pid", str(pid)]
    done = subprocess.run([*argv, "--verdict", "all", "--format", "json"], capture_output=True, text=True, check=True)
    findings = [one for one in json.loads(done.stdout)["findings"] if one.get("unit", "bytes") == "bytes"]
    return f"{findings[0]['verdict']}: {findings[0]['reason']}" if findings else "none yet"


def measure(args: argparse.Namespace, directory: Path) -> dict[str, float | str]:
    config = configuration(args, directory)
    farm = subprocess.Popen(
        [FARM_PYTHON, str(FARM), "-n", str(args.n), "--cap-gib", str(args.n / 100)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert farm.stdout is not None
    assert farm.stdin is not None
    farm.stdout.readline()
    # Straight, not through a wrapper: the process measured is the daemon itself.
    daemon = subprocess.Popen([sys.executable, "-m", "leakwatch", "daemon", "--config", str(config)])
    try:
        time.sleep(5)
        began, cpu_start, largest, first = time.monotonic(), cpu_s(daemon.pid), 0, 0
        written = written_bytes(daemon.pid)
        while (elapsed := time.monotonic() - began) < args.minutes * 60 and daemon.poll() is None:
            time.sleep(min(10.0, args.minutes * 60 - elapsed))
            largest = max(largest, uss_bytes(daemon.pid))
            if not first and elapsed >= args.minutes * 6:
                first = uss_bytes(daemon.pid)
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended with {daemon.returncode}")
        rest = cpu_s(daemon.pid) - cpu_start
        return {
            "processes": args.n,
            "uss_begin_mb": first / 1e6,
            "uss_end_mb": uss_bytes(daemon.pid) / 1e6,
            "uss_max_mb": largest / 1e6,
            "cpu_start_s": cpu_start,
            "cpu_rest_s": rest,
            "written_kb": (written_bytes(daemon.pid) - written) / 1000 / (args.minutes * 60 / args.interval),
            "cpu_share": rest / (time.monotonic() - began),
            "store_mb": sum(f.stat().st_size for f in directory.iterdir() if f.name.startswith("store.db")) / 1e6,
            "verdict": own_verdict(config, daemon.pid),
        }
    finally:
        daemon.terminate()
        daemon.wait()
        farm.stdin.close()
        farm.wait()


if __name__ == "__main__":
    sys.exit(main())
