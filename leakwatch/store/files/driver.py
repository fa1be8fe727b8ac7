"""SQLite files as Python's own driver opens them: what every connection to a store begins with; errors in words.

The daemon's own transactions take ``PlainConnection``, without SQLAlchemy: that is 15 MB of memory (measured), a third
of what the daemon may take, for some twenty statements that never change. They are texts in ``sql.daemon``; all else in
the store is Core, and runs in commands or in a child that ends.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from leakwatch.errors import StoreBusyError, StoreCorruptError, StoreWriteError

BUSY_TIMEOUT_S = 10
"""How long to wait for a lock: a reader's checkpoint or a backup takes seconds, a deadlock for ever."""

_FULL = "the disk is full; free space there or lower max_size under [store]"
_CAUSES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # the log's index could not grow: the first to be refused on a full disk
    sqlite3.SQLITE_READONLY: "it is read-only; make it writable or set another url under [store]",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed, or a quota is used up; see the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its directory exists and is writable",
    sqlite3.SQLITE_PERM: "access is refused; check its owner",
}


_DAMAGED = sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB


def result_codes(error: BaseException | None) -> tuple[int, int]:
    """Return the extended and the primary result code, 0 where there is none."""
    extended = getattr(error, "sqlite_errorcode", None) or 0
    return extended, extended & 0xFF  # the low byte is the primary code (sqlite.org/rescode.html)


def may_need_reopening(error: BaseException) -> bool:
    """Return whether a store that could not be written may be so only to the connection that is open on it.

    A full disk is not of that kind: to close would give back the log and its index, for which there is no room then.
    """
    extended, code = result_codes(error.__cause__)
    return code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and (
        extended != sqlite3.SQLITE_IOERR_SHMSIZE
    )


def driver_error(error: BaseException) -> sqlite3.Error | None:
    """Return the driver's error in one that was raised, None where it is about something else.

    SQLAlchemy wraps it and keeps it as ``orig``: asked for by name, so that who does without need not load it.
    """
    found = getattr(error, "orig", error)
    return found if isinstance(found, sqlite3.Error) else None


def raise_translated(error: sqlite3.Error, path: Path) -> NoReturn:
    """Raise the LeakwatchError that says what happened to the store at ``path``."""
    extended, code = result_codes(error)
    if code in _DAMAGED or "decode to UTF-8" in str(error):
        raise StoreCorruptError(f"{path} is damaged or no SQLite database ({error})") from error
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise StoreBusyError(f"{path} stayed locked; is a backup or sqlite3 open on it?") from error
    raise StoreWriteError(f"{path}: {_CAUSES.get(extended) or _CAUSES.get(code) or error}") from error


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors inside into ours."""
    try:
        yield
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes a damaged schema
        raise StoreCorruptError(f"{path} is damaged: its schema cannot be read") from error
    except Exception as error:
        found = driver_error(error)
        if found is None:
            raise
        raise_translated(found, path)


PAGE_BYTES = 2048
"""Of a new file. A scrape adds a little to some ten tables and indices, and SQLite writes the whole page of each: pages
of 4096 make a third more to write, of 1024 a third more to store, as a day of a series no longer fits in well."""
LOG_BYTES = 8 << 20
"""At this length the write-ahead log is folded into the file, so that what was written many times goes into it once; a
long reader's backlog is cut back to it. Half of it writes 6 % more; reading it after a crash takes 4 ms."""
GIVEN_WITHIN_S = 1.0
"""Root who opens a service's store first makes its log and index and then gives them to the store's owner, who is
refused in between. Measured: 4 % of what the owner opens while root opens and closes it without a pause."""
_TEXT = partial(str, encoding="utf-8", errors="surrogateescape")
"""Damaged text is read as any other, and found out where it is used: it must not end what reads all else."""
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


