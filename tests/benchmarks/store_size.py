#!/usr/bin/env python3
"""What 30 days of 500 processes take on the disk, what writing and reading them costs; other stores in the same run.

usage: python -m tests.benchmarks.store_size [-n 500] [--days 30] [--scrapes 480] [--directory DIR] [--json FILE]

Of the values a quarter differ from the one before (``store_fill``). Bytes are pages of the file, indices included; the
other stores get some days of the same values and are measured by the sample. Times are CPU time; the median of nine
fresh readers, each of another series. ``report`` and ``--help`` are processes of their own: CPU of all of it, and the
largest resident size. The directory must be on a disk: bytes written are not counted on a tmpfs.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.store.maintenance import inventory
from leakwatch.store.read.reader import Reader
from tests.benchmarks import store_write
from tests.benchmarks.store_fill import fill, process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.int64]

USS = "process.uss_bytes"
PEER_DAYS = 4
"""Days of the values other stores are given: what they take goes by the sample."""
DAY = 1440
LIMITS = {
    "sealed_bytes_a_sample": 0.6,
    "read_series_ms": 20.0,
    "written_a_scrape_kb": 64.0,
    "report_cpu_s": 0.5,
    "report_peak_mb": 80.0,
    "help_cpu_s": 0.1,
}


def sizes(path: Path) -> dict[str, float]:
    reader = Reader(path)
    found = inventory.take(reader)
    reader.close()
    each = {part.name: part.bytes_a_row for part in found.parts if part.bytes_a_row}
    return {
        "samples": found.samples.rows,
        "store_mb": found.used_bytes / 1e6,
        "sealed_bytes_a_sample": each["samples, sealed"],
        "fresh_bytes_a_sample": each["samples, as they came"],
        "sealed_bytes_a_block": each["blocks of 5 min, sealed"],
    }


def read_times(path: Path) -> dict[str, float]:
    def timed(read: Callable[[Reader, int], int]) -> float:
        taken = []
        for number in range(0, 9 * 37, 37):
            reader = Reader(path)
            began = time.process_time()
            assert read(reader, number) > DAY
            taken.append((time.process_time() - began) * 1000)
            reader.close()
        return statistics.median(taken)

    def arrays(reader: Reader, number: int) -> int:
        past = reader.past(USS, process(number).identity.target)
        assert past is not None
        return len(past.values)

    return {
        "read_series_ms": timed(arrays),
        "read_series_as_pairs_ms": timed(lambda r, number: len(r.samples(USS, process(number).identity.target))),
    }


def triples(values: Values) -> Iterator[tuple[int, int, int]]:
    """Yield (scrape, series, value) as they come in: scrape by scrape."""
    for scrape, column in enumerate(values.T[: PEER_DAYS * DAY].tolist(), start=1):
        for series, value in enumerate(column, start=1):
            yield scrape, series, value


def sqlite_rows(values: Values, directory: Path, create: str) -> float:
    path = directory / f"rows-{len(create)}.db"
    with sqlite3.connect(path) as connection:
        connection.execute(create)
        connection.executemany("INSERT INTO sample VALUES (?, ?, ?)", triples(values))
    connection.close()
    return path.stat().st_size / (values.shape[0] * PEER_DAYS * DAY)


def duckdb_table(values: Values, directory: Path) -> float:
    import duckdb
    import numpy as np

    part = values[:, : PEER_DAYS * DAY]
    series, scrapes = part.shape
    columns = {  # in the order of series, which it compresses best
        "series": np.repeat(np.arange(series, dtype=np.int32), scrapes),
        "scrape": np.tile(np.arange(scrapes, dtype=np.int32), series),
        "value": part.ravel(),
    }
    path = directory / "peer.duckdb"
    connection = duckdb.connect(str(path))
    connection.register("given", columns)
    connection.execute("CREATE TABLE sample AS SELECT * FROM given")
    connection.execute("CHECKPOINT")
    connection.close()
    return path.stat().st_size / part.size


def parquet_file(values: Values, directory: Path) -> float:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = values[:, : PEER_DAYS * DAY]
    series, scrapes = part.shape
    table = pa.table({
        "series": np.repeat(np.arange(series, dtype=np.int32), scrapes),
        "scrape": np.tile(np.arange(scrapes, dtype=np.int32), series),
        "value": part.ravel(),
    })  # fmt: skip
    path = directory / "peer.parquet"
    deltas = dict.fromkeys(("scrape", "value"), "DELTA_BINARY_PACKED")
    pq.write_table(table, path, compression="zstd", use_dictionary=["series"], column_encoding=deltas)
    return path.stat().st_size / part.size


PEERS: dict[str, Callable[[Values, Path], float]] = {
    "SQLite, a row a sample, key (scrape, series)": lambda values, directory: sqlite_rows(
        values,
        directory,
        "CREATE TABLE sample(scrape INTEGER, series INTEGER, value BIGINT, PRIMARY KEY(scrape, series)) WITHOUT ROWID",
    ),
    "SQLite, a row a sample, no key": lambda values, directory: sqlite_rows(
        values, directory, "CREATE TABLE sample(scrape INTEGER, series INTEGER, value BIGINT)"
    ),
    "DuckDB, by series": duckdb_table,
    "Parquet, by series, delta + zstd": parquet_file,
}


def peers(values: Values, directory: Path) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name, measure in PEERS.items():
        try:
            found[name] = measure(values, directory)
        except ImportError as error:
            found[name] = f"skipped: {error.name} is not installed"
    return found


LAUNCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)
"""
"""Between us and what is measured: a child's largest size counts what its parent had when it was forked."""


