"""A backup of a store, taken while a daemon writes to it, and room given back to the file system."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from leakwatch.errors import OutputExistsError, StoreCorruptError
from leakwatch.store.files import engine
from leakwatch.store.files.driver import PAGE_BYTES, result_codes, translated
from leakwatch.store.files.lock import StoreLock
from leakwatch.store.read.reader import Reader
from leakwatch.store.sql import reading
from leakwatch.text import outfile

OWN_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")
"""Behind the store's name: the files that belong to it."""
_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}


def back_up(reader: Reader, into: Path, *, force: bool = False) -> int:
    """Copy the store as it is at this moment to a file of its own; return its size in bytes.

    By SQLite's backup interface in one step, a read transaction: the daemon's writes go on and are not in it. The copy
    is checked and on the disk before it gets its name; it can be read by its owner alone. Raises OutputExistsError,
    StoreWriteError, StoreCorruptError.
    """
    refuse_own_files(reader.path, into)
    with outfile.path_of(into, replace=force) as part:
        part.touch(outfile.OWNER_ONLY)
        part.chmod(outfile.OWNER_ONLY)  # whatever the umask
        with reader.reading() as store, _as_system_errors(), contextlib.closing(sqlite3.connect(part)) as copy:
            engine.driver_of(store).backup(copy)
            copy.execute(reading.ONE_FILE).fetchall()
        _verify(part)
    return into.stat().st_size


def refuse_own_files(store: Path, into: Path) -> None:
    """Raise OutputExistsError where an output would take the place of the store or of a file that belongs to it."""
    real = os.path.realpath(store)
    is_own = os.path.realpath(into) in {real + suffix for suffix in OWN_SUFFIXES}
    with contextlib.suppress(OSError):  # it is not there, or cannot be: writing it will say so
        is_own = is_own or into.samefile(store)
    if is_own:
        raise OutputExistsError(f"{into} is the store itself; give another name")


@contextlib.contextmanager
def _as_system_errors() -> Iterator[None]:
    """Turn SQLite's errors about the copy's disk into the operating system's; the store's own stay as they are."""
    try:
        yield
    except sqlite3.Error as error:
        if number := _SYSTEM_ERRORS.get(result_codes(error)[1]):
            raise OSError(number, os.strerror(number)) from error
        raise


def _verify(part: Path) -> None:
    copy = Reader(part)
    try:
        with copy.reading() as connection:
            answer = connection.execute(reading.QUICK_CHECK).scalar_one()
    finally:
        copy.close()
    if answer != "ok":
        raise StoreCorruptError(f"the copy is damaged ({' '.join(answer.split())}); see: leakwatch db check")


def vacuum(path: Path) -> tuple[int, int]:
    """Write the store anew without the room it does not need; return its size before and after.

    Holds the daemon's lock meanwhile. Raises StoreBusyError where a daemon has it, and the errors of
    ``engine.connect_marker``.
    """
    engine.disconnect(engine.connect_marker(path))  # says best what is wrong with it
    lock = StoreLock(path)
    try:
        lock.give_to_owner()
        before = path.stat().st_size
        connection = engine.connect_marker(path)
        try:
            with translated(path):
                driver = engine.driver_of(connection)
                connection.rollback()
                for statement in _anew(driver.execute(reading.PAGE_SIZE).fetchone()[0]):
                    driver.execute(statement).fetchall()
        finally:
            engine.disconnect(connection)
        return before, path.stat().st_size
    finally:
        lock.release()


def _anew(page_bytes: int) -> tuple[str, ...]:
    """Return what writes a store of such pages anew; those of an earlier version become ours."""
    if page_bytes == PAGE_BYTES:
        return reading.FOLD_LOG, reading.VACUUM, reading.FOLD_LOG
    # SQLite keeps the size of pages while there is a log.
    return reading.ONE_FILE, f"{reading.PAGE_SIZE}={PAGE_BYTES}", reading.VACUUM, reading.WITH_LOG
