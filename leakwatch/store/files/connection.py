"""A connection without SQLAlchemy, for the daemon's own transactions.

SQLAlchemy is 15 MB of memory (measured), a third of what the daemon may take, for some twenty statements that never
change. They are texts in ``sql.daemon``; all else in the store is Core, and runs in commands or in a child that ends.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

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
