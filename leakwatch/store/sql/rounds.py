"""The SQL of rounds: samples and blocks as they came, not sealed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from leakwatch.store import tables as s

if TYPE_CHECKING:
    from sqlalchemy import Delete, Select


def oldest_sample_rounds(count: int) -> Select[Any]:
    """The oldest scrapes whose samples are not sealed, with their times."""
    r = s.sample_round.c
    return (
        select(r.scrape_id, s.scrape.c.ts_ms, r.n, r.payload)
        .join(s.scrape, s.scrape.c.id == r.scrape_id)
        .order_by(r.scrape_id)
        .limit(count)
    )


def sample_rounds(first: int, last: int) -> Select[Any]:
    """The rounds of a range of scrapes, in order, with their times."""
    r = s.sample_round.c
    return (
        select(r.scrape_id, s.scrape.c.ts_ms, r.n, r.payload)
        .join(s.scrape, s.scrape.c.id == r.scrape_id)
        .where(r.scrape_id.between(first, last))
        .order_by(r.scrape_id)
    )


def count_sample_rounds(first: int, last: int) -> Select[Any]:
    """How many rounds there are of a range of scrapes."""
    return select(func.count()).where(s.sample_round.c.scrape_id.between(first, last))


def drop_sample_rounds(first: int, last: int) -> Delete:
    """Drop the rounds of a range of scrapes."""
    return delete(s.sample_round).where(s.sample_round.c.scrape_id.between(first, last))


def sample_round_totals() -> Select[Any]:
    """How many rounds of samples there are, of how many samples and bytes, and from when to when."""
    r = s.sample_round.c
    return (
        select(
            func.count().label("rounds"),
            func.coalesce(func.sum(r.n), 0).label("rows"),
            func.coalesce(func.sum(func.length(r.payload)), 0).label("bytes"),
            func.min(s.scrape.c.ts_ms).label("first_ms"),
            func.max(s.scrape.c.ts_ms).label("last_ms"),
        )
        .select_from(s.sample_round)
        .join(s.scrape, s.scrape.c.id == r.scrape_id)
    )


def block_rounds(span_s: int, since_ms: int) -> Select[Any]:
    """The rounds of one span that began at or after a time, as they were written."""
    r = s.block_round.c
    return select(s.block_round).where(r.span_s == span_s, r.start_ms >= since_ms).order_by(r.id)


def oldest_block_rounds(span_s: int, count: int) -> Select[Any]:
    """The rounds of one span that were written first."""
    r = s.block_round.c
    return select(s.block_round).where(r.span_s == span_s).order_by(r.id).limit(count)


def block_round_totals() -> Select[Any]:
    """Of each span: how many rounds of blocks there are, of how many blocks and bytes, from when to when."""
    r = s.block_round.c
    return (
        select(
            r.span_s,
            func.count().label("rounds"),
            func.sum(r.n).label("rows"),
            func.sum(func.length(r.payload)).label("bytes"),
            func.min(r.start_ms).label("first_ms"),
            func.max(r.start_ms).label("last_ms"),
        )
        .group_by(r.span_s)
        .order_by(r.span_s)
    )


def drop_block_rounds(span_s: int, last: int) -> Delete:
    """Drop a span's rounds up to a number."""
    return delete(s.block_round).where(s.block_round.c.span_s == span_s, s.block_round.c.id <= last)


def drop_old_block_rounds(span_s: int, before_ms: int) -> Delete:
    """Drop a span's rounds that began before a time."""
    return delete(s.block_round).where(s.block_round.c.span_s == span_s, s.block_round.c.start_ms < before_ms)
