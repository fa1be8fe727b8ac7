"""Containers that come once, each under a new name: memory, store and what is written level off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.analysis.tracking.past_runs import RunSummary
from leakwatch.config import StoreConfig
from leakwatch.monitoring.run_history import LIVES_KEPT, PROGRAMS_KEPT, RunHistory
from tests.benchmarks.churn import DAY_S, Simulation

if TYPE_CHECKING:
    from pathlib import Path


NAMES_A_DAY = 120


@pytest.mark.quality
def test_nothing_grows_with_the_names_that_were_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a daemon that keeps samples for half a day, blocks for a day and forty programs in mind
    monkeypatch.setattr("leakwatch.monitoring.run_history.PROGRAMS_KEPT", 40)
    keep = replace(StoreConfig(), keep_samples_s=0.5 * DAY_S, keep_blocks_s=DAY_S)
    simulation = Simulation(tmp_path, NAMES_A_DAY, 1800.0, keep)
    # WHEN 120 names a day come and go, for as long as it takes until the first are too old (a clock is believed after
    # a day), and for as long again
    simulation.run(3.5)
    early = simulation.figures()
    simulation.run(3.5)
    late = simulation.figures()
    simulation.close()
    # THEN no table has grown by what a day adds: upkeep comes every 30 hours here, nor has what Python holds
    for table in ("target", "process", "state", "suspicion", "finding", "incident"):
        assert late[table] - early[table] < NAMES_A_DAY, table
    assert early["target"] < 3 * 2 * NAMES_A_DAY + 100
    assert late["python_blocks"] < 1.05 * early["python_blocks"]
    assert simulation.machine.asked, "some leak, and are read closely"


def remembered(*names: str) -> RunHistory:
    past_runs = RunHistory()
    past_runs.restore({name: [["x", at, 1.0, False, 0.0, 1e6, 0.5]] for at, name in enumerate(names)})
    return past_runs


def test_programs_that_came_once_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwatch.monitoring.run_history.PROGRAMS_KEPT", 3)
    past_runs = RunHistory()
    twice = [["x", at, 1.0, False, 0.0, 1e6, 0.5] for at in (1, 2)]
    once = [["x", 9, 1.0, False, 0.0, 1e6, 0.5]]
    past_runs.restore({"twice": twice, "once": once, "again": twice, "last": [["x", 10, 1.0, False, 0.0, 1e6, 0.5]]})
    assert set(past_runs._past_runs) == {"twice", "again", "last"}
    assert past_runs.changed() == {"once": None}


def test_what_is_remembered_is_bounded() -> None:
    past_runs = remembered(*(f"unit:{number}/x/m" for number in range(PROGRAMS_KEPT + 100)))
    assert len(past_runs._past_runs) == PROGRAMS_KEPT
    assert all(len(those) <= LIVES_KEPT and isinstance(those[0], RunSummary) for those in past_runs._past_runs.values())
