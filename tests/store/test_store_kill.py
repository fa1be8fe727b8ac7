"""Killed with kill -9 at any moment, the store loses at most the scrape in flight."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from leakwatch.store.files.open import open_writer
from leakwatch.store.files.revision import REVISION
from leakwatch.store.maintenance import migrate
from leakwatch.store.read.reader import Reader
from tests.store import storetools
from tests.store.storetools import (
    BASE_MS,
    MINUTE_MS,
    Child,
    all_blocks,
    all_samples,
    beside,
    nameless,
    process,
    rows,
    scrape,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.live

ROUNDS = 10


def write_and_kill(store: Path, after: int, delay_s: float) -> int:
    """Let a child write, kill it some time after a number of commits; return the last one it told of."""
    argv = [sys.executable, storetools.__file__, "write", str(store)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(after)]
        timer = threading.Timer(delay_s, child.kill)
        timer.start()
        told += [int(line) for line in child.stdout if line.endswith("\n")]
        timer.join()
    assert told == list(range(told[0], told[0] + len(told)))
    return told[-1]


@pytest.mark.slow
def test_killed_while_writing_no_scrape_that_was_committed_is_lost(store: Path) -> None:
    rng = random.Random(20)
    committed = 0
    for _ in range(ROUNDS):
        # WHEN a child that writes as fast as it can is killed at a random moment
        committed = write_and_kill(store, rng.randint(1, 30), rng.uniform(0.0, 0.03))
        # THEN the file is sound, and all that was told of is there; the one in flight may be, if it is whole
        assert rows(store, "PRAGMA quick_check") == [("ok",)]
        numbers = [row[0] for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert committed <= len(numbers) <= committed + 1
        # AND whole is every scrape: its samples, its blocks, and their names
        assert Counter(scrape_id for scrape_id, _, _ in all_samples(store)) == dict.fromkeys(numbers, 81)
        assert len(all_blocks(store)) == 40 * len(numbers)
        assert nameless(store) == set()
    # AND a writer goes on where the last one was killed
    writer = open_writer(store, BASE_MS)
    number = len(numbers) + 1
    writer.write_scrape(scrape(number, range(number // 10, number // 10 + 40)))
    writer.close()
    assert not beside(store)
    reader = Reader(store)
    some = process(number // 10 + 20).identity
    got = reader.samples(storetools.USS, some.target)
    reader.close()
    assert got[-1] == (BASE_MS + number * MINUTE_MS, number * 1000 + some.pid)
    assert all(value == (ts_ms - BASE_MS) // MINUTE_MS * 1000 + some.pid for ts_ms, value in got)


def test_killed_while_the_store_is_made_it_is_made_the_next_time(tmp_path: Path) -> None:
    rng = random.Random(7)
    for round_ in range(4):
        # GIVEN a migration killed at some moment
        path = tmp_path / f"{round_}.db"
        argv = [sys.executable, "-m", "leakwatch.store.maintenance.migrate", str(path)]
        with subprocess.Popen(argv) as child:
            while not path.exists() and child.poll() is None:
                pass
            threading.Event().wait(rng.uniform(0.0, 0.03))
            child.kill()
        # WHEN a daemon opens it
        open_writer(path, BASE_MS).close()
        # THEN it is a whole store, and nothing was set aside
        assert rows(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]
        assert not beside(path)


def test_killed_while_the_file_is_made_it_is_made_the_next_time(tmp_path: Path) -> None:
    # GIVEN what a kill leaves between the file's creation, its switch to a log, and the first table
    empty, no_tables, hot = (tmp_path / name for name in ("empty.db", "no_tables.db", "hot.db"))
    empty.touch()
    storetools.change(no_tables, "PRAGMA journal_mode=WAL")
    storetools.change(hot, "CREATE TABLE x(y)", "DROP TABLE x")
    image = hot.read_bytes()
    import sqlite3

    connection = sqlite3.connect(hot, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE half(x)")
    connection.executemany("INSERT INTO half VALUES (zeroblob(3000))", [()] * 50)  # spills into the file
    journal = hot.with_name("hot.db-journal").read_bytes()
    torn = hot.read_bytes()
    connection.close()
    assert torn != image
    hot.write_bytes(torn)
    hot.with_name("hot.db-journal").write_bytes(journal)
    for path in (empty, no_tables, hot):
        migrate.ensure_schema(path)
        assert rows(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]


@pytest.mark.slow
def test_a_daemon_killed_twice_starts_again_by_itself(tmp_path: Path, proc_tree: Callable[[str], Path]) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    store = tmp_path / "leakwatch.db"
    had = 0
    for _ in range(3):
        # WHEN a daemon runs a while and is killed
        with Child(tmp_path, store, proc) as daemon:
            daemon.stored(had + 8)
        # THEN nothing it had stored is lost, and the next one goes on
        assert rows(store, "PRAGMA quick_check") == [("ok",)]
        numbers = [row[0] for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
        assert len(numbers) >= had + 8
        assert numbers == list(range(1, len(numbers) + 1))
        had = len(numbers)
        assert not beside(store)
    # AND each scrape of the recorded /proc has the same processes' samples
    uss = {
        row[0]
        for row in rows(
            store, "SELECT series.id FROM series JOIN metric ON metric.id = metric_id WHERE name = 'process.uss_bytes'"
        )
    }
    counts = Counter(scrape_id for scrape_id, series, _ in all_samples(store) if series in uss)
    assert len(set(counts.values())) == 1
