"""Programs that are started, driven a second at a time and stopped: our own workloads in C, Python, Node and Java."""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from tests.corpus.shapes import Levels

SOURCES = Path(__file__).parent / "workloads"
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""Another interpreter than the recorder's: pages the two shared would not count as USS."""
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = {
    "glibc": {},
    "jemalloc": {"LD_PRELOAD": f"{LIBRARIES}/libjemalloc.so.2"},
    "tcmalloc": {"LD_PRELOAD": f"{LIBRARIES}/libtcmalloc_minimal.so.4"},
}
JAVA = {"serial": ["-XX:+UseSerialGC", "-Xmn12m"], "g1": ["-XX:+UseG1GC"], "parallel": ["-XX:+UseParallelGC"]}
REQUESTS = 3
"""A second's work of a service is asked for in so many requests."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one life of a program is to do: bytes leaked and held, objects replaced, of each second of its life."""

    role: str
    leaked: Levels
    working: Levels
    churn: Levels
    climb: tuple[int, int] | None = None
    """Seconds of a legitimate climb."""
    curved: bool = False
    """Its leak has no single rate."""


class Program(Protocol):
    """``pids`` are those alive now by series name; ``tick`` drives one second."""

    def start(self) -> None: ...
    def tick(self, second: int) -> None: ...
    def pids(self) -> list[tuple[str, int]]: ...
    def stop(self) -> None: ...


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build(directory: Path) -> None:
    """Compile the workloads that need it."""
    subprocess.run(["gcc", "-O1", "-o", directory / "churn", SOURCES / "churn.c", "-lm"], check=True)
    subprocess.run(["javac", "-d", directory, SOURCES / "ChurnServer.java"], check=True)


@dataclass(slots=True)
class Life:
    """What is known of one process: its plan began at ``born``, it was last driven at ``died``."""

    series: str
    plan: Plan
    born: int
    died: int


@dataclass(slots=True)
class Workload:
    """One process of ours in one runtime, with its lives' plans: the next begins where the one before ends."""

    name: str
    runtime: str
    plans: list[Plan]
    directory: Path
    seed: int
    lives: list[Life] = field(default_factory=list)
    process: subprocess.Popen | None = None
    connection: http.client.HTTPConnection | None = None
    serial: itertools.count = field(default_factory=itertools.count)

    def start(self) -> None:
        self.begin(0)

    def begin(self, second: int) -> None:
        port, env = free_port(), dict(os.environ)
        argv, extra = self.command(port)
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.directory}
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=env | extra, **silent)
        self.connection = (
            None if self.runtime.startswith("c-") else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        )
        plan = self.plans[len(self.lives) % len(self.plans)]
        self.lives.append(Life(f"proc/{self.name}[{self.process.pid}]", plan, second, second))

    def command(self, port: int) -> tuple[list[str], dict[str, str]]:
        family, _, style = self.runtime.partition("-")
        seed = str(self.seed + len(self.lives))
        if family == "c":
            return [str(self.directory / "churn"), seed], ALLOCATORS[style]
        if family == "python":
            return [PYTHON, str(SOURCES / "churn_server.py"), str(port), seed, style], {}
        if family == "node":
            return ["node", str(SOURCES / "churn_server.js"), str(port), seed, style], {}
        collector, _, style = style.partition("-")
        flags = [*JAVA[collector], "-Xms16m", "-Xmx640m", "-XX:TieredStopAtLevel=1", "-cp", str(self.directory)]
        return ["java", *flags, "ChurnServer", str(port), seed, style or "list", "400000"], {}

    def tick(self, second: int) -> None:
        life = self.lives[-1]
        age = second - life.born
        if age >= len(life.plan.leaked):
            self.stop()
            self.begin(second)
            return
        life.died = second
        with suppress(OSError, http.client.HTTPException):
            self.ask(life.plan, age)

    def ask(self, plan: Plan, age: int) -> None:
        """A service may still be starting; what it missed the next request makes up for."""
        if self.connection is None:
            line = f"{plan.leaked[age]:.0f} {plan.working[age]:.0f} {plan.churn[age]:.0f}\n"
            os.write(self.process.stdin.fileno(), line.encode())
            return
        before = max(age - 1, 0)
        for part in np.arange(1, REQUESTS + 1) / REQUESTS:
            leaked, working = (x[before] + part * (x[age] - x[before]) for x in (plan.leaked, plan.working))
            path = f"/?leaked={leaked:.0f}&working={working:.0f}&churn={plan.churn[age] / REQUESTS:.0f}"
            try:
                self.connection.request("GET", path)
                self.connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                return

    def pids(self) -> list[tuple[str, int]]:
        return [(self.lives[-1].series, self.process.pid)] if self.process.poll() is None else []

    def stop(self) -> None:
        if self.connection:
            self.connection.close()
        self.process.kill()
        self.process.wait()


def missing_packages() -> list[str]:
    """Debian packages of the programs that are not here."""
    wanted = {
        "redis-server": "redis-server", "memcached": "memcached", "nginx": "nginx-light", "node": "nodejs",
        "javac": "openjdk-17-jdk-headless", "gcc": "gcc", "psql": "postgresql",
    }  # fmt: skip
    absent = [package for program, package in wanted.items() if shutil.which(program) is None]
    for library, package in (
        ("libjemalloc.so.2", "libjemalloc2"),
        ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ):
        absent += [] if Path(LIBRARIES, library).exists() else [package]
    return absent
