"""Connections to the SQLite file: the one that writes, those that read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from leakwatch.errors import PermissionNeededError, StoreNotFoundError, StoreWriteError
from leakwatch.store.failures import BUSY_TIMEOUT_S, translated
from leakwatch.store.revision import check_revision
from leakwatch.store.sql import database

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

PAGE_BYTES = 2048
"""Of a new file. A scrape adds a little to some ten tables and indices, and SQLite writes the whole page of each: pages
of 4096 make a third more to write, of 1024 a third more to store, as a day of a series no longer fits in well."""
LOG_BYTES = 8 << 20
"""At this length the write-ahead log is folded into the file, so that what was written many times goes into it once; a
long reader's backlog is cut back to it. Half of it writes 6 % more; reading it after a crash takes 4 ms."""
_NEW_FILE = (f"page_size={PAGE_BYTES}", "auto_vacuum=INCREMENTAL")
"""Purged pages can be given back to the file system; both must be set before the first page is written."""
_WRITER_SETTINGS = (
    "journal_mode=WAL",
    # A power cut may lose the last commits but never damages a WAL database (sqlite.org/pragma.html#synchronous).
    "synchronous=NORMAL",
    "secure_delete=OFF",
    # Pages kept in memory, in KiB, 2000 by default: a writer appends, and what it touches again fits in this. Measured
    # over 20 hours: 0.6 MB less, and the cache no longer fills as the store grows.
    "cache_size=-400",
    f"journal_size_limit={LOG_BYTES}",
)


def _engine(path: Path, mode: str, *, begin: str, settings: tuple[str, ...] = ()) -> Engine:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"

    def connect() -> sqlite3.Connection:
        # Without an isolation level the driver begins nothing by itself: its own way leaves the first SELECT and every
        # CREATE TABLE outside the transaction, and half a migration behind.
        driver = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
        try:
            for setting in settings:
                driver.execute(f"PRAGMA {setting}").fetchall()
        except BaseException:
            driver.close()
            raise
        return driver

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin) and None)
    return engine


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
    """Return the one connection that writes; a new store can be read by its owner alone.

    Raises StoreWriteError, StoreCorruptError or StoreBusyError.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreWriteError(
            f"{path} cannot be created ({error.strerror}); make {path.parent} writable or set url under [store]"
        ) from error
    settings = _WRITER_SETTINGS if _size(path) else _NEW_FILE + _WRITER_SETTINGS
    # The lock is taken at once: a transaction that reads before it writes must not find it taken half way.
    connection = _connected(path, "mode=rwc", begin="BEGIN IMMEDIATE", settings=settings)
    driver = driver_of(connection)
    page_bytes = driver.execute(database.PAGE_SIZE).fetchone()[0]  # what it was made with, maybe by an earlier version
    driver.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // page_bytes}").fetchall()
    return connection


def connect_inspector(path: Path) -> Connection:
    """Return a connection that changes nothing of an existing database, but can recover it after a crash."""
    return _connected(path, "mode=rw", begin="BEGIN")


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
    connection = _connected(path, "mode=rw", begin="BEGIN IMMEDIATE")
    try:
        check_revision(path, connection)
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
        connection = _connected(path, "mode=ro", begin="BEGIN")
    except StoreWriteError:
        # WAL needs its shared-memory file, which cannot be made on read-only media; then nobody writes either. But
        # what is still in the log would be missed without a word.
        if _size(path.with_name(path.name + "-wal")):
            raise PermissionNeededError(
                f"{path} is in use or was not closed in order, and you may not use the log beside it; run the command "
                "with sudo, or on a copy of all its files in a directory of your own"
            ) from None
        connection = _connected(path, "immutable=1", begin="BEGIN")
    try:
        check_revision(path, connection)
    except BaseException:
        disconnect(connection)
        raise
    return connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_readable(path: Path) -> None:
    # Asked, not tried: whoever opens and closes the file beside SQLite drops all POSIX locks that his process holds on
    # it, and with them what keeps others from deleting the daemon's log (sqlite.org/howtocorrupt.html, section 2.2).
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(f"there is no store at {path}; start one with: leakwatch daemon") from None
    except PermissionError:
        found = None
    if found is None or not os.access(path, os.R_OK, effective_ids=True):
        raise PermissionNeededError(f"{path} may only be read by its owner and root; run the command with sudo")
    if not stat.S_ISREG(found.st_mode):
        raise StoreNotFoundError(f"{path} is no file")
    if not found.st_size:
        raise StoreNotFoundError(f"{path} is empty: no scrape has been stored yet; is the daemon starting?")


def _connected(path: Path, mode: str, *, begin: str, settings: tuple[str, ...] = ()) -> Connection:
    with translated(path):
        connection = _engine(path, mode, begin=begin, settings=settings).connect()
        try:
            connection.execute(database.TABLE_NAMES).all()  # SQLite opens the file at the first statement
            connection.rollback()
        except BaseException:
            disconnect(connection)
            raise
        return connection
