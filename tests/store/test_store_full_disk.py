"""A disk that is full or may not be written to: a message, lost scrapes counted, exit code 74 when it lasts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storetools import BASE_MS, NOBODY, Child, all_samples, as_user, beside, rows, scrape

from leakwatch.errors import StoreWriteError
from leakwatch.store import sealing
from leakwatch.store.open import open_writer
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.root
FULL = "the disk is full; free space there or lower max_size under [store]"


def fill(disk: Path) -> Path:
    """Take all that is left, to the last block."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def store_on(disk: Path, empty_store: Path) -> Path:
    return Path(shutil.copy(empty_store, disk / "leakwatch.db"))


def write_until_full(writer: Writer, first: int) -> int:
    """Write scrapes of ever new processes; return the number of the first that was refused."""
    for number in range(first, 500):
        try:
            writer.write_scrape(scrape(number, range(number, number + 300)))
        except StoreWriteError:
            return number
    pytest.fail("the disk was never full")


def test_a_writer_loses_the_scrape_in_flight_and_no_other(small_disk: Path, empty_store: Path) -> None:
    # GIVEN a disk that fills up while scrapes are stored
    store = store_on(small_disk, empty_store)
    writer = Writer(store)
    for number in range(5):
        writer.write_scrape(scrape(number, range(100)))
    filler = fill(small_disk)
    stored = write_until_full(writer, first=5)
    # AND goes on failing the same way
    for _ in range(3):
        with pytest.raises(StoreWriteError, match="the disk is full"):
            writer.write_scrape(scrape(600, range(600, 5000)))
    # WHEN there is space again
    filler.unlink()
    writer.write_scrape(scrape(700, range(7)))
    writer.close()
    # THEN every scrape that was stored is whole, and no other is there
    assert rows(store, "PRAGMA quick_check") == [("ok",)]
    assert rows(store, "SELECT count(*) FROM scrape") == [(stored + 1,)]
    numbers = [row[0] for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
    counts = Counter(scrape_id for scrape_id, _, _ in all_samples(store))
    assert sorted(counts) == numbers
    assert counts[numbers[-1]] == 15


def test_on_a_full_disk_nothing_is_sealed_and_nothing_lost(
    small_disk: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN scrapes to be sealed on a disk that is full
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 20)
    store = store_on(small_disk, empty_store)
    writer = Writer(store)
    for number in range(30):
        writer.write_scrape(scrape(number, range(100)))
    samples = all_samples(store)
    filler = fill(small_disk)
    # WHEN it is tried
    for _ in range(2):
        with pytest.raises(StoreWriteError, match="the disk is full"):
            sealing.seal(writer)
    # THEN every sample is where it was
    assert rows(store, "SELECT count(*) FROM seal") == [(0,)]
    assert all_samples(store) == samples
    # AND once there is space it is done
    filler.unlink()
    assert sealing.seal(writer) == 1
    assert all_samples(store) == samples
    writer.close()


def test_a_disk_that_is_full_for_good_ends_the_daemon(
    small_disk: Path, empty_store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    with Child(tmp_path, store_on(small_disk, empty_store), proc_tree("linux-6.18-x86_64")) as daemon:
        daemon.stored(3)
        # WHEN the disk is full and stays it
        fill(small_disk)
        # THEN the daemon ends with the code for that, after it has told of each scrape that is lost
        assert daemon.ended() == 74
        assert FULL in daemon.log
        assert [f"({n} of 5 before giving up)" in daemon.log for n in range(1, 6)] == [True] * 4 + [False]
        assert "leakwatch stops" in daemon.log.splitlines()[-1]
    assert not beside(daemon.store)


def test_a_disk_that_is_full_for_a_while_costs_the_scrapes_of_that_while(
    small_disk: Path, empty_store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    store = store_on(small_disk, empty_store)
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64"), interval="0.5s") as daemon:
        daemon.stored(2)
        # WHEN the disk is full for two or three scrapes
        filler = fill(small_disk)
        daemon.logged("2 of 5")
        filler.unlink()
        # THEN it goes on and says how many were lost
        daemon.logged("sampling and storing work again; ")
        had = daemon.scrapes()
        daemon.stored(had + 2)
        assert daemon.stop() == 0
    assert rows(store, "PRAGMA quick_check") == [("ok",)]


def test_a_disk_full_before_the_first_scrape_ends_the_daemon_at_once(
    small_disk: Path, empty_store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    store = store_on(small_disk, empty_store)
    fill(small_disk)
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64")) as daemon:
        assert daemon.ended() == 74
        assert FULL in daemon.log
        assert "before giving up" not in daemon.log


def test_a_disk_without_room_for_a_new_store_ends_the_daemon_at_once(
    small_disk: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    # GIVEN a full disk without a store
    filler = fill(small_disk)
    store = small_disk / "leakwatch.db"
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64")) as daemon:
        # WHEN a daemon starts THEN it ends with one line
        assert daemon.ended() == 74
        assert daemon.log.count("\n") == 1
        assert "the disk is full" in daemon.log
    # AND when there is space, what it left behind is no obstacle
    filler.unlink()
    writer = open_writer(store, BASE_MS)
    writer.write_scrape(scrape(1))
    writer.close()
    assert not beside(store)


def daemon_of_nobody(directory: Path, store: Path) -> subprocess.CompletedProcess[str]:
    config = directory / "config.toml"
    config.write_text(
        f'[sampling]\ninterval = "0.2s"\n[analysis]\nwindows = ["1m"]\n[store]\nurl = "sqlite:///{store}"\n'
    )
    config.chmod(0o644)
    argv = as_user(NOBODY, "leakwatch", "daemon", "--config", str(config), "--for", "5s")
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("what", ["file", "directory", "both", "missing"])
def test_what_may_not_be_written_ends_the_daemon_with_the_reason(shared: Path, empty_store: Path, what: str) -> None:
    # GIVEN a store that the daemon's user may read but not write
    store = shared / "leakwatch.db"
    if what != "missing":
        shutil.copy(empty_store, store)
        store.chmod(0o644 if what in ("file", "both") else 0o600)
        os.chown(store, *((0, 0) if what in ("file", "both") else (NOBODY, NOBODY)))
        if what != "directory":
            lock = store.with_name(store.name + ".lock")
            lock.touch()
            os.chown(lock, NOBODY, NOBODY)
    if what != "file":
        os.chown(shared, 0, 0)
    # WHEN it starts
    done = daemon_of_nobody(shared, store)
    # THEN it ends at once, and its last line names the file and what to do
    assert done.returncode == 74, done.stderr
    last = done.stderr.splitlines()[-1]
    assert str(store) in last
    assert "writable" in last
    assert "Traceback" not in done.stderr
