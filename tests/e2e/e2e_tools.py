"""Runs the real command and the real daemon as children, and waits for what they do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from leakwatch.collectors.services.naming import service_of
from leakwatch.model.identity import ServiceKind
from leakwatch.model.sample import Absence
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent
PATIENCE_S = 60
"""For what takes a second on an idle machine: only a hang takes longer."""

FAST = """\
[sampling]
interval = "0.5s"
[analysis]
windows = ["12s", "24s"]
[store]
url = "sqlite:///{store}"
"""
"""Judges a leak after about 12 seconds."""
SLOW = """\
[sampling]
interval = "1h"
[analysis]
windows = ["12h"]
[store]
url = "sqlite:///{store}"
"""
"""Samples at the start and then not for an hour."""


@dataclass(frozen=True)
class User:
    """Who runs a child, with which interpreter and in which directory; none of them where it is ourselves."""

    name: str | None = None
    python: str = sys.executable
    home: Path | None = None

    def popen_options(self) -> dict[str, Any]:
        if self.name is None:
            return {}
        return {"user": self.name, "group": "nogroup" if _has_group("nogroup") else "nobody", "extra_groups": []}

    def environment(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if key not in ("STATE_DIRECTORY", "XDG_STATE_HOME")}
        return env if self.home is None else env | {"HOME": str(self.home), "TMPDIR": str(self.home)}


OURSELVES = User()


def _has_group(name: str) -> bool:
    import grp

    return any(group.gr_name == name for group in grp.getgrall())


def run_command(
    *arguments: str | Path,
    user: User = OURSELVES,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = PATIENCE_S,
) -> subprocess.CompletedProcess[str]:
    """Run ``leakwatch`` to its end; no traceback may appear, whatever happens."""
    done = subprocess.run(
        [user.python, "-m", "leakwatch", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd or user.home,
        env=user.environment() | dict(env or {}),
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
        **user.popen_options(),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_config(directory: Path, text: str = FAST, name: str = "config.toml") -> Path:
    """Write a configuration whose store lies beside it."""
    path = directory / name
    path.write_text(text.format(store=directory / "leakwatch.db"))
    return path


def report(config: Path, *arguments: str, user: User = OURSELVES) -> dict[str, Any]:
    """Return the JSON report, of all verdicts unless told otherwise."""
    verdicts = () if "--verdict" in arguments else ("--verdict", "all")
    done = run_command("report", "--config", config, "--format", "json", *verdicts, *arguments, user=user)
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def by_pid(found: Mapping[str, Any], pid: int) -> dict[str, Any]:
    """Return the finding about a process's memory."""
    findings = [one for one in found["findings"] if one["pid"] == pid and one["unit"] == "bytes"]
    assert len(findings) == 1, f"{len(findings)} findings about pid {pid} among {len(found['findings'])}"
    one: dict[str, Any] = findings[0]
    return one


def wait_for(what: str, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.1)


