"""What docs/contributing.md promises of a metric: its row is all that judging, reports and replays need."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

TABLES, SIGNALS, POOL, WIDGETS = "process.tables_bytes", "process.signals", "kernel.pool_bytes", "kernel.widgets"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what ``new_metric_child`` tells: nothing but the rows knows of these metrics."""
    store = tmp_path_factory.mktemp("store") / "leakwatch.db"
    argv = [sys.executable, "-m", "tests.monitoring.new_metric_child", str(store)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_has_a_finding_of_its_own_beside_the_one_about_memory(told: dict[str, Any]) -> None:
    assert told["about all"] == [POOL, WIDGETS, SIGNALS, TABLES, "service.uss_swap_bytes"]
    assert {told[metric]["verdict"] for metric in (TABLES, SIGNALS, POOL, WIDGETS)} == {"leak"}
    assert told["suspects"] == 0


def test_a_report_says_which_and_in_its_unit(told: dict[str, Any]) -> None:
    assert (told[TABLES]["what"], told[SIGNALS]["what"]) == ("worker (pid 1): tables", "worker (pid 1): signals")
    assert [told[metric]["unit"] for metric in (TABLES, SIGNALS, POOL, WIDGETS)] == ["", "count", "", "count"]
    assert [told[metric]["rank"] for metric in (TABLES, SIGNALS)] == pytest.approx([1, 160])
    assert told["steps"] == ["It is read from /proc/1/status VmTables"]


def test_what_has_risen_is_asked_for_at_every_tick(told: dict[str, Any]) -> None:
    assert told["at every tick"] == [SIGNALS, TABLES]


def test_a_replay_of_the_store_knows_them(told: dict[str, Any]) -> None:
    assert told["captures"] == {
        "proc/worker[1]": "",
        "group/worker": "",
        "kernel/pool": "",
        "kernel/widgets": WIDGETS,
        "proc/worker[1]/tables": TABLES,
        "proc/worker[1]/signals": SIGNALS,
    }
