"""A start on a store full of history: sampled at once, read back beside it, and alive when the reading is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import store_fill
from tests.e2e.e2e_tools import Daemon, report, run_command, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.live

PROCESSES = 150
DAY_MS = 86_400_000
INCIDENT = "i0000abcd"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a day of samples that ends now and no blocks, so that the day has to be read sample by sample.

    One of its processes leaks: a confirmed incident, silenced for a day.
    """
    path = tmp_path_factory.mktemp("history") / "leakwatch.db"
    now_ms = time.time_ns() // 1_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_fill, "BASE_MS", now_ms - DAY_MS - 30 * store_fill.INTERVAL_MS)
        store_fill.fill(path, PROCESSES, 1, blocks=False, newest=30)
    with closing(sqlite3.connect(path)) as store:
        store.execute(
            "INSERT INTO incident (id, finding_id, kind, name, state, opened_ms, confirmed_ms, reason, reopened, "
            "payload, silenced_ms, silenced_until_ms, silenced_by) "
            "VALUES (?, 's00000000', 'process', 'worker-0', 'confirmed', ?, ?, 'grows', 0, '{}', ?, ?, 'ann')",
            (INCIDENT, now_ms, now_ms, now_ms, now_ms + DAY_MS),
        )
        store.commit()
    file = path.with_name("config.toml")
    file.write_text(f'[sampling]\ninterval = "1s"\n[store]\nurl = "sqlite:///{path}"\n')
    return file


def asked(config: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(config.with_name("leakwatch.db"))) as store:
        return store.execute(sql).fetchall()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(one)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for one in (task / "children").read_text().split()
    ]


def test_it_samples_while_it_reads_and_says_so(config: Path, daemon: Callable[..., Daemon]) -> None:
    # WHEN the daemon starts on a day that takes many seconds to read
    before = asked(config, "SELECT max(id) FROM scrape")
    running = daemon(config)
    wait_for("some scrapes", lambda: asked(config, "SELECT max(id) - 3 FROM scrape") > before)
    # THEN scrapes come before the past is read, and the log and the report say what is going on
    assert "of history back beside sampling; verdicts follow" in running.log
    assert "resumed from the store" not in running.log
    assert "The daemon reads its history back" in run_command("report", "--config", config).stdout
    assert report(config)["judging"] is False
    # AND it ends at once when it is told to
    assert running.stop(signal.SIGTERM)[0] == 0
    assert "ERROR" not in running.log


def test_a_reading_that_is_killed_costs_the_history_not_the_daemon(config: Path, daemon: Callable[..., Daemon]) -> None:
    running = daemon(config)
    wait_for("a child", lambda: children(running.pid))
    killed = set()
    # WHEN whatever it starts is killed until it has noticed
    while "history could not be read back" not in running.log:
        for child in children(running.pid):
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        time.sleep(0.01)
    # THEN it says so in one line and goes on to judge what it samples
    lost = [line for line in running.log.splitlines() if "history could not be read back" in line]
    assert len(lost) == 1
    assert "ended by signal 9" in lost[0]
    began = report(config)["evaluated_at"]
    wait_for("an evaluation", lambda: report(config)["evaluated_at"] != began)
    assert report(config)["judging"] is True
    # AND what was known of incidents is neither doubled nor forgotten
    assert asked(config, "SELECT id, state, silenced_by FROM incident WHERE finding_id = 's00000000'") == [
        (INCIDENT, "confirmed", "ann")
    ]
    assert running.stop(signal.SIGTERM)[0] == 0
