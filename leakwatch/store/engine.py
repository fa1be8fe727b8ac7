"""Connections to the SQLite file, and SQLite's errors in words an operator can act on."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from leakwatch.errors import (
    LeakwatchError,
    PermissionNeededError,
    StoreBusyError,
    StoreCorruptError,
    StoreNotFoundError,
    StoreTooNewError,
    StoreWriteError,
)
from leakwatch.store import schema, statements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

BUSY_TIMEOUT_S = 10
"""How long to wait for a lock: a reader's checkpoint or a backup takes seconds, a deadlock for ever."""
JOURNAL_LIMIT_BYTES = 8 << 20
"""What the write-ahead log is cut back to, so that a long reader's backlog does not stay on a small disk."""

_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full; free space there or lower max_size under [store]",
    sqlite3.SQLITE_READONLY: "it is read-only; make it writable or set another url under [store]",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed; see the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its directory exists and is writable",
    sqlite3.SQLITE_PERM: "access is refused; check its owner",
}


class ForeignDatabaseError(LeakwatchError):
    """A healthy SQLite database of another program."""


def _primary_code(error: BaseException) -> int:
    # The low byte is the primary result code, the rest the extended one (sqlite.org/rescode.html).
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def raise_translated(error: DBAPIError | sqlite3.Error, path: Path) -> NoReturn:
    """Raise the LeakwatchError that says what happened to the store at ``path``."""
    orig: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    code = _primary_code(orig) if orig is not None else 0
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise StoreCorruptError(f"{path} is damaged or no SQLite database ({orig})") from error
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise StoreBusyError(
            f"{path} stayed locked for {BUSY_TIMEOUT_S} s; is a backup or sqlite3 open on it?"
        ) from error
    raise StoreWriteError(f"{path}: {_CAUSES.get(code, orig)}") from error


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors inside into ours."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise_translated(error, path)


def _engine(path: Path, mode: str) -> Engine:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)

    return create_engine("sqlite://", creator=connect, poolclass=StaticPool)


def disconnect(connection: Connection) -> None:
    """Close the file itself, not only SQLAlchemy's view of it: the last one out folds the log into the database."""
    connection.close()
    connection.engine.dispose()


def connect_writer(path: Path) -> Connection:
    """Return the one connection that writes. Raises StoreWriteError, StoreCorruptError or StoreBusyError."""
    with translated(path):
        connection = _engine(path, "mode=rwc").connect()
        # Before the first table, and without effect later: purged pages can be given back to the file system.
        connection.execute(statements.pragma("auto_vacuum=INCREMENTAL"))
        connection.execute(statements.pragma("journal_mode=WAL"))
        # A power cut may lose the last commits but never damages a WAL database (sqlite.org/pragma.html#synchronous).
        connection.execute(statements.pragma("synchronous=NORMAL"))
        connection.execute(statements.pragma(f"journal_size_limit={JOURNAL_LIMIT_BYTES}"))
        connection.commit()
        return connection


def connect_reader(path: Path) -> Connection:
    """Return a read-only connection, whether or not a daemon writes.

    Raises StoreNotFoundError, PermissionNeededError, StoreCorruptError, StoreTooNewError.
    """
    try:
        if not path.stat().st_size:
            raise StoreNotFoundError(f"{path} is empty: no scrape has been stored yet; is the daemon starting?")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise StoreNotFoundError(f"there is no store at {path}; start one with: leakwatch daemon") from None
    except PermissionError:
        raise PermissionNeededError(
            f"{path} may only be read by its owner and root; run the command with sudo"
        ) from None
    try:
        connection = _opened(path, "mode=ro")
    except StoreWriteError:
        # WAL needs its shared-memory file, which cannot be made on read-only media; then nobody writes either.
        connection = _opened(path, "immutable=1")
    check_revision(path, connection)
    return connection


def _opened(path: Path, mode: str) -> Connection:
    with translated(path):
        connection = _engine(path, mode).connect()
        connection.execute(statements.HAS_TABLES)
        return connection


def revision(connection: Connection) -> int | None:
    """Return the schema's revision, None for an empty database. Raises StoreTooNewError for someone else's."""
    if not connection.execute(statements.HAS_TABLES).scalar():
        return None
    try:
        return int(connection.execute(statements.REVISION_OF).scalar_one())
    except (DBAPIError, ValueError, LookupError) as error:
        if isinstance(error, DBAPIError) and _primary_code(error.orig or error) != sqlite3.SQLITE_ERROR:
            raise
        raise ForeignDatabaseError from error
    finally:
        connection.rollback()


def check_revision(path: Path, connection: Connection) -> None:
    """Raise unless the reader's schema and the program's are the same."""
    try:
        with translated(path):
            found = revision(connection)
    except ForeignDatabaseError:
        raise StoreCorruptError(f"{path} is a database of another program; set another url under [store]") from None
    if found is None:
        raise StoreNotFoundError(f"{path} is empty: no scrape has been stored yet; is the daemon starting?")
    if found > int(schema.REVISION):
        raise StoreTooNewError(too_new(path, found))
    if found < int(schema.REVISION):
        raise StoreCorruptError(f"{path} has the older schema {found:04}; start the daemon once, which migrates it")


def too_new(path: Path, found: int) -> str:
    """Return the message for a store of a newer program."""
    return (
        f"{path} was written by a newer leakwatch (schema {found:04}, this one knows {schema.REVISION}); "
        "install the newer leakwatch again or set another url under [store]"
    )
