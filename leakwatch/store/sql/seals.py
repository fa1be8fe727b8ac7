"""The SQL of seals and chunks: history that was put away."""

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
