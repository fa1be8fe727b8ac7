"""The SQL that reads names, findings, suspicions, incidents with notes, and scrapes; and of the database itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, func, select, text, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.model.identity import Target
from leakwatch.store import tables as s
from leakwatch.store.encoding.codec import start_ticks_of
from leakwatch.store.sql import daemon

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Select, Table, TextClause, Update


def _is(target: Target) -> tuple[ColumnElement[bool], ...]:
    c, start_ticks = s.target.c, start_ticks_of(target)  # by which of the two indices it is found
    began = c.start_ticks.is_(None) if start_ticks is None else c.start_ticks == start_ticks
    return c.kind == target.kind, began, c.key == target.key


def boots() -> Select[Any]:
    """Every boot with the kernel's id of it."""
    return select(s.boot.c.id, s.boot.c.boot_id)


def series_ever() -> Select[Any]:
    """Every series with its metric and target, of targets that have ended, too."""
    return (
        select(s.series.c.id, s.metric.c.name.label("metric"), s.series.c.target_id, s.target.c.kind, s.target.c.key)
        .join(s.metric, s.metric.c.id == s.series.c.metric_id)
        .join(s.target, s.target.c.id == s.series.c.target_id)
    )


def all_series() -> Select[Any]:
    """Every series whose target lives, with its target."""
    return series_ever().where(s.target.c.last_ms.is_(None))


def series_among(targets: Iterable[int]) -> Select[Any]:
    """Every series of the targets of these numbers."""
    return series_ever().where(s.target.c.id.in_(_each_of(targets)))


def processes_among(targets: Iterable[int]) -> Select[Any]:
    """The processes among the targets of these numbers."""
    return select(s.process).where(s.process.c.target_id.in_(_each_of(targets)))


def _each_of(numbers: Iterable[int]) -> Select[Any]:
    """Thousands of numbers as one parameter: SQLite takes a bounded number of them."""
    return select(func.json_each(json.dumps(sorted(numbers))).table_valued("value").c.value)


def series_of_metrics(names: Iterable[str]) -> Select[Any]:
    """Every series of the given metrics, of targets that have ended, too."""
    return series_ever().where(s.metric.c.name.in_(list(names)))


def processes_alive() -> Select[Any]:
    """Every process not known to have ended."""
    return select(s.process).join(s.target, s.target.c.id == s.process.c.target_id).where(s.target.c.last_ms.is_(None))


def processes_ever() -> Select[Any]:
    """Every process still known, with when it was first seen and when it was found to have ended."""
    return select(s.process, s.target.c.first_ms, s.target.c.last_ms).join(
        s.target, s.target.c.id == s.process.c.target_id
    )


def series_of_kinds(kinds: Iterable[str]) -> Select[Any]:
    """Every series of targets of the given kinds, of those that have ended, too."""
    return series_ever().where(s.target.c.kind.in_(list(kinds)))


def series_by_name(metric: str, target: Target) -> Select[Any]:
    """The number of one series, with its names."""
    return series_ever().where(s.metric.c.name == metric, *_is(target))


def findings(verdicts: Iterable[str] | None) -> Select[Any]:
    """Findings, all of them or those with the given verdicts."""
    query = select(s.finding)
    return query if verdicts is None else query.where(s.finding.c.verdict.in_(list(verdicts)))


def finding_counts() -> Select[Any]:
    """How many findings of living targets there are of each verdict."""
    return (
        select(s.finding.c.verdict, func.count().label("count"))
        .where(s.finding.c.ended_ms.is_(None))
        .group_by(s.finding.c.verdict)
    )


def suspicions() -> Select[Any]:
    """Every suspicion kept."""
    return select(s.suspicion)


def state(key: str) -> Select[Any]:
    """The daemon's state of one key."""
    return select(s.state.c.value).where(s.state.c.key == key)


def states() -> Select[Any]:
    """The daemon's state, key by key."""
    return select(s.state)


ADD_INCIDENT_EVENT = insert(s.incident_event)


def incidents() -> Select[Any]:
    """Every incident, oldest first."""
    return select(s.incident).order_by(s.incident.c.opened_ms, s.incident.c.id)


def incident_events(incident_id: str) -> Select[Any]:
    """One incident's history as it was written, which is its order even when the clock was set back."""
    return select(s.incident_event).where(s.incident_event.c.incident_id == incident_id).order_by(s.incident_event.c.id)


def mark_incident(incident_id: str, values: Mapping[str, object]) -> Update:
    """Note what somebody says of an incident."""
    return update(s.incident).where(s.incident.c.id == incident_id).values(values)


def last_scrape(last_id: int) -> Select[Any]:
    """The newest scrape up to a number."""
    return select(s.scrape).where(s.scrape.c.id <= last_id).order_by(s.scrape.c.id.desc()).limit(1)


def first_scrape() -> Select[Any]:
    """The oldest scrape kept."""
    return select(s.scrape).order_by(s.scrape.c.id).limit(1)


def first_of_boot(boot: int) -> Select[Any]:
    """The oldest scrape kept of a boot."""
    return select(s.scrape.c.ts_ms).where(s.scrape.c.boot_id == boot).order_by(s.scrape.c.id).limit(1)


def scrapes_since(ts_ms: int, last_id: int) -> Select[Any]:
    """Scrapes taken at or after a time, up to a number, oldest first."""
    return select(s.scrape).where(s.scrape.c.ts_ms >= ts_ms, s.scrape.c.id <= last_id).order_by(s.scrape.c.id)


def scrapes_until(ts_ms: int, at_most: int) -> Select[Any]:
    """The last scrapes taken at or before a time, newest first."""
    return select(s.scrape).where(s.scrape.c.ts_ms <= ts_ms).order_by(s.scrape.c.id.desc()).limit(at_most)


def scrape_irregularities(ts_ms: int, after_id: int) -> Select[Any]:
    """How many scrapes since a time, and what was irregular about them; by number, which is the table's order."""
    c = s.scrape.c
    return select(
        func.count().label("scrapes"),
        func.coalesce(func.sum(c.missed), 0).label("missed"),
        func.coalesce(func.sum(c.suspended_ms), 0).label("suspended_ms"),
        func.coalesce(func.sum(func.abs(c.clock_step_ms)), 0).label("clock_stepped_ms"),
        func.coalesce(func.max(c.late_ms), 0).label("latest_ms"),
    ).where(c.id > after_id, c.ts_ms >= ts_ms)


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
