"""Readers work while the daemon writes, after it stopped, after it was killed, and as somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leakwatch.errors import PermissionNeededError, StoreCorruptError, StoreNotFoundError
from leakwatch.store.files.driver import LOG_BYTES
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store import storetools
from tests.store.storetools import BASE_MS, NOBODY, USS, as_user, change, process, rows, scrape

MEGABYTE = "0123456789abcdef" * 65536


def read_as(user: int, store: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(as_user(user, "read", str(store)), capture_output=True, text=True, check=False)


def suffixes(store: Path) -> set[str]:
    return {p.name.removeprefix(store.name) for p in store.parent.iterdir() if p.name.startswith(store.name)}


def test_a_long_read_sees_one_moment_while_the_writer_goes_on(store: Path) -> None:
    # GIVEN a reader in the middle of a read
    writer, reader = Writer(store), Reader(store)
    writer.write_scrape(scrape(0))
    with reader.reading() as connection:
        query = "SELECT count(*) FROM scrape"
        assert connection.exec_driver_sql(query).scalar_one() == 1
        # WHEN the writer stores scrapes, and megabytes of other things, meanwhile
        for number in range(1, 20):
            writer.write_scrape(scrape(number))
            writer.write_evaluation([], {}, {f"large {number}": MEGABYTE}, BASE_MS)
        # THEN neither waits for the other, the read sees what it saw, and the log has to keep it all
        assert connection.exec_driver_sql(query).scalar_one() == 1
        wal = store.with_name(store.name + "-wal")
        assert wal.stat().st_size > LOG_BYTES
    # AND once it has ended, the log is cut back by the next writes
    for number in range(20, 23):
        writer.write_scrape(scrape(number))
    assert wal.stat().st_size <= LOG_BYTES
    assert len(reader.scrapes_since(0)) == 23
    reader.close()
    writer.close()
    assert suffixes(store) == {""}


def test_names_and_rows_are_of_one_moment(store: Path) -> None:
    # GIVEN an iteration over blocks
    writer, reader = Writer(store), Reader(store)
    writer.write_blocks([storetools.block(1, BASE_MS), storetools.block(2, BASE_MS)], BASE_MS)
    blocks = reader.blocks(300, 0)
    first = next(blocks)
    # WHEN the writer adds more, and the reader is asked other things
    writer.write_blocks([storetools.block(3, BASE_MS)], BASE_MS)
    reader.processes()
    # THEN it goes on with what it began with
    assert [first, *blocks] == [storetools.block(1, BASE_MS), storetools.block(2, BASE_MS)]
    reader.close()
    writer.close()


def test_a_reader_beside_the_writer_does_not_drop_its_locks(store: Path) -> None:
    # GIVEN a process with a writer, which also reads, as the daemon does at its start
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    Reader(store).close()
    # WHEN somebody else opens the file, to write if need be, and closes it
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM scrape').fetchall(); c.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(store)], check=True)
    # THEN that was not taken for the last one to use the log: it is there, and what is written goes into it
    assert suffixes(store) == {"", "-wal", "-shm"}
    writer.write_scrape(scrape(2))
    code = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM scrape').fetchone()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store)], check=True, capture_output=True, text=True)
    assert done.stdout == "2\n"
    writer.close()


def test_after_a_clean_stop_the_store_is_one_file(store: Path) -> None:
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    assert suffixes(store) == {"", "-wal", "-shm"}
    writer.close()
    assert suffixes(store) == {""}
    reader = Reader(store)
    assert len(reader.scrapes_since(0)) == 1
    reader.close()


def killed(store: Path) -> int:
    """Leave the store as a writer leaves it that is killed; return how many scrapes are in it."""
    argv = [sys.executable, storetools.__file__, "write", str(store)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        child.kill()
    with_log = shutil.copytree(store.parent, store.parent / "count")
    count = int(str(rows(with_log / store.name, "SELECT count(*) FROM scrape")[0][0]))
    shutil.rmtree(with_log)
    return count


def test_after_a_kill_a_reader_sees_what_is_in_the_log(store: Path) -> None:
    count = killed(store)
    assert store.with_name(store.name + "-wal").stat().st_size
    reader = Reader(store)
    assert len(reader.scrapes_since(0)) == count >= 5
    reader.close()


def test_what_is_no_store_is_named(tmp_path: Path, store: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "garbage.db").write_bytes(b"no database" * 1000)
    (tmp_path / "text").mkdir()
    change(tmp_path / "other.db", "CREATE TABLE notes(x)")
    for name, error, words in (
        ("none.db", StoreNotFoundError, "there is no store"),
        ("empty.db", StoreNotFoundError, "is empty"),
        ("text", StoreNotFoundError, "is no file"),
        ("garbage.db", StoreCorruptError, "is damaged"),
        ("other.db", StoreCorruptError, "another program"),
    ):
        with pytest.raises(error, match=words):
            Reader(tmp_path / name)


@pytest.mark.live
@pytest.mark.root
def test_a_store_of_another_user_asks_for_sudo(shared: Path, empty_store: Path) -> None:
    store = Path(shutil.copy(empty_store, shared / "leakwatch.db"))
    store.chmod(0o600)
    done = read_as(NOBODY, store)
    assert (done.returncode, done.stderr.count("\n")) == (77, 1)
    assert "sudo" in done.stderr


@pytest.mark.root
@pytest.mark.parametrize("closed", [True, False])
def test_a_store_in_a_directory_one_may_not_write_is_read(shared: Path, empty_store: Path, *, closed: bool) -> None:
    # GIVEN a store that others may read, in a directory they may not write to
    os.chown(shared, 0, 0)
    store = Path(shutil.copy(empty_store, shared / "leakwatch.db"))
    writer = Writer(store)
    for number in range(3):
        writer.write_scrape(scrape(number))
    if closed:
        writer.close()
    for path in shared.iterdir():
        path.chmod(0o644)
    # THEN they read all of it, also while a daemon writes
    done = read_as(NOBODY, store)
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)
    writer.close()


@pytest.mark.root
def test_a_log_one_may_not_read_is_not_passed_over(shared: Path, empty_store: Path) -> None:
    # GIVEN a log that belongs to the store and is not readable
    os.chown(shared, 0, 0)
    store = Path(shutil.copy(empty_store, shared / "leakwatch.db"))
    store.chmod(0o600)
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    store.chmod(0o644)
    # THEN a reader says so, and does not read the file without it
    done = read_as(NOBODY, store)
    assert done.returncode == PermissionNeededError.exit_code, done.stderr
    assert "not closed in order" in done.stderr
    writer.close()


@pytest.mark.live
@pytest.mark.root
@pytest.mark.parametrize("after", ["stop", "kill"])
def test_root_reading_does_not_lock_the_daemon_s_user_out(shared: Path, empty_store: Path, after: str) -> None:
    # GIVEN the store of a daemon that runs as nobody, stopped or killed
    store = Path(shutil.copy(empty_store, shared / "leakwatch.db"))
    if after == "kill":
        killed(store)
    for path in shared.iterdir():
        path.chmod(0o600)
        os.chown(path, NOBODY, NOBODY)
    # WHEN root reads it
    reader = Reader(store)
    reader.scrapes_since(0)
    # THEN every file is still nobody's, while it is open and after
    assert {p.stat().st_uid for p in shared.iterdir()} == {NOBODY}
    reader.close()
    assert {p.stat().st_uid for p in shared.iterdir()} == {NOBODY}
    # AND the daemon's user writes to it
    with subprocess.Popen(as_user(NOBODY, "write", str(store)), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip().isdigit()
        child.kill()


@pytest.mark.live
def test_the_owner_opens_a_store_that_root_opens_at_the_same_moment(shared: Path, empty_store: Path) -> None:
    # Root makes the log's index as its own and then gives it away: one in 25 times the owner was refused in between.
    store = shared / "leakwatch.db"
    store.write_bytes(empty_store.read_bytes())
    store.chmod(0o600)
    os.chown(store, NOBODY, NOBODY)
    argv = as_user(NOBODY, "open", str(store))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        for _ in range(5000):
            rows(store, "SELECT count(*) FROM scrape")
        (shared / "enough").touch()
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert int(out) > 100


def test_a_relative_path_and_one_with_odd_characters_work(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "a?b#c %41.db")
    writer = Writer(Path("a?b#c %41.db"))
    writer.write_scrape(scrape(1))
    reader = Reader(Path("a?b#c %41.db"))
    assert reader.samples(USS, process(1).identity.target)
    reader.close()
    writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a?b#c %41.db"]
