#!/usr/bin/env python3
"""Records the private memory of real programs under load, some leaking, and labels what was recorded.

usage (root, for PostgreSQL's user and missing packages): record_programs.py OUT [--seed N] [--minutes 18]

Starts some sixty processes (redis, PostgreSQL, memcached, nginx, and services in C, Python, Node and Java that hold and
leak what they are told), drives them over loopback and samples their USS + swap once a second as `proc/NAME[PID]`, and
`group/NAME` for pools. A second stands for a minute in what is written. Needs 4 GB and a third of a core.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.corpus.corpus_files import Label, Row, write_labels, write_trace
from tests.corpus.program_labels import fewer, of_group, of_life, of_server, worth_keeping
from tests.corpus.program_plans import draw, other_servers, pools, redis_servers, restarting
from tests.corpus.programs import Life, Program, Workload, build, missing_packages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="gets raw/, traces/ and labels.csv")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=18)
    parser.add_argument("--relabel", action="store_true", help="label anew what raw/ holds, record nothing")
    args = parser.parse_args()
    name, seconds = f"programs-{args.seed}", int(args.minutes * 60)
    raw = args.out / "raw" / f"{name}.pickle"
    if not args.relabel:
        install()
        raw.parent.mkdir(parents=True, exist_ok=True)
        raw.write_bytes(pickle.dumps(recorded(seconds, args.seed)))
    rows, known, workers = pickle.loads(raw.read_bytes())
    labels = label_all(rows, known, workers, seconds)
    kept = {label.series for label in labels}
    write_trace(args.out / "traces" / f"{name}.csv.gz", [row for row in rows if row[1] in kept])
    write_labels(args.out / "labels.csv", name, labels)
    return 0


def install() -> None:
    if packages := missing_packages():
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=True)


def recorded(seconds: int, seed: int) -> tuple[list[Row], dict, dict]:
    """The samples, what is known of each process (a `Life` or a `Known`) and the series of each pool's workers."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="recorded-programs-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        build(directory)
        workloads = draw(seconds, rng, directory) + restarting(seconds, rng, directory)
        grouped = pools(seconds, rng, directory)
        pooled = [worker for workers in grouped.values() for worker in workers]
        servers = redis_servers(seconds, rng, directory) + other_servers(seconds, rng, directory)
        rows = record([*servers, *workloads, *pooled], list(grouped), seconds)
    known = {series: found for server in servers for series, found in server.series.items()}
    known |= {life.series: life for workload in [*workloads, *pooled] for life in workload.lives}
    members = {name: [life.series for worker in workers for life in worker.lives] for name, workers in grouped.items()}
    return rows, known, members


def record(programs: list[Program], groups: list[str], seconds: int) -> list[Row]:
    rows: list[Row] = []
    started: list[Program] = []
    try:
        for program in programs:
            program.start()
            started.append(program)
        begin = time.monotonic()
        for second in range(seconds):
            at = time.monotonic() - begin
            rows += sample(programs, groups, at)
            for program in programs:
                program.tick(second)
            time.sleep(max(0.0, begin + second + 1 - time.monotonic()))
    finally:
        for program in started:
            with suppress(OSError, subprocess.SubprocessError):
                program.stop()
    return rows


def sample(programs: list[Program], groups: list[str], at: float) -> list[Row]:
    sums = dict.fromkeys(groups, 0)
    rows: list[Row] = []
    for program in programs:
        for series, pid in program.pids():
            if (value := private_bytes(pid)) is None:
                continue
            rows.append((at, series, value))
            if isinstance(program, Workload) and program.name in sums:
                sums[program.name] += value
    return rows + [(at, f"group/{name}", total) for name, total in sums.items()]


def private_bytes(pid: int) -> int | None:
    """USS and what of it is swapped out; nothing of a process that is going."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    wanted = ("Private_Clean:", "Private_Dirty:", "Swap:")
    return 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(wanted))


def label_all(rows: list[Row], known: dict, workers: dict[str, list[str]], seconds: int) -> list[Label]:
    pairs: dict[str, list[tuple[float, int]]] = {}
    for at, series, value in rows:
        pairs.setdefault(series, []).append((at, value))
    samples = {series: tuple(np.array(found, float).T) for series, found in pairs.items()}
    labels = {}
    for series in worth_keeping({name: found for name, found in samples.items() if name in known}):
        fact = known[series]
        is_ours = isinstance(fact, Life)
        labels[series] = of_life(fact, samples[series]) if is_ours else of_server(series, fact, samples[series])
    groups = []
    for name, members in workers.items():
        workers_of_it = [labels[series] for series in members if series in labels]
        groups.append(of_group(name, workers_of_it, seconds, samples[f"group/{name}"]))
    return fewer([*labels.values(), *groups])


if __name__ == "__main__":
    sys.exit(main())
