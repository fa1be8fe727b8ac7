"""``leakwatch demo``: the main job on real leaks, in a minute and a half and without leaving anything behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.cli.output import emit, progress
from leakwatch.clock import SystemClock
from leakwatch.demo.workloads import LEAK_BYTES_PER_S, MESSAGES_PER_S, READY
from leakwatch.errors import LeakwatchError
from leakwatch.model.verdict import Finding, Verdict
from leakwatch.queries.report import read_report, with_next_steps
from leakwatch.report import phrases, renderers
from leakwatch.report.build import Filters, Report
from leakwatch.store.read.reader import Reader
from leakwatch.system.service_install import command_path
from leakwatch.text.escape import printable
from leakwatch.units import format_rate

if TYPE_CHECKING:
    import argparse

    Processes = Mapping[str, subprocess.Popen[bytes]]

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
WORKLOADS = ("leak", "sawtooth", "idle")
END_WITHIN_S = 5
ON_DISK = "/var/tmp"  # noqa: S108 - a directory of its own is made in it
"""Where the demo's store lies unless TMPDIR says otherwise: /tmp may be in memory, and a growing store there would be
reported, rightly, as growth of shared memory."""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo",
        parents=[common],
        help=text,
        description="Starts a process that leaks, two that do not and, as root, a leak in the kernel; watches them "
        f"for {SECONDS} seconds with a store of its own, prints the report and removes everything again.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demonstration; return 0 when what leaks was found and what does not was not."""
    del args  # the demo brings its own configuration; --config is accepted as everywhere
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, so that everything is removed on the way out, as it is after Ctrl-C.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    where = None if os.environ.get("TMPDIR") or not os.access(ON_DISK, os.W_OK) else ON_DISK
    with tempfile.TemporaryDirectory(prefix="leakwatch-demo-", dir=where) as directory, ExitStack() as started:
        return _run_in(Path(directory), started)


def _run_in(directory: Path, started: ExitStack) -> int:
    config = directory / "config.toml"
    store = directory / "demo.db"
    config.write_text(CONFIG.format(store=store))
    processes: dict[str, subprocess.Popen[bytes]] = {}
    for name in WORKLOADS:
        if refused := _start(name, started, processes):
            raise LeakwatchError(f"demo-{name} does not work here: {refused}")
    refused = _start_kernel_leak(started, processes)
    _introduce(processes, refused)
    daemon = _watch(config, started)
    if daemon is None:
        return 1
    report = _report(store)
    for line in _remarks(report, processes, daemon):
        _say(line)
    return _conclude(report, processes)


def _say(text: str) -> None:
    emit(f"{text}\n", ends=True)


def _start(name: str, started: ExitStack, processes: dict[str, subprocess.Popen[bytes]]) -> str:
    """Start a workload; return why it cannot do its work, else nothing."""
    argv = [sys.executable, "-m", "leakwatch.demo.workloads", name]
    with _ctrl_c_ignored():
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.callback(_end, process)
    assert process.stdout is not None
    answer = process.stdout.readline().decode(errors="replace").strip()
    if answer == READY:
        processes[name] = process
        return ""
    return answer or "it ended at once"


def _ctrl_c_ignored() -> ExitStack:
    """Return a context in which Ctrl-C is ignored; what is started in it goes on ignoring it.

    The terminal sends it to all of them, but only this process answers: it ends the others.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack = ExitStack()
    stack.callback(signal.signal, signal.SIGINT, before)
    return stack


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and collect it, unless that has been done."""
    with _ctrl_c_ignored(), process:  # an impatient second Ctrl-C must not leave the rest behind
        process.terminate()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _start_kernel_leak(started: ExitStack, processes: dict[str, subprocess.Popen[bytes]]) -> str:
    """Have the kernel leak, where we may and would see it; return why not."""
    try:
        Path("/proc/slabinfo").read_bytes()
    except PermissionError:
        return "/proc/slabinfo may only be read by root"
    except OSError as error:
        return f"/proc/slabinfo: {error.strerror}"
    return _start("messages", started, processes)


