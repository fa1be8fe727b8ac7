"""The SQL of samples and blocks: rounds, as they came, and the seals and chunks of history that was put away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import tables as s
from leakwatch.store.encoding.chunks import SERIES_BITS, chunk_range

if TYPE_CHECKING:
    from sqlalchemy import Delete, Select, Update

SAMPLES = 0
"""In place of a span: the seal is of samples."""
SEALED, MERGED = 1, 2
ADD_SEAL = insert(s.seal)
ADD_CHUNKS = insert(s.chunk)


def next_seal() -> Select[Any]:
    """The number of the next seal."""
    return select(func.coalesce(func.max(s.seal.c.id), 0) + 1)


def seals(span_s: int) -> Select[Any]:
    """The seals of samples or of one span's blocks, oldest first."""
    return select(s.seal).where(s.seal.c.span_s == span_s).order_by(s.seal.c.first, s.seal.c.id)


def block_seals(span_s: int, since_ms: int) -> Select[Any]:
    """The seals of one span that reach to a time, in the order in which they were made."""
    return select(s.seal).where(s.seal.c.span_s == span_s, s.seal.c.last_ms >= since_ms).order_by(s.seal.c.id)


def seals_around(first: int, last: int) -> Select[Any]:
    """The seals of samples that hold any of a range of scrapes."""
    return (
        select(s.seal)
        .where(s.seal.c.span_s == SAMPLES, s.seal.c.first <= last, s.seal.c.last >= first)
        .order_by(s.seal.c.first, s.seal.c.id)
    )


def sealed_after(scrape_id: int) -> Select[Any]:
    """The first scrape after this one that is in a seal, NULL where there is none."""
    return select(func.min(s.seal.c.first)).where(s.seal.c.span_s == SAMPLES, s.seal.c.first > scrape_id)


def seal_totals() -> Select[Any]:
    """Of samples and of each span: how much is sealed, from when to when."""
    c = s.seal.c
    return (
        select(
            c.span_s,
            func.count().label("seals"),
            func.sum(c.rounds).label("rounds"),
            func.sum(c.rows).label("rows"),
            func.sum(c.bytes + func.length(c.payload)).label("bytes"),
            func.min(c.first_ms).label("first_ms"),
            func.max(c.last_ms).label("last_ms"),
        )
        .group_by(c.span_s)
        .order_by(c.span_s)
    )


def chunks_of(seal: int) -> Select[Any]:
    """All chunks of a seal, by series."""
    return select(s.chunk).where(s.chunk.c.id.between(*chunk_range(seal))).order_by(s.chunk.c.id)


def chunks_after(seal: int, after: int, count: int) -> Select[Any]:
    """Some chunks of a seal, those with the lowest numbers above one."""
    low, high = chunk_range(seal)
    return (
        select(s.chunk).where(s.chunk.c.id > max(after, low - 1), s.chunk.c.id <= high).order_by(s.chunk.c.id)
    ).limit(count)


def chunks(numbers: Iterable[int]) -> Select[Any]:
    """Chunks by number."""
    return select(s.chunk).where(s.chunk.c.id.in_(list(numbers)))


def chunk_totals(seal: int) -> Select[Any]:
    """How many chunks a seal has, of how many rows and bytes."""
    c = s.chunk.c
    return select(
        func.count().label("chunks"),
        func.coalesce(func.sum(c.n), 0).label("rows"),
        func.coalesce(func.sum(func.length(c.payload)), 0).label("bytes"),
    ).where(c.id.between(*chunk_range(seal)))


def drop_chunks(numbers: Iterable[int]) -> Delete:
    """Drop chunks by number."""
    return delete(s.chunk).where(s.chunk.c.id.in_(list(numbers)))


def drop_seal(seal: int) -> tuple[Delete, Delete]:
    """Drop a seal with its chunks."""
    return delete(s.chunk).where(s.chunk.c.id.between(*chunk_range(seal))), delete(s.seal).where(s.seal.c.id == seal)


def add_to_seal(seal: int, rows: int, size: int) -> Update:
    """Note that a seal got more chunks."""
    c = s.seal.c
    return update(s.seal).where(c.id == seal).values(rows=c.rows + rows, bytes=c.bytes + size)


def count_orphans() -> Select[Any]:
    """How many chunks belong to no seal."""
    return select(func.count()).where((s.chunk.c.id.op(">>")(SERIES_BITS)).not_in(select(s.seal.c.id)))


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
