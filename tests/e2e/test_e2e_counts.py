"""Real processes that leak descriptors, threads, mappings, zombies, System V segments and files in tmpfs; healthy ones.

One daemon watches them all, sampling twice a second, until it has called every leak one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.e2e_tools import (
    HERE,
    OURSELVES,
    Child,
    Daemon,
    dying_with_us,
    run_command,
    shares_a_service,
    write_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# after the long run: its daemon would take ours for its own service, and what we leak for what leaks there
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.usefixtures("quiet_kernel")]

CONFIG = """\
[sampling]
interval = "0.5s"
slow_every = 1
cpu_budget = 0.8
[analysis]
windows = ["12s", "24s"]
[store]
url = "sqlite:///{store}"
"""
WITHIN_S = 150
PER_HOUR = 18_000
FDS = {"leaks-socket": "socket", "leaks-pipe": "pipe", "leaks-eventfd": "eventfd", "leaks-file": "file"}
COUNTS = dict.fromkeys(FDS, "process.fds") | {
    "leaks-thread": "process.threads", "leaks-zombie": "process.zombies", "leaks-mapping": "process.mappings",
}  # fmt: skip
HEALTHY = ("follows-load", "fills-pool")
SHM = Path("/dev/shm")


class Run:
    """Everything that runs, and what was said of it in the end."""

    def __init__(self, directory: Path, shm: Path | None) -> None:
        self.directory, self.shm = directory, shm
        self.children: list[Child] = []
        self.config = write_config(directory, CONFIG)
        self.report: dict[str, Any] = {}

    def start(self) -> None:
        alone = ["unshare", "--ipc"] if os.geteuid() == 0 else []
        owner = self._workload("leaks-segment", *alone)
        for kind in (*COUNTS, *HEALTHY):
            self._workload(kind)
        if self.shm is not None:
            self._workload("leaks-shm-file")
        beside = ["nsenter", f"--ipc=/proc/{owner.pid}/ns/ipc"] if alone else []
        self.daemon = Daemon(self.config, before=beside)
        self.children.append(self.daemon)
        self.daemon.wait_until_scraped()

    def _workload(self, kind: str, *before: str) -> Child:
        directory = self.shm if kind == "leaks-shm-file" and self.shm else self.directory
        argv = [*dying_with_us(), *before, sys.executable, str(HERE / "count_workloads.py"), kind, str(directory)]
        child = Child(argv, stdin=-1, stdout=-1)
        self.children.append(child)
        assert child.process.stdout is not None
        assert child.process.stdout.readline() == b"ready\n", kind
        return child

    def wait(self) -> None:
        """Return when every leak is called one, or when that should have been."""
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            time.sleep(3)
            done = run_command("report", "--config", self.config, "--format", "json", "--verdict", "all")
            self.report = json.loads(done.stdout)
            if self._all_found():
                return

    def _all_found(self) -> bool:
        of_host = {"ipc.shm_orphan_bytes"} if os.geteuid() == 0 else set()
        of_host |= {"tmpfs.orphan_bytes"} if self.shm else set()
        leaks = [one for one in self.report["findings"] if one["verdict"] == "leak"]
        of_kinds = {(one["metric"], kind) for one in leaks for kind in COUNTS if (one["service"] or "").endswith(kind)}
        return of_host <= {one["metric"] for one in leaks} and of_kinds >= {(m, kind) for kind, m in COUNTS.items()}

    def of(self, kind: str, metric: str) -> dict[str, Any] | None:
        found = [
            one for one in self.report["findings"] if (one["service"] or "").endswith(kind) and one["metric"] == metric
        ]
        return found[0] if found else None

    def of_host(self, metric: str) -> dict[str, Any]:
        (one,) = [one for one in self.report["findings"] if one["metric"] == metric]
        assert isinstance(one, dict)
        return one

    def end(self) -> None:
        for child in reversed(self.children):
            child.end()


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Return the run when all that leaks has been found, or it is too late."""
    if os.geteuid() != 0 and shares_a_service():
        pytest.skip("our control group makes one service of all we start, and only root can change that")
    if os.geteuid() == 0 and not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("without unshare and nsenter the segments would stay")
    shm = Path(tempfile.mkdtemp(prefix="leakwatch-e2e-", dir=SHM)) if SHM.is_mount() else None
    with tempfile.TemporaryDirectory(prefix="leakwatch-e2e-") as directory:
        one = Run(Path(directory), shm)
        try:
            one.start()
            one.wait()
            yield one
        finally:
            one.end()
            if shm is not None:
                shutil.rmtree(shm)


