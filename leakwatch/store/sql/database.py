"""The SQL about the database itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, func, select, text

from leakwatch.store.sql import daemon

if TYPE_CHECKING:
    from sqlalchemy import Column, Select, Table, TextClause

TABLE_NAMES = text(daemon.TABLE_NAMES)
QUICK_CHECK = text(daemon.QUICK_CHECK)
INTEGRITY_CHECK = text("PRAGMA integrity_check(20)")
TABLE_SIZES = text("SELECT name, SUM(pgsize) AS bytes FROM dbstat WHERE aggregate = TRUE GROUP BY name")
"""What each table and index takes; some builds of SQLite have no ``dbstat``."""
TABLE_OF = text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'")
VACUUM = "VACUUM"
"""For the driver itself: it cannot run in a transaction."""
FOLD_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
ONE_FILE = "PRAGMA journal_mode=DELETE"
"""Folds the log into the file and does without one from then on: what a backup is left as."""
WITH_LOG = "PRAGMA journal_mode=WAL"
PAGE_SIZE = "PRAGMA page_size"


def pragma(name: str) -> TextClause:
    """One of SQLite's settings, by a name of our own choosing."""
    return text(f"PRAGMA {name}")


def count_rows(table: Table) -> Select[Any]:
    """How many rows a table has."""
    return select(func.count()).select_from(table)


def raw_columns(table: Table) -> list[Column[Any]]:
    """The columns of a table but those that hold samples and blocks."""
    return [column for column in table.columns if not isinstance(column.type, LargeBinary)]


def raw_rows(table: Table) -> TextClause:
    """All rows of a table, as they are stored: without what the schema makes of them."""
    return text(f"SELECT {', '.join(column.name for column in raw_columns(table))} FROM {table.name}")  # noqa: S608


def row_numbers(table: Table) -> TextClause:
    """The numbers of a table's rows."""
    return text(f"SELECT rowid FROM {table.name}")  # noqa: S608 - our own name
