"""The SQL of the retention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from leakwatch.model.identity import TargetKind
from leakwatch.store import tables as s

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect, Delete, Select

_NEVER_BACK = (TargetKind.PROCESS, TargetKind.MEMORY_CLASS)


def scrape_range() -> Select[Any]:
    """The numbers of the oldest and the newest scrape, NULL where there is none."""
    return select(
        select(func.min(s.scrape.c.id)).scalar_subquery().label("oldest"),  # two look-ups; together they scan the table
        select(func.max(s.scrape.c.id)).scalar_subquery().label("newest"),
    )


def scrape_at_or_before(scrape_id: int) -> Select[Any]:
    """The time of the scrape of this number, or of the one before it that is still there."""
    return select(s.scrape.c.ts_ms).where(s.scrape.c.id <= scrape_id).order_by(s.scrape.c.id.desc()).limit(1)


def first_between(since_ms: int, until_ms: int) -> Select[Any]:
    """The number of the first scrape, as they were taken, whose time lies between two others."""
    return select(s.scrape.c.id).where(s.scrape.c.ts_ms.between(since_ms, until_ms)).order_by(s.scrape.c.id).limit(1)


def last_before(before_ms: int, below_id: int | None) -> Select[Any]:
    """The number of the last scrape with a time before another, among those below a number."""
    query = select(s.scrape.c.id).where(s.scrape.c.ts_ms < before_ms)
    if below_id is not None:
        query = query.where(s.scrape.c.id < below_id)
    return query.order_by(s.scrape.c.id.desc()).limit(1)


def drop_scrapes(last_id: int) -> Delete:
    """Drop scrapes up to a number."""
    return delete(s.scrape).where(s.scrape.c.id <= last_id)


def spans() -> CompoundSelect[Any]:
    """The spans that blocks are kept of, shortest first."""
    sealed = select(s.seal.c.span_s).where(s.seal.c.span_s > 0)
    return sealed.union(select(s.block_round.c.span_s)).order_by("span_s")


def oldest_block_round(span_s: int) -> Select[Any]:
    """The start of the oldest block of a span that is not sealed, NULL where there is none."""
    return select(func.min(s.block_round.c.start_ms)).where(s.block_round.c.span_s == span_s)


def ended_targets(before_ms: int, count: int, *, processes: bool) -> Select[Any]:
    """Targets that ended before a time: processes and their parts, which never come back, or all others, which may.

    Those with the highest numbers stay: the next number given out is one more, and rows of a dropped series may be
    left, which must not become another's.
    """
    kind, number = s.target.c.kind, s.target.c.id
    newest_series = select(s.series.c.target_id).order_by(s.series.c.id.desc()).limit(1).scalar_subquery()
    return (
        select(number)
        .where(s.target.c.last_ms < before_ms)
        .where(kind.in_(_NEVER_BACK) if processes else kind.not_in(_NEVER_BACK))
        .where(number < select(func.max(s.target.c.id).label("highest")).scalar_subquery())
        .where(number != func.coalesce(newest_series, 0))
        .limit(count)
    )


def drop_targets(target_ids: list[int]) -> tuple[Delete, ...]:
    """Drop targets with what names them; samples and blocks they have left expire by age."""
    series_ids = select(s.series.c.id).where(s.series.c.target_id.in_(target_ids))
    return (
        delete(s.suspicion).where(s.suspicion.c.series_id.in_(series_ids)),
        delete(s.series).where(s.series.c.target_id.in_(target_ids)),
        delete(s.process).where(s.process.c.target_id.in_(target_ids)),
        delete(s.target).where(s.target.c.id.in_(target_ids)),
    )


def drop_old_findings(before_ms: int) -> Delete:
    """Drop findings about processes that ended before a time."""
    return delete(s.finding).where(s.finding.c.ended_ms < before_ms)


def drop_old_incidents(before_ms: int) -> tuple[Delete, Delete]:
    """Drop incidents that were resolved before a time, with their history."""
    old = select(s.incident.c.id).where(s.incident.c.resolved_ms < before_ms)
    return (
        delete(s.incident_event).where(s.incident_event.c.incident_id.in_(old)),
        delete(s.incident).where(s.incident.c.resolved_ms < before_ms),
    )
