"""Whose database this is, and of which revision of the schema."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from leakwatch.errors import LeakwatchError, StoreCorruptError, StoreNotFoundError, StoreTooNewError
from leakwatch.store.files.driver import result_codes, translated
from leakwatch.store.sql import daemon as texts

REVISION = "0005"
"""The newest migration. Known here so that a start need not load Alembic to see that nothing is to be done."""
_OUR_TABLES = frozenset({"scrape", "series", "target"})
_ALEMBIC_TABLE = "alembic_version"


class ForeignDatabaseError(LeakwatchError):
    """A healthy SQLite database of another program."""


def revision(driver: sqlite3.Connection) -> int | None:
    """Return the schema's revision, None for an empty database. Raises ForeignDatabaseError for someone else's."""
    try:
        names = frozenset(name for (name,) in driver.execute(texts.TABLE_NAMES))
        found = [number for (number,) in driver.execute(texts.REVISIONS)] if _ALEMBIC_TABLE in names else []
    except sqlite3.Error as error:
        if result_codes(error)[1] != sqlite3.SQLITE_ERROR:
            raise
        raise ForeignDatabaseError from error
    if not found and names <= {_ALEMBIC_TABLE}:
        return None  # new, or every migration was taken back by hand
    if len(found) != 1 or not names >= _OUR_TABLES or not str(found[0]).isdecimal():
        raise ForeignDatabaseError
    return int(found[0])


def check_revision(path: Path, driver: sqlite3.Connection) -> None:
    """Raise unless the reader's schema and the program's are the same."""
    try:
        with translated(path):
            found = revision(driver)
    except ForeignDatabaseError:
        raise StoreCorruptError(f"{path} is a database of another program; set another url under [store]") from None
    if found is None:
        raise StoreNotFoundError(f"{path} is empty: no scrape has been stored yet; is the daemon starting?")
    if found > int(REVISION):
        raise StoreTooNewError(too_new(path, found))
    if found < int(REVISION):
        raise StoreCorruptError(f"{path} has the older schema {found:04}; start the daemon once, which migrates it")


def too_new(path: Path, found: int) -> str:
    """Return the message for a store of a newer program."""
    return (
        f"{path} was written by a newer leakwatch (schema {found:04}, this one knows {REVISION}); "
        "install the newer leakwatch again or set another url under [store]"
    )
