"""Killed with kill -9 at any moment, incidents and their history agree, and at most one thing is told twice."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leakwatch.store.maintenance import migrate
from leakwatch.store.read.reader import Reader

pytestmark = pytest.mark.live

ROUNDS = 8
CHILD = Path(__file__).with_name("incident_child.py")
STATE_AFTER = {"opened": "open", "confirmed": "confirmed", "reopened": "confirmed", "resolved": "resolved"}


def run_and_kill(store: Path, after: int, delay_s: float) -> list[str]:
    """Let it evaluate, kill it some time after a number of lines; return all it said."""
    with subprocess.Popen([sys.executable, CHILD, store], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(after)]
        timer = threading.Timer(delay_s, child.kill)
        timer.start()
        said += [line for line in child.stdout if line.endswith("\n")]
        timer.join()
    assert all(said), "it ended by itself"
    return said


@pytest.mark.slow
def test_killed_while_it_evaluates_history_and_state_agree(tmp_path: Path) -> None:
    store, rng = tmp_path / "leakwatch.db", random.Random(3)
    migrate.upgrade(store)
    told: list[tuple[int, str]] = []
    for _ in range(ROUNDS):
        said = run_and_kill(store, rng.randint(10, 80), rng.uniform(0, 0.02))
        told += [(int(line.split()[1]), line.split()[2]) for line in said if line.startswith("told")]
        # THEN what is stored is whole
        reader = Reader(store)
        known = reader.incidents()
        histories = {one.id: [str(event.kind) for event in reader.incident_events(one.id)] for one in known}
        number = reader.states()["number"]["is"]
        reader.close()
        stored = [int(line.split()[1]) for line in said if line.startswith("stored")]
        assert stored[-1] <= number <= stored[-1] + 1
        for one in known:
            assert STATE_AFTER[histories[one.id][-1]] == one.state
            assert histories[one.id].count("reopened") == one.reopened
    # one incident, since it always came back soon
    assert len(known) == 1
    (events,) = histories.values()
    assert events[:3] == ["opened", "confirmed", "resolved"]
    assert set(itertools.pairwise(events[2:])) == {("resolved", "reopened"), ("reopened", "resolved")}
    # AND what was told twice was told at the evaluation that was in flight, and is no more than one a kill
    assert len(told) - len(set(told)) <= ROUNDS
    once = [message for _, message in sorted(set(told))]
    assert once == (["found", "over"] + ["reopened", "over"] * len(once))[: len(once)]
    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    connection.close()
