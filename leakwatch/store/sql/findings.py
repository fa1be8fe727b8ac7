"""The SQL of what the analysis says and keeps: findings, suspicions and the daemon's state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from leakwatch.store import tables as s

if TYPE_CHECKING:
    from sqlalchemy import Select


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
