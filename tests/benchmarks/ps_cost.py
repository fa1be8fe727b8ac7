#!/usr/bin/env python3
"""What ``leakwatch ps`` costs beside ``smem``, whole commands with their start, on a farm of processes.

usage: python -m tests.benchmarks.ps_cost [-n 200] [--cap-gib 1] [--rounds 9] [--json FILE]

Both read all processes of the machine, in turns; CPU is user + system of the command, the median of the rounds. Needs
smem (apt-get install smem) and, to read everybody, root.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.sampling_cost import farm

VIEWS = {"by process": [], "by user": ["-u"], "by mapping": ["-m"], "whole system": ["-w"]}
LEAKWATCH = [sys.executable, "-m", "leakwatch", "ps"]


def cpu_s(argv: list[str]) -> float:
    """Return what a command costs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, help="processes; default: %(default)s")
    parser.add_argument("--cap-gib", type=float, default=1.0, help="their memory; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    smem = shutil.which("smem")
    if smem is None:
        sys.exit("smem is not installed: apt-get install smem")
    figures: dict[str, dict[str, float]] = {}
    with farm(args.n, args.cap_gib):
        for view, options in VIEWS.items():
            pairs = [(cpu_s([*LEAKWATCH, *options]), cpu_s([smem, *options])) for _ in range(args.rounds)]
            ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
            figures[view] = {"leakwatch_s": ours, "smem_s": theirs, "ratio": theirs / ours}
    print(f"| {args.n} processes | leakwatch ps | smem |\n|---|--:|--:|")
    for view, found in figures.items():
        print(f"| {view} | {1000 * found['leakwatch_s']:.0f} ms | {1000 * found['smem_s']:.0f} ms |")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
