"""Every SQL statement of the store, as functions that return statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import schema as s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Delete, Select, TextClause, Update
    from sqlalchemy.dialects.sqlite import Insert

ADD_SCRAPE = insert(s.scrape)
ADD_SAMPLES = insert(s.sample)
ADD_TARGET = insert(s.target)
ADD_SERIES = insert(s.series)
ADD_INCIDENT_EVENTS = insert(s.incident_event)
REVISIONS = text("SELECT version_num FROM alembic_version")
TABLE_NAMES = text("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
QUICK_CHECK = text("PRAGMA quick_check(1)")


def add_blocks() -> Insert:
    """A block that was half full at a restart is completed and replaces its first half."""
    statement = insert(s.block)
    columns = ("n", "minimum", "median", "maximum", "last", "segment_ms")
    return statement.on_conflict_do_update(
        index_elements=["span_s", "start_ms", "series_id"],
        set_={name: statement.excluded[name] for name in columns},
    )


def add_boot(boot_id: str) -> Insert:
    """Add a boot unless it is known."""
    return insert(s.boot).values(boot_id=boot_id).on_conflict_do_nothing()


def boot_number(boot_id: str) -> Select[Any]:
    """The short number of a boot."""
    return select(s.boot.c.id).where(s.boot.c.boot_id == boot_id)


def put_process() -> Insert:
    """Add a process or renew what names it (an exec, a move to another cgroup)."""
    statement = insert(s.process)
    columns = ("name", "command", "uid", "service_kind", "service_name")
    return statement.on_conflict_do_update(
        index_elements=["target_id"], set_={name: statement.excluded[name] for name in columns}
    )


def put_finding() -> Insert:
    """Add or replace a finding by its id."""
    statement = insert(s.finding)
    columns = ("kind", "verdict", "evaluated_ms", "payload", "ended_ms")
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in columns}
    )


def put_suspicion() -> Insert:
    """Add or replace a series' suspicion."""
    statement = insert(s.suspicion)
    return statement.on_conflict_do_update(index_elements=["series_id"], set_={"payload": statement.excluded.payload})


def put_state() -> Insert:
    """Add or replace one value of the daemon's state."""
    statement = insert(s.state)
    return statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})


def drop_suspicions(series_ids: Iterable[int]) -> Delete:
    """Forget suspicions that did not hold."""
    return delete(s.suspicion).where(s.suspicion.c.series_id.in_(list(series_ids)))


def highest_target() -> Select[Any]:
    """The largest target number in use, 0 where there is none."""
    return select(func.coalesce(func.max(s.target.c.id), 0))


def highest_series() -> Select[Any]:
    """The largest series number in use, 0 where there is none."""
    return select(func.coalesce(func.max(s.series.c.id), 0))


def all_series() -> Select[Any]:
    """Every series whose target lives, with its target."""
    return (
        select(s.series.c.id, s.series.c.metric, s.target.c.id.label("target_id"), s.target.c.kind, s.target.c.key)
        .join(s.target, s.target.c.id == s.series.c.target_id)
        .where(s.target.c.last_ms.is_(None))
    )


def series_of_metrics(metrics: Iterable[str]) -> Select[Any]:
    """Every series of the given metrics, of targets that have ended, too."""
    return (
        select(s.series.c.id, s.series.c.metric, s.target.c.kind, s.target.c.key)
        .join(s.target, s.target.c.id == s.series.c.target_id)
        .where(s.series.c.metric.in_(list(metrics)))
    )


def living_targets() -> Select[Any]:
    """Every target not known to have ended."""
    return select(s.target.c.id, s.target.c.kind, s.target.c.key).where(s.target.c.last_ms.is_(None))


def find_target(kind: str, key: str) -> Select[Any]:
    """One target's number."""
    return select(s.target.c.id).where(and_(s.target.c.kind == kind, s.target.c.key == key))


def find_series(target_id: int) -> Select[Any]:
    """The series of one target."""
    return select(s.series.c.id, s.series.c.metric).where(s.series.c.target_id == target_id)


def end_targets(target_ids: Iterable[int], ts_ms: int) -> Update:
    """Note that targets are no longer there."""
    return update(s.target).where(s.target.c.id.in_(list(target_ids))).values(last_ms=ts_ms)


def revive_target(target_id: int) -> Update:
    """A service, cache or caller came back."""
    return update(s.target).where(s.target.c.id == target_id).values(last_ms=None)


def last_scrape() -> Select[Any]:
    """The newest scrape."""
    return select(s.scrape).order_by(s.scrape.c.id.desc()).limit(1)


def first_scrape() -> Select[Any]:
    """The oldest scrape kept."""
    return select(s.scrape).order_by(s.scrape.c.id).limit(1)


def scrapes_since(ts_ms: int) -> Select[Any]:
    """Scrapes taken at or after a time, oldest first."""
    return select(s.scrape).where(s.scrape.c.ts_ms >= ts_ms).order_by(s.scrape.c.id)


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


