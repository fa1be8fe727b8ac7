"""Whether each row makes sense: sorts of values, texts, JSON, and that what a row refers to is there.

SQLite has no checksums: it takes any bytes for a text. What names, findings, incidents and states say is read here as
those do who use them; samples and blocks have checksums of their own, see ``integrity``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer
from sqlalchemy.exc import DBAPIError

from leakwatch.model.identity import ProcessIdentity, ServiceKind
from leakwatch.model.incident import EventKind
from leakwatch.model.verdict import Verdict
from leakwatch.store import tables
from leakwatch.store.encoding import codec
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.files.connection import loaded_text
from leakwatch.store.incident import rows
from leakwatch.store.sql import database

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Row, Table

_METRIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def damaged_rows(connection: Connection) -> Iterator[str]:
    """Yield what is wrong, row by row, as far as SQLite can read each table."""
    numbers = {table.name: _numbers(connection, table) for table in (tables.boot, tables.metric, tables.target)}
    numbers |= {table.name: _numbers(connection, table) for table in (tables.scrape, tables.series)}
    for table in tables.metadata.sorted_tables:
        try:
            for row in connection.execute(database.raw_rows(table)):
                wrong = _wrong(table, row) or _refers(table, row, numbers)
                if wrong:
                    yield f"{table.name} {_shown(row[0])}: {wrong}"
        except DBAPIError as error:
            yield f"{table.name}: SQLite cannot read all of it ({error.orig})"


def _numbers(connection: Connection, table: Table) -> frozenset[int]:
    try:
        return frozenset(connection.execute(database.row_numbers(table)).scalars())
    except DBAPIError:
        return frozenset()


def _shown(key: object) -> str:
    told = loaded_text(key) if isinstance(key, bytes | str) else key
    return ascii(told)[:80]


def _wrong(table: Table, row: Row[Any]) -> str:
    for column, value in zip(database.raw_columns(table), row, strict=True):
        wrong = _value(column, value)
        if wrong:
            return f"{column.name}: {wrong}"
    check = _MEANINGS.get(table.name)
    if check is None:
        return ""
    try:
        return check(_Decoded(table, row)) or ""
    except (PayloadError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


class _Decoded:
    """A row as readers see it."""

    def __init__(self, table: Table, row: Row[Any]) -> None:
        for column, value in zip(database.raw_columns(table), row, strict=True):
            setattr(self, column.name, loaded_text(value) if isinstance(value, bytes) else value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _value(column: Column[Any], value: object) -> str:
    if value is None:
        return "" if column.nullable else "nothing where something must be"
    if isinstance(column.type, Integer | BigInteger):
        return "" if isinstance(value, int) else "no number"
    if isinstance(column.type, tables.KernelText) and isinstance(value, bytes):
        return ""  # what the kernel gave as it is
    if not isinstance(value, str):
        return "no text"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "text with damaged bytes"
    return ""


def _refers(table: Table, row: Row[Any], numbers: dict[str, frozenset[int]]) -> str:
    for column, value in zip(database.raw_columns(table), row, strict=True):
        to = _REFERS.get((table.name, column.name))
        if to is not None and value not in numbers[to]:
            return f"it is of {to} {_shown(value)}, which is not there"
    return ""


_REFERS = {
    ("scrape", "boot_id"): "boot",
    ("process", "target_id"): "target",
    ("series", "metric_id"): "metric",
    ("series", "target_id"): "target",
    ("suspicion", "series_id"): "series",
    ("sample_round", "scrape_id"): "scrape",
}


def _scrape(row: Any) -> str:
    return "" if isinstance(json.loads(row.notes), dict) else "notes: no object"


def _target(row: Any) -> str:
    target = codec.decode_target(row.kind, row.key)
    return "" if codec.start_ticks_of(target) == row.start_ticks else "key and start_ticks are of two processes"


def _process(row: Any) -> str:
    if row.service_kind is not None:
        ServiceKind(row.service_kind)
    return "" if ProcessIdentity(row.boot_id, row.pid, row.start_ticks).target.key else "no process"


def _metric(row: Any) -> str:
    return "" if _METRIC.fullmatch(row.name) else f"no metric is called {_shown(row.name)}"


def _finding(row: Any) -> str:
    found = codec.finding_of(row.payload)
    Verdict(row.verdict)
    return "" if (found.id, found.kind) == (row.id, row.kind) else "it says that it is another finding"


def _incident(row: Any) -> str:
    rows.incident_of(row)
    rows.progress_of(row.payload)
    return ""


def _event(row: Any) -> str:
    return "" if row.kind in frozenset(EventKind) else f"no event is of kind {_shown(row.kind)}"


def _json(name: str) -> Callable[[Any], str]:
    def check(row: Any) -> str:
        json.loads(getattr(row, name))
        return ""

    return check


_MEANINGS: dict[str, Callable[[Any], str]] = {
    "scrape": _scrape,
    "target": _target,
    "process": _process,
    "metric": _metric,
    "finding": _finding,
    "incident": _incident,
    "incident_event": _event,
    "suspicion": _json("payload"),
    "state": _json("value"),
}
