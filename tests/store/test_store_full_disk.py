"""A disk that is full or may not be written to: exit code 74 at start; later scrapes wait for it in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.clock import Instant
from leakwatch.errors import StoreWriteError
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.files.open import open_writer
from leakwatch.store.maintenance import sealing
from leakwatch.store.maintenance.integrity import check
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, NOBODY, Child, all_samples, as_user, beside, block, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.live, pytest.mark.root]
FULL = "the disk is full; free space there or lower max_size under [store]"


class Stopped:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.ms = BASE_MS

    def now(self) -> Instant:
        return Instant(self.ms, self.ms, 0)


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


def test_a_disk_that_is_full_for_a_while_costs_no_scrape(
    small_disk: Path, empty_store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    store = store_on(small_disk, empty_store)
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64"), interval="0.2s") as daemon:
        daemon.stored(2)
        # WHEN the disk is full for many more scrapes than were forgiven once
        filler = fill(small_disk)
        daemon.logged(f"{FULL}; samples wait in memory")
        first_waiting = daemon.scrapes()
        time.sleep(3)
        assert daemon.process.poll() is None, daemon.log
        assert daemon.scrapes() == first_waiting
        filler.unlink()
        # THEN it goes on, and every scrape is there: no two are further apart than one that was late
        daemon.logged("waited in memory are stored, none was lost")
        daemon.stored(daemon.scrapes() + 2)
        assert daemon.stop() == 0
        assert daemon.log.count("the disk is full") == 1
    assert rows(store, "PRAGMA quick_check") == [("ok",)]
    times = [int(str(row[0])) for row in rows(store, "SELECT ts_ms FROM scrape ORDER BY id")]
    assert len(times) > first_waiting + 10
    assert max(b - a for a, b in pairwise(times)) < 1500


def test_twenty_minutes_of_a_full_disk_lose_nothing_and_take_a_bounded_memory(
    small_disk: Path, empty_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN 1-s scrapes of 60 processes on a disk that is full
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    store, clock = store_on(small_disk, empty_store), Stopped()
    supervisor = StoreSupervisor(store, clock, interval_s=1.0)
    supervisor.write_scrape(scrape(0, range(60), ts_ms=BASE_MS), [], {})
    filler = fill(small_disk)
    took = []
    for n in range(1, 1700):
        clock.ms += 1000
        stored = supervisor.write_scrape(
            scrape(n, range(n % 7, 60 + n % 7), ts_ms=clock.ms), [block(n % 9, clock.ms)], {}
        )
        took.append(stored)
    refused = took.index(False)
    # a log that has room left takes the first; then nothing is stored for 20 minutes at least
    assert len(took) - refused > 1200
    assert not any(took[refused:])
    # WHEN the disk is back
    filler.unlink()
    clock.ms += 1000
    supervisor.write_scrape(scrape(1700, range(60), ts_ms=clock.ms), [], {})
    supervisor.close()
    # THEN every scrape is there once, in order, and the store is sound
    assert rows(store, "SELECT ts_ms FROM scrape ORDER BY id") == [(BASE_MS + n * 1000,) for n in range(1701)]
    assert rows(store, "SELECT sum(n) FROM block_round") == [(1699,)]
    reader = Reader(store)
    assert check(reader).problems == ()
    reader.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


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