def samples_of_scrape(scrape_id: int, kinds: Iterable[str]) -> Select[Any]:
    """The samples one scrape holds of targets of the given kinds."""
    return (
        select(s.series.c.metric, s.target.c.kind, s.target.c.key, s.sample.c.value)
        .join(s.series, s.series.c.id == s.sample.c.series_id)
        .join(s.target, s.target.c.id == s.series.c.target_id)
        .where(s.sample.c.scrape_id == scrape_id, s.target.c.kind.in_(list(kinds)))
    )


def samples_between(first_scrape_id: int, last_scrape_id: int) -> Select[Any]:
    """Raw samples of a range of scrapes, in the order they were taken."""
    return (
        select(s.sample.c.scrape_id, s.sample.c.series_id, s.sample.c.value)
        .where(s.sample.c.scrape_id.between(first_scrape_id, last_scrape_id))
        .order_by(s.sample.c.scrape_id)
    )


def samples_of_metrics(first_scrape_id: int, last_scrape_id: int, metrics: Iterable[str]) -> Select[Any]:
    """Raw samples of some metrics in a range of scrapes, in the order they were taken."""
    return (
        select(s.sample.c.scrape_id, s.sample.c.series_id, s.sample.c.value)
        .join(s.series, s.series.c.id == s.sample.c.series_id)
        .where(s.sample.c.scrape_id.between(first_scrape_id, last_scrape_id), s.series.c.metric.in_(list(metrics)))
        .order_by(s.sample.c.scrape_id)
    )


def samples_of_series(metric: str, kind: str, key: str) -> Select[Any]:
    """One series' samples with their times, oldest first."""
    return (
        select(s.scrape.c.ts_ms, s.sample.c.value)
        .join(s.series, s.series.c.id == s.sample.c.series_id)
        .join(s.target, s.target.c.id == s.series.c.target_id)
        .join(s.scrape, s.scrape.c.id == s.sample.c.scrape_id)
        .where(s.series.c.metric == metric, s.target.c.kind == kind, s.target.c.key == key)
        .order_by(s.scrape.c.id)
    )


def processes_alive() -> Select[Any]:
    """Every process not known to have ended."""
    return select(s.process).join(s.target, s.target.c.id == s.process.c.target_id).where(s.target.c.last_ms.is_(None))


def processes_ever() -> Select[Any]:
    """Every process still known, with when it was first seen and when it was found to have ended."""
    return select(s.process, s.target.c.first_ms, s.target.c.last_ms).join(
        s.target, s.target.c.id == s.process.c.target_id
    )


def newest_blocks(span_s: int, since_ms: int) -> Select[Any]:
    """Blocks of one span that began at or after a time, oldest first, of living targets."""
    return (
        select(s.block)
        .join(s.series, s.series.c.id == s.block.c.series_id)
        .join(s.target, s.target.c.id == s.series.c.target_id)
        .where(s.block.c.span_s == span_s, s.block.c.start_ms >= since_ms, s.target.c.last_ms.is_(None))
        .order_by(s.block.c.start_ms)
    )


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


def states() -> Select[Any]:
    """The daemon's state, key by key."""
    return select(s.state)


def drop_findings(ids: Iterable[str]) -> Delete:
    """Forget findings by id."""
    return delete(s.finding).where(s.finding.c.id.in_(list(ids)))


def put_incident(progress: Iterable[str]) -> Insert:
    """Add an incident, or renew the named columns of one that is there: what people have noted stays as it is."""
    statement = insert(s.incident)
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in progress}
    )


def incidents() -> Select[Any]:
    """Every incident, oldest first."""
    return select(s.incident).order_by(s.incident.c.opened_ms, s.incident.c.id)


def marked_incidents() -> Select[Any]:
    """Incidents that are or were acknowledged or silenced."""
    c = s.incident.c
    return select(s.incident).where(or_(c.acknowledged_ms.is_not(None), c.silenced_ms.is_not(None)))


def incident_events(incident_id: str) -> Select[Any]:
    """One incident's history as it was written, which is its order even when the clock was set back."""
    return select(s.incident_event).where(s.incident_event.c.incident_id == incident_id).order_by(s.incident_event.c.id)


def mark_incident(incident_id: str, values: Mapping[str, object]) -> Update:
    """Note what somebody says of an incident."""
    return update(s.incident).where(s.incident.c.id == incident_id).values(values)


def move_silence(incident_id: str, since_ms: int, until_ms: int, values: Mapping[str, object]) -> Update:
    """Change a silence, unless somebody has changed it meanwhile."""
    c = s.incident.c
    return (
        update(s.incident)
        .where(c.id == incident_id, c.silenced_ms == since_ms, c.silenced_until_ms == until_ms)
        .values(values)
    )


def pragma(name: str) -> TextClause:
    """One of SQLite's settings, by a name of our own choosing."""
    return text(f"PRAGMA {name}")
