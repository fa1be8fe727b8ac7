"""Copies what SQLite can still read of a store that was set aside into the new one, so that a bad page costs itself."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from leakwatch.store.files.connection import PlainConnection
from leakwatch.store.files.driver import connect, connect_to_write, size
from leakwatch.store.sql import salvage as texts

UP_TO_BYTES = 64 << 20
"""A larger one is left as it is: sampling waits meanwhile, 0.1 s for each 2 MiB on a slow card."""

log = logging.getLogger(__name__)


def salvage(kept: Path, into: Path) -> int:
    """Copy all rows that can be read, and make them agree again; return how many scrapes there are; never raises.

    ``into`` is a new store that nothing has been written to.
    """
    if size(kept) > UP_TO_BYTES:
        return 0
    try:
        with (
            contextlib.closing(connect(kept, "mode=ro")) as source,
            contextlib.closing(connect_to_write(into)) as driver,
        ):
            return _copied(source, PlainConnection(driver))
    except Exception as error:  # noqa: BLE001 - a store in any state: what cannot be salvaged is there, set aside
        log.debug("nothing could be salvaged of %s: %s", kept, error)
        return 0


def _copied(source: sqlite3.Connection, target: PlainConnection) -> int:
    for table in texts.TABLES:
        columns = [str(row[1]) for row in target.driver.execute(texts.columns(table))]
        if columns != [str(row[1]) for row in source.execute(texts.columns(table))]:
            return 0  # of another version
        for row in _readable(source, table, columns):
            with contextlib.suppress(sqlite3.IntegrityError):
                target.execute(texts.add(table, columns), row)
    for statement in texts.AGREE:
        target.execute(statement)
    count = int(target.execute(texts.COUNT).fetchone()[0])
    target.commit()
    log.warning("what could be read of it was taken over: %d scrapes", count)
    return count


def _readable(source: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield rows from the first on up to what cannot be read, then from the last on down to it."""
    last = None
    try:
        for number, *row in source.execute(texts.rows(table, columns, "ASC")):
            last = number
            yield tuple(row)
    except sqlite3.DatabaseError:
        with contextlib.suppress(sqlite3.DatabaseError):
            for number, *row in source.execute(texts.rows(table, columns, "DESC")):
                if last is not None and number <= last:
                    return
                yield tuple(row)
