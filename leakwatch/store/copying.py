"""A backup of a store, taken while a daemon writes to it, and room given back to the file system."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from leakwatch.errors import OutputExistsError, StoreCorruptError, StoreWriteError
from leakwatch.store import engine
from leakwatch.store.driver import PAGE_BYTES
from leakwatch.store.failures import translated
from leakwatch.store.lock import StoreLock
from leakwatch.store.reader import Reader
from leakwatch.store.sql import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def back_up(reader: Reader, into: Path, *, force: bool = False) -> int:
    """Copy the store as it is at this moment to a file of its own; return its size in bytes.

    By SQLite's backup interface in one step, a read transaction: the daemon's writes go on and are not in it. The copy
    is checked and on the disk before it gets its name; it can be read by its owner alone. Raises OutputExistsError,
    StoreWriteError, StoreCorruptError.
    """
    if into.exists() and not force:
        raise OutputExistsError(f"{into} is there already; give another name, or --force to replace it")
    if into.exists() and into.samefile(reader.path):
        raise OutputExistsError(f"{into} is the store itself; give another name")
    part = into.with_name(f".{into.name}.part-{os.getpid()}")
    with _written(part, into):
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with translated(part), contextlib.closing(sqlite3.connect(part)) as copy:
            with reader.reading() as connection:
                engine.driver_of(connection).backup(copy)
            copy.execute(database.ONE_FILE).fetchall()
        _verify(part)
        _sync(part)
        if force:
            part.replace(into)
        else:
            os.link(part, into)  # fails where somebody else was faster, as a rename would not
            part.unlink()
        _sync(into.parent)
    return into.stat().st_size


@contextlib.contextmanager
def _written(part: Path, into: Path) -> Iterator[None]:
    """Turn errors of the file system into ours, and leave nothing half done."""
    try:
        yield
    except FileExistsError:
        raise OutputExistsError(f"{into} is there already; give another name, or --force to replace it") from None
    except OSError as error:
        raise StoreWriteError(
            f"{into} cannot be written ({error.strerror}); give a place that is writable and has room"
        ) from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _verify(part: Path) -> None:
    copy = Reader(part)
    try:
        with copy.reading() as connection:
            answer = connection.execute(database.QUICK_CHECK).scalar_one()
    finally:
        copy.close()
    if answer != "ok":
        raise StoreCorruptError(f"the copy is damaged ({' '.join(answer.split())}); see: leakwatch db check")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def vacuum(path: Path) -> tuple[int, int]:
    """Write the store anew without the room it does not need; return its size before and after.

    Holds the daemon's lock meanwhile. Raises StoreBusyError where a daemon has it, and the errors of
    ``engine.connect_marker``.
    """
    connection = engine.connect_marker(path)
    try:
        lock = StoreLock(path)
        try:
            _give_to_owner(path)
            before = path.stat().st_size
            with translated(path):
                driver = engine.driver_of(connection)
                connection.rollback()
                for statement in _anew(driver.execute(database.PAGE_SIZE).fetchone()[0]):
                    driver.execute(statement).fetchall()
            return before, path.stat().st_size
        finally:
            lock.release()
    finally:
        engine.disconnect(connection)


def _anew(page_bytes: int) -> tuple[str, ...]:
    """Return what writes a store of such pages anew; those of an earlier version become ours."""
    if page_bytes == PAGE_BYTES:
        return database.FOLD_LOG, database.VACUUM, database.FOLD_LOG
    # SQLite keeps the size of pages while there is a log.
    return database.ONE_FILE, f"{database.PAGE_SIZE}={PAGE_BYTES}", database.VACUUM, database.WITH_LOG


def _give_to_owner(path: Path) -> None:
    """Let the store's owner have the lock that root may just have made: the daemon must be able to take it."""
    if os.geteuid() == 0:
        of = path.stat()
        os.chown(path.with_name(path.name + ".lock"), of.st_uid, of.st_gid)