def command(*arguments: str) -> tuple[float, float]:
    """Run leakwatch four times; return the median CPU in seconds of the last three, and the largest peak in MB."""
    taken = []
    for _ in range(4):
        argv = [sys.executable, "-c", LAUNCH, sys.executable, "-m", "leakwatch", *arguments]
        code, cpu_s, peak_mb = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
        assert code == "0", arguments
        taken.append((float(cpu_s), float(peak_mb)))
    return statistics.median(cpu for cpu, _ in taken[1:]), max(peak for _, peak in taken)


def run(args: argparse.Namespace, directory: Path) -> dict[str, Any]:
    store = directory / "store.db"
    began = time.perf_counter()
    values = fill(store, args.n, args.days)
    result: dict[str, Any] = {"processes": args.n, "days": args.days, "filled_in_s": time.perf_counter() - began}
    result |= sizes(store) | read_times(store)
    config = directory / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    result["report_cpu_s"], result["report_peak_mb"] = command("report", "--config", str(config))
    result["help_cpu_s"], _ = command("--help")
    result["peers"] = peers(values, directory)
    written = store_write.measure(directory, args.n, args.scrapes, churn=3)
    result["written_a_scrape_kb"] = written["written_a_scrape_bytes"] / 1000
    result["written_samples_a_scrape"] = written["samples_a_scrape"]
    return result


def table(result: dict[str, Any]) -> str:
    lines = ["| bytes a sample | |", "|---|--:|"]
    lines.append(f"| **leakwatch, sealed** | **{result['sealed_bytes_a_sample']:.2f}** |")
    lines.append(f"| leakwatch, the newest hours as they came | {result['fresh_bytes_a_sample']:.2f} |")
    for name, figure in result["peers"].items():
        lines.append(f"| {name} | {figure if isinstance(figure, str) else f'{figure:.2f}'} |")
    lines += ["", "| what | measured | at most |", "|---|--:|--:|"]
    named = {
        "sealed_bytes_a_sample": "bytes a sample, sealed",
        "sealed_bytes_a_block": "bytes a block, sealed",
        "store_mb": f"the whole store, {result['samples']:,.0f} samples and their blocks, MB",
        "read_series_ms": "one series of all days, as arrays, ms",
        "read_series_as_pairs_ms": "one series of all days, as a list of pairs, ms",
        "written_a_scrape_kb": f"written to the disk a scrape of {result['written_samples_a_scrape']:.0f} samples, "
        "3 new processes and what is said of them, kB",
        "report_cpu_s": "report, CPU, s",
        "report_peak_mb": "report, peak resident, MB",
        "help_cpu_s": "--help, CPU, s",
    }
    for key, name in named.items():
        limit = f"{LIMITS[key]:g}" if key in LIMITS else ""
        lines.append(f"| {name} | {result[key]:.3g} | {limit} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="processes")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--scrapes", type=int, default=480, help="scrapes written to measure the bytes written")
    parser.add_argument("--directory", type=Path, help="on which file system")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        result = run(args, Path(name))
    print(table(result))
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    over = [key for key, limit in LIMITS.items() if result[key] > limit]
    if over:
        print(f"\nover the limit: {', '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