def _introduce(processes: Processes, refused: str) -> None:
    rate = format_rate(LEAK_BYTES_PER_S * 3600).removeprefix("+")
    _say(f"demo-leak (pid {processes['leak'].pid}) keeps {rate} that it never frees;")
    _say("demo-sawtooth fills and frees 20 MiB; demo-idle does nothing;")
    if refused:
        _say(f"no leak in the kernel this time: {refused}.")
    else:
        rate = format_rate(MESSAGES_PER_S * 4096 * 3600).removeprefix("+")
        _say(f"demo-messages has the kernel keep {rate} of System V messages that nobody receives.")


def _watch(config: Path, started: ExitStack) -> int | None:
    """Run the daemon with a countdown; return its pid, None when it failed."""
    argv = [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config), "--for", f"{SECONDS}s"]
    _say(f"\n$ leakwatch daemon --config {printable(str(config))} --for {SECONDS}s")
    with _ctrl_c_ignored():
        daemon = subprocess.Popen(argv)
        started.callback(_end, daemon)
    began = time.monotonic()
    while daemon.poll() is None:
        _count_down(SECONDS - (time.monotonic() - began))
        time.sleep(0.5)
    _count_down(None)
    return None if daemon.returncode else daemon.pid


def _count_down(left_s: float | None) -> None:
    progress(" " * 12 if left_s is None else f"{max(0, left_s):3.0f} s left ")


def _report(store: Path) -> Report:
    reader = Reader(store)
    try:
        report = with_next_steps(read_report(reader, Filters(), SystemClock().now().wall_ms), reader)
    finally:
        reader.close()
    _say("\n$ leakwatch report\n" + renderers.render_terminal(report))
    return report


def _remarks(report: Report, processes: Processes, daemon: int) -> Iterator[str]:
    """Say why others than the demo's own may be listed: a newcomer takes every row for a leak."""
    ours = {process.pid for process in processes.values()}
    others = [row.finding for row in report.rows if row.finding.pid not in ours and row.finding.name not in SLAB_CACHES]
    if any(finding.pid == daemon for finding in others):
        yield f"Pid {daemon} is leakwatch's own daemon, which judges itself, too; it has just started and fills."
    if any(finding.pid != daemon for finding in others):
        yield "What else is listed is this machine's own."
    if others:
        yield "Windows of a minute take any start for a trend; those of real use, an hour to ten days, do not."
        yield ""


def _conclude(report: Report, processes: Processes) -> int:
    """Hold the report against what is known of the processes."""
    leaks = [row.finding for row in report.rows if row.finding.assessment.verdict is Verdict.LEAK]
    accused = {name for name in processes if any(_is_about(finding, name, processes[name].pid) for finding in leaks)}
    # Where our control group makes one service of all we start, its finding lists who grows in it.
    listed = any(f"pid {processes['leak'].pid} " in phrases.text(finding.notes) for finding in leaks)
    problems = [] if listed or "leak" in accused else ["demo-leak was not found"]
    problems += [f"demo-{name} was called a leak and is none" for name in WORKLOADS[1:] if name in accused]
    if "messages" in processes and not any(finding.name in SLAB_CACHES for finding in leaks):
        problems.append("the leak in the kernel was not found")
    if problems:
        _say("This went wrong: " + "; ".join(problems) + ".")
        return 1
    found = "demo-leak and the leak in the kernel were" if "messages" in processes else "demo-leak was"
    _say(f"As it should be: {found} found; demo-sawtooth and demo-idle were not called leaks.")
    _say(f"Next, to watch this machine: sudo {command_path()} service install")
    return 0


def _is_about(finding: Finding, name: str, pid: int) -> bool:
    """Return whether a finding names this process, or the service it is one of when somebody else runs a demo, too."""
    return finding.pid == pid or (finding.service or "").endswith(f"leakwatch.demo.workloads {name}")
