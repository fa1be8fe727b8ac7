#!/usr/bin/env python3
"""Every figure that leakwatch promises of its cost, each beside its peers, as Markdown on standard output and as JSON.

usage: python -m tests.benchmarks.run_all [--only sampling_cost,stall] [--directory DIR] [--json FILE]

An hour in all, most of it waiting for a daemon at its default interval. Needs root, two cores and 10 GiB of memory for
the process farm, and 2 GB in --directory, which must be on a disk: bytes written are not counted on a tmpfs. One after
another, on a machine that does little else; what a benchmark could not do is said, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
BENCHMARKS: dict[str, tuple[str, list[str]]] = {
    "sampling_cost": ("One round of sampling, and how far its values are off", []),
    "maps_cost": ("What looking into the mappings of suspects costs a round", []),
    "kernel_cost": ("One round of the kernel's own files", []),
    "group_cost": ("What reading the control groups of services costs", []),
    "stall": ("How long a large process waits while it is watched", []),
    "store_size": ("What 30 days take in the store, and what reading them costs", ["--directory"]),
    "store_write": ("What is written to the disk a scrape", ["--directory", "--pages"]),
    "store_live": ("What a live daemon writes", ["--directory"]),
    "daemon_cost": ("The daemon at rest", ["--directory"]),
    "daemon_cost --ticks 5000 --interval 0.1": ("Whether the daemon grows, in its own words", ["--directory"]),
}
"""What is run, its title, and which options it takes of ours or for itself."""


def run(command: str, options: list[str], directory: Path) -> tuple[str, Any, str]:
    """Return a benchmark's table, its figures, and what went wrong."""
    name, *own = command.split()
    for option in options:
        own += [option, str(directory)] if option == "--directory" else [option]
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".json") as file:
        argv = [sys.executable, "-m", f"tests.benchmarks.{name}", *own, "--json", file.name]
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        figures = json.loads(Path(file.name).read_text() or "null")
    trouble = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1] if done.returncode else ""
    return done.stdout, figures, trouble


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on a disk; default: %(default)s")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else [command.split()[0] for command in BENCHMARKS]
    found: dict[str, Any] = {}
    failed = False
    for command, (title, options) in BENCHMARKS.items():
        if command.split()[0] in wanted:
            table, found[command], trouble = run(command, options, args.directory)
            failed = failed or bool(trouble)
            print(f"## {title} (`{command}`)\n\n{table}{f'failed: {trouble}' if trouble else ''}\n", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
