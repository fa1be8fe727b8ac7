#!/usr/bin/env python3
"""What reading captured series costs: CPU time and memory a row.

usage: python -m tests.benchmarks.read_csv [-n 10000] [--samples 1440] [--rfc3339] [--by-series]

The file has a scrape a minute of that many processes, as a capture writes it, or with --by-series one series after
another, as an export does. Memory is the largest resident set, less that before.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.importers.files import open_captures

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_750_000_000


def rows(series: int, samples: int, by_series: bool, rfc3339: bool) -> Iterator[str]:
    names = [f"proc/worker-{number % 97}[{1000 + number}]" for number in range(series)]
    stamps = [f"{START + 60 * at}.{at % 1000:03}" for at in range(samples)]
    if rfc3339:
        stamps = [datetime.fromtimestamp(START + 60 * at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in range(samples)]
    yield "time,series,value\n"
    if by_series:
        for number, name in enumerate(names):
            yield "".join(f"{stamp},{name},{4096 * (number + at)}\n" for at, stamp in enumerate(stamps))
    else:
        for at, stamp in enumerate(stamps):
            yield "".join(f"{stamp},{name},{4096 * (number + at)}\n" for number, name in enumerate(names))


def largest_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--series", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=1440)
    parser.add_argument("--by-series", action="store_true")
    parser.add_argument("--rfc3339", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leakwatch-") as directory:
        path = Path(directory) / "capture.csv"
        with path.open("w") as file:
            file.writelines(rows(args.series, args.samples, args.by_series, args.rfc3339))
        before_mb, began = largest_mb(), time.process_time()
        (file,) = open_captures([str(path)])
        cpu_s, mb = time.process_time() - began, largest_mb() - before_mb
    count = sum(len(one.values) for one in file.captures)
    print(f"{len(file.captures)} series, {count} rows: {cpu_s:.2f} s of CPU, {mb:.0f} MB", end="; ")
    print(f"{cpu_s / count * 1e6:.2f} µs and {mb * 2**20 / count:.0f} bytes a row")


if __name__ == "__main__":
    main()
