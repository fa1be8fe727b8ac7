#!/usr/bin/env python3
"""Sampling and judging at once, for as long as one likes: what one thread does must not lose or break the other's.

usage: python -m tests.benchmarks.threads SECONDS

One thread feeds scrapes of processes, services and caches that come and go, as fast as it can; another judges and takes
what is to be stored; a third asks for processes that the first is to read. At the end every one asked for was read, no
thread has failed, and the leaks that were there all the time are found.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.procfs.fs import ProcFS
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, NoLimits, leak, process, unit

if TYPE_CHECKING:
    from collections.abc import Callable

ALIVE, LIFE = 60, 120
"""Processes at a time, and the scrapes each lives for."""
LASTING = {process(pid, "lasting", unit("lasting.service")): leak(MIB) for pid in (1, 2)}


class Stress:
    """What the three threads share."""

    def __init__(self) -> None:
        self.detector = Detector(MINUTES, NoLimits())
        self.collector = ProcessCollector(ProcFS(tempfile.mkdtemp()), "boot")
        self.asked: set[Target] = set()
        self.read: set[Target] = set()
        self.failures: list[BaseException] = []
        self.over = threading.Event()
        self.scrapes = self.rounds = self.written = 0

    def sample(self) -> None:
        first = self.scrapes * ALIVE // LIFE
        passing = {
            process(100 + pid, f"w{pid % 9}", unit(f"pool{pid % 5}.service")): 30 * MIB + self.scrapes % 7 * 4096
            for pid in range(first, first + ALIVE)
        }
        slab = {f"cache{self.scrapes // 50}": 10 * MIB, "leaking": leak(MIB)}
        self.detector.feed(Machine({**LASTING, **passing}, slab=slab).scrape(self.scrapes))
        self.take()
        self.scrapes += 1

    def take(self) -> None:
        """Read what was asked for."""
        self.read.update(self.collector._take_requests())
        self.collector._asked = {}

    def judge(self) -> None:
        now_ms = START_MS + self.scrapes * 1000
        evaluation = self.detector.evaluate(now_ms)
        self._want(evaluation.fastest_first)
        self.written += len(self.detector.snapshot(now_ms))
        self.rounds += 1

    def ask(self) -> None:
        number = time.monotonic_ns()
        self._want([Target(TargetKind.PROCESS, f"boot/{number + at}/1") for at in range(3)])
        time.sleep(0.001)

    def _want(self, targets: list[Target] | tuple[Target, ...]) -> None:
        self.collector.want_full(targets)
        self.asked.update(targets)

    def repeat(self, work: Callable[[], None]) -> None:
        try:
            while not self.over.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.failures.append(error)
            self.over.set()

    def run(self, seconds: float) -> None:
        threads = [threading.Thread(target=self.repeat, args=(one,)) for one in (self.sample, self.judge, self.ask)]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join()
        self.take()


def main() -> int:
    sys.setswitchinterval(1e-5)  # threads change places far more often than usual
    stress = Stress()
    stress.run(float(sys.argv[1]))
    evaluation = stress.detector.evaluate(START_MS + stress.scrapes * 1000)
    verdicts = {finding.name: finding.assessment.verdict for finding in evaluation.findings}
    found = verdicts.get("lasting.service"), verdicts.get("leaking")
    lost = stress.asked - stress.read
    print(
        f"{stress.scrapes} scrapes, {stress.rounds} evaluations, {stress.written} values to store, "
        f"{len(stress.asked)} asked for, {len(lost)} of them not read, {len(stress.detector._series)} series, "
        f"found: {found}, failures: {stress.failures}"
    )
    return int(bool(stress.failures or lost) or found != (Verdict.LEAK, Verdict.LEAK))


if __name__ == "__main__":
    raise SystemExit(main())
