"""Hours in seconds: real samples of the real kernel, between them real objects made, at times that are simulated."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.collectors.kernel.collector import (
    collect_cgroups,
    collect_meminfo,
    collect_slab,
    collect_sockets,
    collect_vmalloc,
)
from leakwatch.collectors.limits import slab_aliases_of
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import Config, SamplingConfig
from leakwatch.model.sample import CollectorOutcome, Scrape, Tick
from leakwatch.model.verdict import Finding, Rooms, Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable

START_MS = 1_795_478_400_000
INTERVAL_S = 300
STEPS = 132
"""Eleven hours: a leak is confirmed after six to eight."""
LOOK_EVERY = 3
CHECKOUT = Path(__file__).parents[2]


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0


class Keeper:
    """A child that makes kernel objects and keeps them until it ends."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.kernel.kernel_keeper", kind, str(directory)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def make(self, number: int) -> None:
        """Make so many, or give so many back."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{number}\n")
        self._child.stdin.flush()
        self._answer()

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _answer(self) -> None:
        assert self._child.stdout is not None
        if not self._child.stdout.readline():
            raise RuntimeError(self._child.communicate()[1].strip().splitlines()[-1])


def scraped(procfs: ProcFS, ts_ms: int, *, slow: bool) -> Scrape:
    """Return the kernel's samples as the daemon takes them."""
    result = CollectorResult()
    collect_slab(procfs, result, slow=slow)
    callers = collect_vmalloc(procfs, result)
    collect_meminfo(procfs, result, callers, slow=slow)
    collect_sockets(procfs, result)
    if slow:
        collect_cgroups(procfs, result)
    outcome = CollectorOutcome("processes", 0, 0)
    return Scrape(Tick(ts_ms, "boot"), tuple(result.samples), (), (outcome,))


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of the kernel."""

    findings: tuple[Finding, ...]
    """At the end."""
    alarmed: frozenset[str]
    """What was called a leak at any time."""

    @property
    def leaks(self) -> dict[str, Finding]:
        """The leaks at the end by name."""
        return {one.name: one for one in self.findings if one.assessment.verdict is Verdict.LEAK}

    @property
    def by_name(self) -> dict[str, Finding]:
        return {one.name: one for one in self.findings}


def course(step: Callable[[int], None]) -> Said:
    """Return what is said of hours in which ``step`` did something between any two scrapes."""
    procfs = ProcFS()
    config = Config(sampling=SamplingConfig(interval_s=float(INTERVAL_S)))
    detector = Detector(config, NoLimits(), aliases=slab_aliases_of(procfs))
    findings: tuple[Finding, ...] = ()
    alarmed: set[str] = set()
    for at in range(STEPS):
        ts_ms = START_MS + at * INTERVAL_S * 1000
        detector.feed(scraped(procfs, ts_ms, slow=at % 5 == 0))
        if at % LOOK_EVERY == LOOK_EVERY - 1:
            findings = detector.evaluate(ts_ms).findings
            alarmed |= {one.name for one in findings if one.assessment.verdict is Verdict.LEAK}
        step(at)
    return Said(findings, frozenset(alarmed))
