"""SQLAlchemy's connections to the SQLite file: those that maintain it, those that read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from leakwatch.errors import PermissionNeededError, StoreNotFoundError, StorePathError, StoreWriteError
from leakwatch.store.files.driver import connect, connect_to_write, size, translated
from leakwatch.store.files.revision import check_revision
from leakwatch.store.sql import reading

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


BEGIN_WRITING = "BEGIN IMMEDIATE"
"""The lock is taken at once: a transaction that reads before it writes must not find it taken half way."""


def _engine(connect: Callable[[], sqlite3.Connection], begin: str) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin) and None)
    return engine


def borrowing(driver: sqlite3.Connection) -> Connection:
    """Return SQLAlchemy's view of a connection that writes, which stays its owner's to close."""
    return _engine(lambda: driver, BEGIN_WRITING).connect()


def disconnect(connection: Connection) -> None:
    """Close the file itself, not only SQLAlchemy's view of it: the last one out folds the log into the database."""
    try:
        connection.close()
    finally:
        connection.engine.dispose()


def roll_back(connection: Connection) -> None:
    """End the transaction whatever state it is in, without an error.

    A COMMIT that fails ends the transaction for SQLAlchemy, but not always for SQLite, which would then take the rows
    of the next one for more of this.
    """
    with contextlib.suppress(SQLAlchemyError):
        connection.rollback()
    with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
        connection.connection.rollback()


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, for what must run outside a transaction or be stepped through."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def connect_writer(path: Path) -> Connection:
    """Return a connection that writes; raises the errors of ``driver.connect_to_write``."""
    return borrowing(connect_to_write(path))


def connect_inspector(path: Path) -> Connection:
    """Return a connection that changes nothing of an existing database, but can recover it after a crash."""
    return _connected(path, "mode=rw")


def connect_marker(path: Path) -> Connection:
    """Return a connection to note something in a store of this schema, whether or not a daemon writes to it.

    SQLite gives the log and index it makes beside the store to the store's owner when root asks, so that the daemon can
    go on with them. Raises StoreNotFoundError, PermissionNeededError, StoreCorruptError, StoreTooNewError,
    StoreWriteError.
    """
    _check_readable(path)
    if not os.access(path, os.W_OK, effective_ids=True):
        if os.geteuid() in (0, path.stat().st_uid):
            raise StoreWriteError(f"{path} is read-only; make it writable")
        raise PermissionNeededError(f"{path} may only be changed by its owner and root; run the command with sudo")
    connection = _connected(path, "mode=rw", begin=BEGIN_WRITING)
    try:
        check_revision(path, driver_of(connection))
    except BaseException:
        disconnect(connection)
        raise
    return connection


def connect_reader(path: Path) -> Connection:
    """Return a read-only connection, whether or not a daemon writes.

    Raises StoreNotFoundError, PermissionNeededError, StoreCorruptError, StoreTooNewError.
    """
    _check_readable(path)
    try:
        connection = _connected(path, "mode=ro")
    except StoreWriteError:
        # WAL needs its shared-memory file, which cannot be made on read-only media; then nobody writes either. But
        # what is still in the log would be missed without a word.
        if size(path.with_name(path.name + "-wal")):
            raise PermissionNeededError(
                f"{path} is in use or was not closed in order, and you may not use the log beside it; run the command "
                "with sudo, or on a copy of all its files in a directory of your own"
            ) from None
        connection = _connected(path, "immutable=1")
    try:
        check_revision(path, driver_of(connection))
    except BaseException:
        disconnect(connection)
        raise
    return connection


def _check_readable(path: Path) -> None:
    # Asked, not tried: whoever opens and closes the file beside SQLite drops all POSIX locks that his process holds on
    # it, and with them what keeps others from deleting the daemon's log (sqlite.org/howtocorrupt.html, section 2.2).
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(f"there is no store at {path}; start one with: leakwatch daemon") from None
    except PermissionError:
        found = None
    except OSError as error:
        raise StorePathError(f"{path} cannot be a store ({error.strerror}); set another url under [store]") from None
    if found is None or not os.access(path, os.R_OK, effective_ids=True):
        raise PermissionNeededError(f"{path} may only be read by its owner and root; run the command with sudo")
    if not stat.S_ISREG(found.st_mode):
        raise StorePathError(f"{path} is no file; set another url under [store]")
    if not found.st_size:
        raise StoreNotFoundError(f"{path} is empty: no scrape has been stored yet; is the daemon starting?")


def _connected(path: Path, mode: str, *, begin: str = "BEGIN") -> Connection:
    with translated(path):
        connection = _engine(lambda: connect(path, mode), begin).connect()
        try:
            connection.execute(reading.TABLE_NAMES).all()  # SQLite reads the schema at the first query
            connection.rollback()
        except BaseException:
            disconnect(connection)
            raise
        return connection
