"""Whose database this is, and of which revision of the schema."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from leakwatch.errors import LeakwatchError, StoreCorruptError, StoreNotFoundError, StoreTooNewError
from leakwatch.store import schema
from leakwatch.store.failures import result_codes, translated
from leakwatch.store.sql import database

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

_OUR_TABLES = frozenset({"scrape", "series", "target"})
_ALEMBIC_TABLE = "alembic_version"


class ForeignDatabaseError(LeakwatchError):
    """A healthy SQLite database of another program."""


def revision(connection: Connection) -> int | None:
    """Return the schema's revision, None for an empty database. Raises ForeignDatabaseError for someone else's."""
    try:
        names = frozenset(connection.execute(database.TABLE_NAMES).scalars())
        found = connection.execute(database.REVISIONS).scalars().all() if _ALEMBIC_TABLE in names else []
    except DBAPIError as error:
        if result_codes(error.orig)[1] != sqlite3.SQLITE_ERROR:
            raise
        raise ForeignDatabaseError from error
    finally:
        connection.rollback()
    if not found and names <= {_ALEMBIC_TABLE}:
        return None  # new, or every migration was taken back by hand
    if len(found) != 1 or not names >= _OUR_TABLES or not str(found[0]).isdecimal():
        raise ForeignDatabaseError
    return int(found[0])


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
