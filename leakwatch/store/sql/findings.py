"""The SQL of what the analysis says and keeps: findings, suspicions and the daemon's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import schema as s

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Delete, Select
    from sqlalchemy.dialects.sqlite import Insert


def put_finding() -> Insert:
    """Add or replace a finding by its id."""
    statement = insert(s.finding)
    columns = ("kind", "verdict", "evaluated_ms", "payload", "ended_ms")
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in columns}
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


def drop_findings(ids: Iterable[str]) -> Delete:
    """Forget findings by id."""
    return delete(s.finding).where(s.finding.c.id.in_(list(ids)))


def put_suspicion() -> Insert:
    """Add or replace a series' suspicion."""
    statement = insert(s.suspicion)
    return statement.on_conflict_do_update(index_elements=["series_id"], set_={"payload": statement.excluded.payload})


def suspicions() -> Select[Any]:
    """Every suspicion kept."""
    return select(s.suspicion)


def drop_suspicions(series_ids: Iterable[int]) -> Delete:
    """Forget suspicions that did not hold."""
    return delete(s.suspicion).where(s.suspicion.c.series_id.in_(list(series_ids)))


def put_state() -> Insert:
    """Add or replace one value of the daemon's state."""
    statement = insert(s.state)
    return statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})


def states() -> Select[Any]:
    """The daemon's state, key by key."""
    return select(s.state)
