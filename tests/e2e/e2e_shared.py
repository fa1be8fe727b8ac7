"""The long run: one daemon beside everything that leaks and everything that does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.e2e_programs import start_java, start_node, start_redis
from tests.e2e.e2e_tools import (
    Child,
    Daemon,
    SlabHistory,
    Workload,
    compiled_leaker,
    kernel_is_ours,
    report,
    shares_a_service,
    start_workload,
    write_config,
)
from tests.e2e.e2e_workloads import HOSTILE_NAMES

DURATION_S = 150
WINDOW_S = 60
SETTLE_S = 8
"""What a program needs before its memory is its own: those that are watched from their first moment seem to grow."""
C_LEAK_BYTES_PER_S = 300 * 1024
HOSTILE_FILE = "ev\nil|<x>\x1b[1m"
CONFIG = """\
[sampling]
interval = "1s"
[analysis]
windows = ["30s", "1m"]
[store]
url = "sqlite:///{store}"
# An open file is 192 bytes: thousands of them a minute are less than the default of 1 MiB.
[thresholds.kernel."filp"]
min_growth = "256KiB"
"""

BOUNDED = ("idle", "filled", "sawtooth", "plateau", "one-step", "forker")
KERNEL = ("messages", "keyrings", "eventfds")


class SharedRun:
    """Starts everything, waits for the daemon in a thread, and holds what came out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = write_config(directory, CONFIG)
        self.workloads: dict[str, Workload] = {}
        self.programs: dict[str, Child] = {}
        self.missing: dict[str, str] = {}
        """Why something was not started, by name."""
        self.impossible = ""
        """Why there is no run at all."""
        self.slab = SlabHistory()
        self._daemon: Daemon | None = None
        self.report: dict[str, Any] = {}
        self._children = ExitStack()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start the workloads, then the daemon."""
        if shares_a_service() and os.geteuid() != 0:
            self.impossible = "our control group makes one service of all we start, and only root can change that"
            return
        self._start_programs()
        for kind in (*BOUNDED, "py-leak", *HOSTILE_NAMES):
            self._add(kind)
        folder = self.directory / "walked"
        folder.mkdir()
        self._add("walk", str(folder))
        self._start_c_leakers()
        self._start_kernel_leaks()
        time.sleep(SETTLE_S)
        self._daemon = Daemon(self.config, "--for", f"{DURATION_S}s")
        self._thread.start()

    @property
    def daemon(self) -> Daemon:
        """The daemon of the run, which has been started."""
        assert self._daemon is not None
        return self._daemon

    def _add(self, kind: str, *arguments: str) -> None:
        workload = self._children.enter_context(start_workload(kind, self.directory, *arguments))
        assert isinstance(workload, Workload)
        if workload.refusal:
            self.missing[kind] = workload.refusal
        else:
            self.workloads[kind] = workload

    def _start_c_leakers(self) -> None:
        program = compiled_leaker(self.directory, "c-leaker")
        for name, rate in (("c-leak", C_LEAK_BYTES_PER_S), ("c-hostile", C_LEAK_BYTES_PER_S // 4)):
            if program is None:
                self.missing[name] = "no C compiler that works"
                continue
            if name == "c-hostile":
                program = Path(shutil.copy(program, self.directory / HOSTILE_FILE))
            ledger = self.directory / f"{name}.ledger"
            argv = [str(program), name, str(rate), str(ledger)]
            self.workloads[name] = Workload(argv, ledger, cwd=self.directory)
            self._children.enter_context(self.workloads[name])

    def _start_kernel_leaks(self) -> None:
        for kind in KERNEL:
            if os.geteuid() != 0:
                self.missing[kind] = "needs root"
            elif not os.access("/proc/slabinfo", os.R_OK):
                self.missing[kind] = "needs a readable /proc/slabinfo"
            elif not kernel_is_ours():
                self.missing[kind] = "another run of these tests is making the kernel leak"
            else:
                self._add(kind)

    def _start_programs(self) -> None:
        for name, start in (("redis", start_redis), ("node", start_node), ("java", start_java)):
            try:
                self.programs[name] = self._children.enter_context(start(self.directory))
            except FileNotFoundError as error:
                self.missing[name] = str(error)
        if "redis" in self.programs:
            self._add("redis-load", str(self.directory / "redis.socket"))

    def _watch(self) -> None:
        until = time.monotonic() + DURATION_S + 60
        while time.monotonic() < until and not self._over.is_set():
            self.slab.note()
            try:
                self.daemon.process.wait(1)
                break
            except subprocess.TimeoutExpired:
                continue

    def wait(self) -> None:
        """Return when the daemon has ended and its last report has been read; end the workloads."""
        if self.impossible:
            pytest.skip(self.impossible)
        self._thread.join()
        if self.report:
            return
        assert self.daemon.wait(1) == 0, self.daemon.log
        self.report = report(self.config)
        self._children.close()

    def end(self) -> None:
        """End whatever still runs."""
        self._over.set()
        if self._daemon is not None:
            self._daemon.end()
            self._thread.join()
        self._children.close()

    def require(self, name: str) -> None:
        """Skip the test when this was not started."""
        if name in self.missing:
            pytest.skip(f"{name}: {self.missing[name]}")
