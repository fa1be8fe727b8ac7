"""A store that is deleted or replaced under the daemon: never written into nothing, never over somebody else's data."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch.clock import Instant
from leakwatch.errors import StoreBusyError, StoreForeignError, StoreTooNewError, StoreWriteError
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.files.lock import StoreLock
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, Child, beside, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Stopped:
    """A clock that stands."""

    def now(self) -> Instant:
        return Instant(BASE_MS, BASE_MS, 0)


@pytest.fixture
def supervisor(store: Path) -> Iterator[StoreSupervisor]:
    """Return a supervisor that has stored five scrapes."""
    supervisor = StoreSupervisor(store, Stopped())
    for number in range(5):
        supervisor.write_scrape(scrape(number), [], {})
    yield supervisor
    supervisor.close()


def delete(store: Path) -> None:
    store.unlink()


def delete_all(store: Path) -> None:
    for path in store.parent.glob(store.name + "*"):
        path.unlink()


def move_directory(store: Path) -> None:
    moved = store.parent.with_name("moved")
    store.parent.rename(moved)


def move_away(store: Path) -> None:
    kept = store.parent / "kept"
    kept.mkdir()
    for path in store.parent.glob(store.name + "*"):
        path.rename(kept / path.name)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_a_store_that_is_cut_under_the_daemon_is_set_aside_at_the_next_scrape(
    store: Path, supervisor: StoreSupervisor, share: float
) -> None:
    os.truncate(store, int(store.stat().st_size * share))
    for number in range(5, 8):
        assert supervisor.write_scrape(scrape(number), [], {})
    assert supervisor.generation >= 1
    assert [int(str(row[0])) for row in rows(store, "SELECT ts_ms FROM scrape ORDER BY id")][-3:] == [
        scrape(number).tick.ts_ms for number in range(5, 8)
    ]
    assert rows(store, "PRAGMA quick_check") == [("ok",)]
    assert beside(store)


def test_a_whole_store_is_never_seen_as_cut(store: Path, supervisor: StoreSupervisor) -> None:
    lock = StoreLock.__new__(StoreLock)
    lock._database = os.open(store, os.O_RDONLY)
    for number in range(5, 300):
        supervisor.write_scrape(scrape(number), [], {})
        assert not lock.is_cut()
    os.close(lock._database)
    assert supervisor.generation == 0


@pytest.mark.parametrize("lose", [delete, delete_all, move_directory, move_away])
def test_a_store_that_is_gone_is_begun_anew(
    store: Path, supervisor: StoreSupervisor, lose: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    # WHEN it is gone THEN the next scrapes are in a new one, which knows why, and all else is told anew
    lose(store)
    for number in range(5, 8):
        assert supervisor.write_scrape(scrape(number), [], {})
    assert supervisor.generation == 1
    assert rows(store, "SELECT count(*) FROM scrape") == [(3,)]
    (note,) = json.loads(str(rows(store, "SELECT value FROM state WHERE key = 'store_notes'")[0][0]))
    assert note == {"what": "lost", "at_ms": BASE_MS, "why": f"{store} was deleted under the daemon"}
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [f"{store} was deleted under the daemon"]
    # AND it is locked as the one before was
    with pytest.raises(StoreBusyError):
        StoreLock(store)
    # AND what was moved away is whole
    for kept in (store.parent / "kept", store.parent.with_name("moved")):
        if kept.exists():
            assert rows(kept / store.name, "SELECT count(*) FROM scrape") == [(5,)]


def test_a_store_put_in_its_place_is_used(
    store: Path, supervisor: StoreSupervisor, empty_store: Path, tmp_path: Path
) -> None:
    # GIVEN an older backup, with scrapes in a log of its own
    backup = tmp_path / "backup" / store.name
    backup.parent.mkdir()
    shutil.copy(empty_store, backup)
    writer = Writer(backup)
    for number in range(2):
        writer.write_scrape(scrape(number))
    for name in (store.name, store.name + "-wal"):
        shutil.copy(backup.with_name(name), tmp_path / f"new-{name}")
    writer.close()
    # WHEN it is put in the place of the store, its log with it
    for name in (store.name + "-wal", store.name):
        (tmp_path / f"new-{name}").replace(store.with_name(name))
    store.with_name(store.name + "-shm").unlink()
    supervisor.write_scrape(scrape(9), [], {})
    # THEN what is in it is there, and goes on
    assert rows(store, "SELECT ts_ms FROM scrape ORDER BY id") == [(scrape(n).tick.ts_ms,) for n in (0, 1, 9)]
    assert not beside(store)


def text(path: Path) -> None:
    path.write_text("precious\n" * 1000)


def foreign(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (x)")
    other.commit()
    other.close()


@pytest.mark.parametrize(("make", "error"), [(text, StoreForeignError), (foreign, StoreTooNewError)])
def test_somebody_else_s_file_in_its_place_is_left_alone(
    store: Path, supervisor: StoreSupervisor, make: Callable[[Path], None], error: type[Exception]
) -> None:
    other = store.with_name("other")
    make(other)
    held = other.read_bytes()
    other.replace(store)
    with pytest.raises(error, match="set another url"):
        supervisor.write_scrape(scrape(5), [], {})
    assert store.read_bytes() == held
    assert not beside(store)


def test_a_store_in_its_place_that_another_daemon_holds_is_not_written(
    store: Path, supervisor: StoreSupervisor, empty_store: Path
) -> None:
    other = store.with_name("other.db")
    shutil.copy(empty_store, other)
    code = (
        "import sys; from pathlib import Path; from leakwatch.store.files.lock import StoreLock; "
        "lock = StoreLock(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, other], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        other.rename(store)
        # THEN scrapes wait
        for number in range(5, 10):
            assert not supervisor.write_scrape(scrape(number), [], {})
        assert "another daemon writes to" in supervisor.trouble
        assert rows(store, "SELECT count(*) FROM scrape") == [(0,)]
        holder.kill()
    # AND are stored when it is free
    assert supervisor.write_scrape(scrape(10), [], {})
    assert rows(store, "SELECT count(*) FROM scrape") == [(6,)]


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_log_removed_under_the_daemon_costs_nothing(store: Path, supervisor: StoreSupervisor, suffix: str) -> None:
    store.with_name(store.name + suffix).unlink()
    for number in range(5, 8):
        supervisor.write_scrape(scrape(number), [], {})
        assert rows(store, "SELECT count(*) FROM scrape") == [(number + 1,)]
    assert supervisor.generation == 0
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.live
def test_neither_another_name_nor_a_removed_lock_lets_a_second_daemon_in(
    store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    (tmp_path / "elsewhere").mkdir()
    with Child(tmp_path, store, proc) as first:
        first.stored(2)
        hard = tmp_path / "elsewhere" / "hard.db"
        os.link(store, hard)
        with Child(tmp_path / "elsewhere", hard, proc) as second:
            assert second.ended() == 75
            assert "another daemon writes to" in second.log
        store.with_name(store.name + ".lock").unlink()
        with Child(tmp_path / "elsewhere", store, proc) as second:
            assert second.ended() == 75
        # AND the first goes on, its own locks in force: nobody takes its log for one that is left over
        first.stored(first.scrapes() + 3)
        assert first.stop() == 0
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]


def test_no_lock_is_taken_through_a_link_and_no_other_file_is_touched(tmp_path: Path) -> None:
    victim, store = tmp_path / "victim", tmp_path / "leakwatch.db"
    victim.write_text("precious\n")
    lock = tmp_path / "leakwatch.db.lock"
    lock.symlink_to(victim)
    with pytest.raises(StoreWriteError, match="symbolic link; remove it"):
        StoreLock(store)
    lock.unlink()
    os.link(victim, lock)
    StoreLock(store).release()
    assert victim.read_text() == "precious\n"


@pytest.mark.parametrize("make", [text, lambda path: path.write_bytes(bytes(range(256)) * 64)])
def test_what_never_was_a_database_is_refused_at_the_start(tmp_path: Path, make: Callable[[Path], None]) -> None:
    store = tmp_path / "notes.txt"
    make(store)
    held = store.read_bytes()
    with pytest.raises(StoreForeignError, match="never was a SQLite database"):
        StoreSupervisor(store, Stopped())
    assert store.read_bytes() == held
    assert not beside(store)
