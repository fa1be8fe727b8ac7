"""A daemon whose wall clock is set while it runs: it samples, judges and alarms as if nobody had touched it."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.importers.moments import parse_time
from tests.e2e.e2e_tools import by_pid, report, wait_for, write_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.e2e_tools import Daemon, Workload

pytestmark = pytest.mark.live

CONFIG = """\
[sampling]
interval = "1s"
[analysis]
windows = ["20s", "40s"]
[store]
url = "sqlite:///{store}"
"""
EVERY_MS = 5000
"""Between two evaluations at that interval."""
DAY_S, YEARS_S = 86_400, 26 * 365 * 86_400
CLOCK_IS_OFF_BY_S = (0.6, 0.0, 3600, 0.0, -3600, DAY_S, -DAY_S, YEARS_S, 0.0, -YEARS_S, -YEARS_S + 3, 5.0)
WATCHED_S = 7.0
"""After each setting: long enough for an evaluation and a half."""


class Machine:
    """The wall clock of a daemon, and what it stores, read past the code under test."""

    def __init__(self, directory: Path) -> None:
        self.offset, self._store = directory / "offset", directory / "leakwatch.db"
        self.evaluated: set[int] = set()
        self.set(0.0)

    def set(self, seconds: float) -> None:
        new = self.offset.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.offset)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(f"file:{self._store}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for (value,) in self.ask("SELECT value FROM state WHERE key = 'evaluation'"):
                self.evaluated.add(json.loads(str(value))["at_ms"])
            time.sleep(0.5)


@pytest.mark.slow
def test_no_setting_of_the_clock_costs_a_scrape_an_evaluation_or_a_verdict(
    tmp_path: Path, daemon: Callable[..., Daemon], workload: Callable[..., Workload]
) -> None:
    # GIVEN a leak that was found, while nobody set the clock
    machine = Machine(tmp_path)
    leaker, config = workload("restart-leak", tmp_path), write_config(tmp_path, CONFIG)
    running = daemon(config, entry=(Path(__file__).with_name("stepping_clock.py"), machine.offset))
    mark = f"(pid {leaker.pid}"
    wait_for(f"the leak is announced, {running.log}", lambda: any(mark in line for line in running.announced()), 120)
    wait_for("the verdict is stored", lambda: by_pid(report(config), leaker.pid)["verdict"] == "leak")
    # WHEN it is set forward and back, by little and by much
    for seconds in CLOCK_IS_OFF_BY_S:
        machine.set(seconds)
        machine.watch(WATCHED_S)
        # THEN the leak stays one, and what is shown is the time of the clock as it is now
        asked_ms = time.time() * 1000
        found = report(config)
        assert by_pid(found, leaker.pid)["verdict"] == "leak", seconds
        shown_ms = parse_time(found["host"]["last_scrape_at"])
        assert asked_ms - 5000 < shown_ms - seconds * 1000 < time.time() * 1000 + 1000, seconds
    # THEN it was announced once, each evaluation and each scrape was made, in order
    assert len([line for line in running.announced() if mark in line]) == 1
    evaluated = sorted(machine.evaluated)
    assert evaluated[-1] - evaluated[0] > len(CLOCK_IS_OFF_BY_S) * WATCHED_S * 1000 - 2 * EVERY_MS
    assert max(later - at for at, later in itertools.pairwise(evaluated)) < 2 * EVERY_MS - 1000, evaluated
    scraped = [int(str(ts_ms)) for (ts_ms,) in machine.ask("SELECT ts_ms FROM scrape ORDER BY id")]
    assert all(at < later for at, later in itertools.pairwise(scraped))
    missed = int(str(machine.ask("SELECT sum(missed) FROM scrape")[0][0]))
    assert len(scraped) + missed >= (scraped[-1] - scraped[0]) // 1000
    assert missed <= len(scraped) // 20  # the machine is busy with other tests
    steps = machine.ask("SELECT count(*) FROM scrape WHERE clock_step_ms != 0")
    assert steps == [(len(CLOCK_IS_OFF_BY_S),)]
    # AND it takes no memory for what a scheduler thinks it has missed, and ends when it is told to
    status = Path(f"/proc/{running.pid}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 200_000
    code, seconds = running.stop(signal.SIGTERM)
    assert (code, seconds < 5) == (0, True), running.log
