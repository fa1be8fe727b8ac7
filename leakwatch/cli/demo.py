"""``leakwatch demo``: the main job on real leaks, in about two minutes and without leaving anything behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    import subprocess
    from pathlib import Path

    from leakwatch.report.build import Report

SECONDS = 80
"""The windows of half a minute and a minute need 30 s and 60 s; what is left confirms them by fresh data."""
CONFIG = """\
[sampling]
interval = "1s"
[analysis]
windows = ["30s", "1m"]
[store]
url = "sqlite:///{store}"
"""
SLAB_CACHES = ("msg_msg-4k", "kmalloc-cg-4k", "kmalloc-4k", "kmalloc-4096")
"""Where System V messages of a page lie: a cache of their own since 6.11, the accounted one since 5.14, before that the
common one, called by its bytes until 4.20."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo",
        parents=[common],
        help="see it find real leaks in about two minutes",
        description="Starts a process that leaks, two that do not and, as root, a leak in the kernel; watches them "
        f"for {SECONDS} seconds with a store of its own, prints the report and removes everything again.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demonstration; return 0 when what leaks was found and what does not was not."""
    import tempfile
    from pathlib import Path

    del args  # the demo brings its own configuration; --config is accepted as everywhere
    with tempfile.TemporaryDirectory(prefix="leakwatch-demo-") as directory:
        return _run_in(Path(directory))


def _run_in(directory: Path) -> int:
    import os

    from leakwatch.demo.workloads import LEAK_BYTES_PER_S
    from leakwatch.units import format_rate

    config = directory / "config.toml"
    store = directory / "demo.db"
    config.write_text(CONFIG.format(store=store))
    kernel = os.access("/proc/slabinfo", os.R_OK)
    processes = {name: _start(name) for name in ("leak", "sawtooth", "idle", *(["messages"] if kernel else []))}
    try:
        print(
            f"demo-leak (pid {processes['leak'].pid}) keeps {format_rate(LEAK_BYTES_PER_S * 3600)} that it never frees;"
        )
        print("demo-sawtooth fills and frees 20 MiB; demo-idle does nothing;")
        if kernel:
            print("demo-messages has the kernel keep 600 MiB/h of System V messages that nobody receives.")
        else:
            print("no leak in the kernel: /proc/slabinfo may only be read by root.")
        if not _watch(config):
            return 1
        report = _report(store)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return _conclude(report, processes["leak"].pid, processes["sawtooth"].pid, processes["idle"].pid, kernel=kernel)


def _start(name: str) -> subprocess.Popen[bytes]:
    import subprocess
    import sys

    return subprocess.Popen([sys.executable, "-m", "leakwatch.demo.workloads", name], stdin=subprocess.PIPE)


def _watch(config: Path) -> bool:
    """Run the daemon with a countdown; return whether it ended well."""
    import subprocess
    import sys
    import time

    argv = [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config), "--for", f"{SECONDS}s"]
    print(f"\n$ leakwatch daemon --config {config} --for {SECONDS}s", flush=True)
    with subprocess.Popen(argv) as daemon:
        began = time.monotonic()
        while daemon.poll() is None:
            left = SECONDS - (time.monotonic() - began)
            if sys.stderr.isatty():
                print(f"\r{max(0, left):3.0f} s left ", end="", file=sys.stderr, flush=True)
            time.sleep(0.5)
    if sys.stderr.isatty():
        print("\r" + " " * 12 + "\r", end="", file=sys.stderr)
    return daemon.returncode == 0


def _report(store: Path) -> Report:
    from leakwatch.cli.report import read_report
    from leakwatch.clock import SystemClock
    from leakwatch.report import table
    from leakwatch.report.build import Filters
    from leakwatch.store.reader import Reader

    reader = Reader(store)
    try:
        report = read_report(reader, Filters(), SystemClock().now().wall_ms)
    finally:
        reader.close()
    print("\n$ leakwatch report\n" + table.render(report), flush=True)
    return report


def _conclude(report: Report, leak: int, *healthy: int, kernel: bool) -> int:
    """Hold the report against what is known of the processes."""
    from leakwatch.model import Verdict

    leaks = [row.finding for row in report.rows if row.finding.assessment.verdict is Verdict.LEAK]
    pids, names = {finding.pid for finding in leaks}, {finding.name for finding in leaks}
    problems = [] if leak in pids else ["demo-leak was not found"]
    problems += [f"pid {pid} was called a leak and is none" for pid in healthy if pid in pids]
    if kernel and not names.intersection(SLAB_CACHES):
        problems.append("the leak in the kernel was not found")
    if problems:
        print("This went wrong: " + "; ".join(problems) + ".")
        return 1
    print("All that leaks was found, nothing else was called a leak. Next: sudo leakwatch service install")
    return 0
