"""SQLite files as Python's own driver opens them: what every connection to a store begins with.

Without SQLAlchemy, which would be a third of the daemon's memory: ``PlainConnection`` and ``engine`` build on it.

A connection without SQLAlchemy, for the daemon's own transactions.

SQLAlchemy is 15 MB of memory (measured), a third of what the daemon may take, for some twenty statements that never
change. They are texts in ``sql.daemon``; all else in the store is Core, and runs in commands or in a child that ends.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from leakwatch.errors import StoreWriteError
from leakwatch.store.files.sqlite_errors import BUSY_TIMEOUT_S, result_codes, translated

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