@pytest.mark.parametrize(("kind", "metric"), COUNTS.items())
def test_what_leaks_is_found_at_its_rate(run: Run, kind: str, metric: str) -> None:
    found = run.of(kind, metric)
    assert found is not None, f"no finding about {kind}"
    assert found["verdict"] == "leak", found["reason"]
    times = 4 if kind == "leaks-mapping" else 1
    assert found["slope_count_per_hour"] == pytest.approx(times * PER_HOUR, rel=0.15)
    assert (found["unit"], found["current_bytes"], found["slope_bytes_per_hour"]) == ("count", None, None)
    assert found["limit_count"] > found["current_count"] > found["grown_count"] > 0
    assert found["left_count"] + found["current_count"] <= found["limit_count"] + 1 or metric != "process.fds"


@pytest.mark.parametrize(("kind", "sort"), FDS.items())
def test_descriptors_are_named_by_their_sort(run: Run, kind: str, sort: str) -> None:
    found = run.of(kind, "process.fds")
    assert found is not None
    most = max(found["sorts"], key=lambda name: found["sorts"][name]["grown"])
    assert most == sort
    others = sum(one["grown"] for name, one in found["sorts"].items() if name != sort)
    assert others <= 0.1 * found["sorts"][sort]["grown"]
    told = [line for line in run.daemon.announced() if found["id"] in line]
    assert len(told) == 1
    assert "open files grow +" in told[0]


def test_threads_are_named(run: Run) -> None:
    found = run.of("leaks-thread", "process.threads")
    assert found is not None
    assert max(found["sorts"], key=lambda name: found["sorts"][name]["grown"]) == "poller-N"


@pytest.mark.parametrize("kind", HEALTHY)
def test_what_follows_load_or_fills_a_pool_is_no_leak(run: Run, kind: str) -> None:
    for one in run.report["findings"]:
        if (one["service"] or "").endswith(kind) and one["unit"] == "count":
            assert one["verdict"] != "leak", one
            assert one["incident"] is None or one["incident"]["confirmed_at"] is None


def test_memory_and_counts_are_findings_of_their_own(run: Run) -> None:
    about = [one for one in run.report["findings"] if (one["service"] or "").endswith("leaks-socket")]
    of_memory = [one for one in about if one["unit"] == "bytes"]
    of_counts = [one for one in about if one["metric"] == "process.fds"]
    assert (len(of_memory), len(of_counts)) == (1, 1)
    assert of_memory[0]["id"] != of_counts[0]["id"]
    assert (of_counts[0]["whose"] is None) == (of_memory[0]["whose"] is None), "whose it is is told of both"
    assert of_memory[0]["verdict"] != "leak", "a socket takes no memory of its own"


def test_segments_of_nobody_are_found_with_the_largest(run: Run) -> None:
    if os.geteuid() != 0:
        pytest.skip("an IPC namespace of our own takes root")
    found = run.of_host("ipc.shm_orphan_bytes")
    assert found["verdict"] == "leak", found["reason"]
    assert found["slope_bytes_per_hour"] == pytest.approx(PER_HOUR * 256 * 1024, rel=0.15)
    assert "largest: shmid" in found["note"]
    assert "256 KiB" in found["note"]


def test_files_in_tmpfs_that_nobody_has_open_are_found_with_where_they_lie(run: Run) -> None:
    if run.shm is None:
        pytest.skip("/dev/shm is no mount")
    found = run.of_host("tmpfs.orphan_bytes")
    assert found["verdict"] == "leak", found["reason"]
    assert found["slope_bytes_per_hour"] == pytest.approx(PER_HOUR * 256 * 1024, rel=0.25)
    assert str(run.shm) in found["note"]


def test_it_is_explained_in_numbers_with_the_next_step(run: Run) -> None:
    found = run.of("leaks-socket", "process.fds")
    assert found is not None
    done = run_command("explain", "--config", run.config, found["id"], user=OURSELVES)
    assert done.returncode == 0, done.stderr
    assert f"(pid {found['pid']}): open files: consistent with a leak" in done.stdout
    assert f"ls -l /proc/{found['pid']}/fd" in done.stdout
    assert "ss -tunap" in done.stdout
    assert "iB" not in done.stdout.split("Next:")[0]
