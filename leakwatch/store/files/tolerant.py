"""A connection that reads as far as SQLite can: what a damaged page holds is left out and noted, the rest is used."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from leakwatch.store.files.sqlite_errors import driver_error, result_codes

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, Result


log = logging.getLogger(__name__)


class Damage:
    """Counts what could not be read, and says each once: SQLite has no checksums, so only the payloads' own tell."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def note(self, what: str, error: Exception | str) -> None:
        """Note one piece that is damaged."""
        if what not in self.found:
            self.found.add(what)
            log.warning("%s is damaged (%s) and is left out; what else is damaged: leakwatch db check", what, error)


class Tolerant:
    """Runs statements on a connection; what cannot be read is noted in ``damage``."""

    def __init__(self, connection: Connection, damage: Damage) -> None:
        self._connection, self._damage = connection, damage

    def execute(self, statement: Executable) -> Rows:
        """Run a statement whose rows are wanted."""
        try:
            return Rows(self._connection.execute(statement), self._damage)
        except Exception as error:  # noqa: BLE001 - those of the driver, wrapped or not; others are raised again
            _note(error, self._damage)
            return Rows(None, self._damage)


class Rows:
    """The rows of a statement up to where SQLite can read."""

    def __init__(self, result: Result[Any] | None, damage: Damage) -> None:
        self._result, self._damage = result, damage

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._result or ()
        except Exception as error:  # noqa: BLE001 - those of the driver, wrapped or not; others are raised again
            _note(error, self._damage)

    def all(self) -> list[Any]:
        """Return them all."""
        return list(self)

    def first(self) -> Any:
        """Return the first, None where there is none."""
        return next(iter(self), None)

    def scalar(self) -> Any:
        """Return the first column of the first, None where there is none."""
        row = self.first()
        return None if row is None else row[0]


def _note(error: Exception, damage: Damage) -> None:
    found = driver_error(error)
    if found is None or result_codes(found)[1] != sqlite3.SQLITE_CORRUPT:
        raise error
    damage.note("a page of the store", found)