class Child:
    """A process that is ended and collected when the ``with`` block is left, however that happens."""

    def __init__(self, argv: Sequence[str | Path], **options: Any) -> None:
        self.process = subprocess.Popen([*map(str, argv)], **options)

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> None:
        with self.process:
            self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Workload(Child):
    """A process that behaves in a known way, and what it wrote down about it."""

    def __init__(self, argv: Sequence[str | Path], ledger: Path, **options: Any) -> None:
        self.ledger = ledger
        super().__init__(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().decode().strip()
        self.refusal = "" if answer == "ready" else answer or "it ended at once"
        """Why it cannot do its work, empty when it does."""

    def records(self) -> list[tuple[int, int]]:
        """Return (UTC milliseconds, bytes or objects leaked until then); a line being written is left out."""
        lines = self.ledger.read_text().split("\n")[:-1]
        return [(int(ms), int(count)) for ms, count in map(str.split, lines)]

    def slope_per_hour(self, until_ms: int, span_s: float) -> float:
        """Return what was leaked an hour, over the span that ends at ``until_ms``."""
        return slope_per_hour(self.records(), until_ms, span_s)


def start_workload(kind: str, directory: Path, *arguments: str, user: User = OURSELVES) -> Workload:
    """Start ``e2e_workloads.py KIND``."""
    ledger = directory / f"{kind}.ledger"
    argv = [user.python, str(HERE / "e2e_workloads.py"), kind, str(ledger), *arguments]
    return Workload(argv, ledger, cwd=directory, **user.popen_options())


def slope_per_hour(records: Sequence[tuple[int, float]], until_ms: int, span_s: float) -> float:
    """Return the slope of the least-squares line through what was recorded in the span."""
    inside = [(ms, value) for ms, value in records if until_ms - span_s * 1000 <= ms <= until_ms]
    assert len(inside) > 5, "too few records in the span"
    hours, values = np.array(inside, dtype=np.float64).T
    return float(np.polyfit((hours - hours[0]) / 3_600_000, values, 1)[0])


class Daemon(Child):
    """``leakwatch daemon`` with its log in a file."""

    def __init__(
        self,
        config: Path,
        *arguments: str | Path,
        user: User = OURSELVES,
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        entry: Sequence[str | Path] = ("-m", "leakwatch"),
    ) -> None:
        self.config = config
        self._log = config.with_suffix(f".{time.monotonic_ns()}.log")
        argv = [*dying_with_us(), *before, user.python, *entry, "daemon", "--config", config, *arguments]
        options = user.popen_options()
        if alone := alone_in_cgroup():
            # Only root may: so whoever it is to be becomes that behind it.
            argv = [*alone, *become(options), *argv]
            options = {}
        with self._log.open("wb") as log:
            super().__init__(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=config.parent,
                env=user.environment() | dict(env or {}),
                **options,
            )

    @property
    def log(self) -> str:
        """What it wrote to standard error; strictly UTF-8."""
        return self._log.read_bytes().decode()

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Return its exit code once it has ended by itself."""
        code = self.process.wait(within_s)
        assert "Traceback" not in self.log, self.log
        return code

    def stop(self, number: signal.Signals, within_s: float = PATIENCE_S) -> tuple[int, float]:
        """Send a signal; return the exit code and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.wait(within_s)
        return code, time.monotonic() - began

    def wait_until_scraped(self) -> None:
        """Return once the store holds a scrape."""
        wait_for(f"a first scrape; the log says {self.log}", lambda: self.process.poll() is not None or self.scraped())
        assert self.process.poll() is None, self.log

    def scraped(self) -> bool:
        return run_command("report", "--config", self.config).returncode == 0

    def announced(self) -> list[str]:
        """Return the lines that announce a leak."""
        return [line for line in self.log.splitlines() if ": WARNING leak: " in line]


def shares_a_service() -> bool:
    """Tell whether our own control group makes one service of everything we start."""
    cgroup = ProcFS().cgroup(os.getpid())
    found = service_of(None if isinstance(cgroup, Absence) else cgroup, "python", None, ["python"])
    return found.kind is not ServiceKind.PROGRAM


def alone_in_cgroup() -> list[str]:
    """Return what a command begins with to whom our control group is the root: then it tells our programs apart.

    Run from a service (a CI runner is one), all we start would be that service.
    """
    return ["unshare", "--cgroup"] if os.geteuid() == 0 and shares_a_service() else []


def dying_with_us() -> list[str]:
    """Return what a command begins with to be killed when the tests are, which then cannot end it any more."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def become(options: Mapping[str, Any]) -> list[str]:
    """Return what a command begins with to run as the user of these options of Popen."""
    if not options:
        return []
    return ["setpriv", "--reuid", options["user"], "--regid", options["group"], "--clear-groups"]


@cache
def kernel_is_ours() -> bool:
    """Tell whether we alone, of all runs of these tests on this machine, make the kernel leak; it stays so."""
    try:
        # The kernel gives the name free with the last who holds it, however that ends.
        _reservation.bind("\0leakwatch-e2e-kernel")
    except OSError:
        return False
    return True


_reservation = socket.socket(socket.AF_UNIX)


def slab_bytes() -> dict[str, int]:
    """Return bytes of objects in use by cache; empty where /proc/slabinfo cannot be read."""
    try:
        lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    except OSError:
        return {}
    caches: dict[str, int] = {}
    for name, active, _, size, *_ in map(str.split, lines):
        caches[name] = caches.get(name, 0) + int(active) * int(size)
    return caches


@dataclass
class SlabHistory:
    """What each slab cache held when, read beside the daemon."""

    records: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def note(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for name, size in slab_bytes().items():
            self.records.setdefault(name, []).append((now_ms, size))

    def slopes_per_hour(self, until_ms: int, span_s: float) -> dict[str, float]:
        """Return each cache's slope in bytes an hour."""
        whole = max(len(records) for records in self.records.values())
        return {
            name: slope_per_hour(records, until_ms, span_s)
            for name, records in self.records.items()
            if len(records) == whole
        }


def processes_with(marker: str) -> list[int]:
    """Return the processes in whose environment the marker is, ourselves apart."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def compiled_leaker(directory: Path, name: str) -> Path | None:
    """Return the C leaker, compiled under this name; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program = directory / name
    # Unoptimised: a compiler may leave out memory that nobody reads.
    done = subprocess.run([compiler, "-O0", "-o", program, HERE / "leaker.c"], capture_output=True, check=False)
    return program if done.returncode == 0 else None


def ms_of(stamp: str) -> int:
    """Return the UTC milliseconds of a report's time."""
    from datetime import datetime

    return round(datetime.fromisoformat(stamp).timestamp() * 1000)
