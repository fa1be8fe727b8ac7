"""A damaged store is set aside with its bytes, and sampling goes on in a new one."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreCorruptError, StoreWriteError
from leakwatch.store.files import open as opening
from leakwatch.store.files.open import open_writer, set_aside
from leakwatch.store.maintenance.integrity import check
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store import storetools
from tests.store.storetools import BASE_MS, NOBODY, Child, as_user, beside, overwrite, process, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = range(1, 400)
LATER_MS = 1_790_086_400_000


def populate(store: Path, scrapes: int = 40) -> None:
    """Fill some hundred pages; the table of samples, whose values cannot be packed, has the middle of the file."""
    writer = Writer(store)
    rng = random.Random(8)
    for number in range(scrapes):
        made = scrape(number, MANY)
        writer.write_scrape(replace(made, samples=tuple(replace(s, value=rng.getrandbits(62)) for s in made.samples)))
    writer.close()


@pytest.fixture(scope="module")
def some_history(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Return a store of some size, to be copied."""
    path = Path(shutil.copy(empty_store, tmp_path_factory.mktemp("history") / "leakwatch.db"))
    populate(path)
    return path


@pytest.fixture
def history(tmp_path: Path, some_history: Path) -> Path:
    """Return a store of some size of one's own."""
    return Path(shutil.copy(some_history, tmp_path / "leakwatch.db"))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, 4096 + 100)


def damaged_middle(path: Path) -> None:
    overwrite(path, first=path.stat().st_size // 4096 // 2, count=3)


def damaged_header(path: Path) -> None:
    overwrite(path, first=0, count=1)


def damaged_root_pages(path: Path) -> None:
    overwrite(path, first=1, count=20)


DAMAGES = (truncated, cut_within_a_page, damaged_middle, damaged_header, damaged_root_pages)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_found_at_the_start_is_set_aside(
    history: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a damaged store
    store = history
    damage(store)
    held = store.read_bytes()
    # WHEN a daemon opens it
    with caplog.at_level(logging.ERROR):
        writer = open_writer(store, LATER_MS)
    writer.write_scrape(scrape(1))
    writer.close()
    # THEN the file is kept, byte for byte, the log says where, and the new one works
    kept = beside(store)
    assert [p.name for p in kept] == ["leakwatch.db.corrupt-20260922T141320Z"]
    assert kept[0].read_bytes() == held
    assert str(kept[0]) in caplog.text
    # AND what SQLite could read is in it
    taken_over = int(str(rows(store, "SELECT count(*) FROM scrape")[0][0])) - 1
    assert (taken_over == 40) if damage is damaged_middle else (0 <= taken_over <= 40)
    reader = Reader(store)
    assert check(reader).problems == ()
    reader.close()
    assert rows(store, "PRAGMA quick_check") == [("ok",)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_says_that_the_store_is_damaged(history: Path, damage: Callable[[Path], None]) -> None:
    # GIVEN a damaged store WHEN everything in it is read THEN nothing but the one error comes of it, or a note of what
    # is left out
    store = history
    damage(store)
    try:
        left_out = read_everything(store)
    except StoreCorruptError as error:
        left_out = {str(error)}
    assert any(str(store) in one or "page of the store" in one or "scrape" in one for one in left_out)


def read_everything(store: Path) -> set[str]:
    """Return what was left out."""
    reader = Reader(store)
    try:
        reader.findings()
        reader.processes()
        list(reader.samples_of(reader.scrapes_since(0)))
        reader.samples(storetools.USS, process(1).identity.target)
    finally:
        reader.close()
    return reader.damage.found


def test_a_file_of_no_length_is_a_new_store(store: Path) -> None:
    os.truncate(store, 0)
    open_writer(store, BASE_MS).close()
    assert not beside(store)
    assert rows(store, "SELECT count(*) FROM scrape") == [(0,)]


def test_damage_in_a_large_store_is_found_when_the_page_is_used(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a store too large to be checked as a whole at the start
    store = history
    monkeypatch.setattr(opening, "CHECK_UP_TO_BYTES", 1000)
    damaged_middle(store)
    # WHEN it is opened THEN that works
    writer = open_writer(store, LATER_MS)
    assert not beside(store)
    # AND the damage shows as what it is, where the page is read
    with pytest.raises(StoreCorruptError), writer.exclusive() as connection:
        connection.exec_driver_sql("SELECT sum(length(CAST(payload AS TEXT))) FROM sample_round").all()
    # AND what does not touch it still works, as nothing is half open
    writer.write_scrape(scrape(50, MANY))
    writer.close()


def test_damage_within_the_same_second_gets_another_name(store: Path) -> None:
    names = []
    for number in range(3):
        store.write_bytes(b"damage %d" % number)
        names.append(set_aside(store, LATER_MS))
    assert len(set(names)) == 3
    assert [p.read_bytes() for p in names] == [b"damage 0", b"damage 1", b"damage 2"]
    assert not store.exists()


def test_the_log_goes_with_the_store_it_belongs_to(store: Path) -> None:
    # GIVEN a store with scrapes that are only in the log, as after a kill, whose file is damaged elsewhere
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    copy = store.parent / "killed" / store.name
    copy.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(store.with_name(store.name + suffix), copy.with_name(copy.name + suffix))
    writer.close()
    # WHEN it is set aside
    kept = set_aside(copy, LATER_MS)
    # THEN SQLite finds the log beside it, and nothing is left where the new store will be
    assert rows(kept, "SELECT count(*) FROM scrape") == [(1,)]
    assert not list(copy.parent.glob("leakwatch.db-*"))


@pytest.mark.root
def test_what_cannot_be_set_aside_is_said(shared: Path) -> None:
    # GIVEN a damaged store of nobody's in a directory that only root may change
    store = shared / "leakwatch.db"
    store.write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    store.with_name("leakwatch.db.lock").touch()
    for path in shared.iterdir():
        os.chown(path, NOBODY, NOBODY)
    os.chown(shared, 0, 0)
    config = shared / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    # WHEN a daemon of nobody's starts on it
    argv = as_user(NOBODY, "leakwatch", "daemon", "--config", str(config), "--for", "2s")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    # THEN it ends with the reason
    assert done.returncode == StoreWriteError.exit_code
    assert "cannot be set aside" in done.stderr


@pytest.mark.live
@pytest.mark.slow
def test_a_store_damaged_while_the_daemon_runs_is_replaced(
    store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    # GIVEN a daemon on a store of some size
    populate(store, scrapes=250)
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64")) as daemon:
        daemon.stored(260)
        daemon.logged("resumed from the store")
        # WHEN the tables' pages are overwritten by something else
        overwrite(store, first=1)
        # THEN it notices, the next time it needs one of them, and says so
        daemon.logged("sampling goes on in a new one")
        kept = beside(store)
        assert str(kept[0]) in daemon.log
        assert kept[0].stat().st_size > 1_000_000
        # AND goes on in a new store, with the processes' names
        daemon.stored(5)
        assert rows(store, "SELECT count(*) > 0 FROM process") == [(1,)]
        assert daemon.stop() == 0
    assert rows(store, "PRAGMA quick_check") == [("ok",)]
    assert rows(store, "SELECT count(*) > 0 FROM finding") == [(1,)]
    assert len(beside(store)) == 1
    assert len(daemon.log) < 20_000