def connect(path: Path, mode: str, settings: tuple[str, ...] = ()) -> sqlite3.Connection:
    """Return a connection in one of SQLite's modes that has opened the file, with settings applied.

    Tries again where the store cannot be opened for the moment. Raises sqlite3.Error.
    """
    deadline = time.monotonic() + GIVEN_WITHIN_S
    while True:
        try:
            return _connected(path, mode, settings)
        except sqlite3.OperationalError as error:
            lasting = result_codes(error)[1] != sqlite3.SQLITE_CANTOPEN or not os.access(path.parent, os.W_OK)
            if lasting or not path.is_file() or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)


def _connected(path: Path, mode: str, settings: tuple[str, ...]) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    # Without an isolation level the driver begins nothing by itself: its own way leaves the first SELECT and every
    # CREATE TABLE outside the transaction, and half a migration behind.
    driver = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
    driver.text_factory = _TEXT
    try:
        for setting in (*settings, "schema_version"):  # SQLite opens the file when it is first asked about it
            driver.execute(f"PRAGMA {setting}").fetchall()
    except BaseException:
        driver.close()
        raise
    return driver


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection that writes; a new store can be read by its owner alone.

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
    settings = _WRITER_SETTINGS if size(path) else _NEW_FILE + _WRITER_SETTINGS
    with translated(path):
        driver = connect(path, "mode=rwc", settings)
        try:
            page_bytes = driver.execute("PRAGMA page_size").fetchone()[0]  # as it was made, maybe by an earlier version
            driver.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // page_bytes}").fetchall()
            driver.execute("SELECT count(*) FROM sqlite_master").fetchone()  # which reads the schema
        except BaseException:
            driver.close()
            raise
    return driver


def size(path: Path) -> int:
    """Return a file's length, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


Values = Mapping[str, object] | Sequence[object]


class PlainConnection:
    """Runs texts with ``:name`` or ``?`` parameters; a transaction begins with the first and ends with ``commit``.

    Every method raises sqlite3.Error.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        self.driver = driver

    def execute(self, sql: str, values: Values = ()) -> sqlite3.Cursor:
        """Run a statement; its rows have their columns as attributes."""
        cursor = self._cursor()
        cursor.row_factory = _row
        return cursor.execute(sql, _bound(values))

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once for each row."""
        self._cursor().executemany(sql, map(_bound, rows))

    def _cursor(self) -> sqlite3.Cursor:
        if not self.driver.in_transaction:
            # The lock is taken at once: a transaction that reads before it writes must not find it taken half way.
            self.driver.execute("BEGIN IMMEDIATE")
        return self.driver.cursor()

    def commit(self) -> None:
        """End the transaction."""
        self.driver.commit()

    def roll_back(self) -> None:
        """End the transaction whatever state it is in, without an error."""
        with contextlib.suppress(sqlite3.Error):
            self.driver.rollback()


def _bound(values: Values) -> Any:
    """Return the values as SQLite can hold them; see ``schema.KernelText``."""
    if isinstance(values, Mapping):
        return {name: _stored(value) for name, value in values.items()}
    return [_stored(value) for value in values]


def _stored(value: object) -> object:
    return stored_text(value) if isinstance(value, str) and not value.isascii() else value


def stored_text(text: str) -> str | bytes:
    """Return text as it is kept: the kernel's need not be UTF-8, and SQLite refuses surrogate escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def loaded_text(value: str | bytes | None) -> str | None:
    """Return what was given to ``stored_text``."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


@cache
def _row_class(columns: tuple[str, ...]) -> Any:
    return namedtuple("Row", columns)  # noqa: PYI024 - the columns are known only here


def _row(cursor: sqlite3.Cursor, values: tuple[object, ...]) -> Any:
    """Return a row of names and numbers, what the daemon reads: all bytes in it are text."""
    columns = tuple(column[0] for column in cursor.description)
    return _row_class(columns)._make(loaded_text(v) if isinstance(v, bytes) else v for v in values)
