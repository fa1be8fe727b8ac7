"""Forgets what is old or too much, in batches short enough that no scrape waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch.store import statements

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leakwatch.store.writer import Writer

BATCH_SCRAPES = 60
"""Scrapes a transaction: an hour at the default interval, some 100,000 samples, tens of milliseconds."""
MAX_BATCHES = 200
"""Batches a run: what is left over waits for the next run, so that a run ends."""
SHRINK_TO = 0.9
"""Of max_size: clearing a tenth at once keeps the limit from being hit at every scrape."""
VACUUM_PAGES = 2000
"""Pages given back to the file system a batch (8 MB)."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one run of the retention removed."""

    scrapes: int = 0
    for_size: bool = False
    """Whether samples younger than their age limit had to go because the store is at its size limit."""


def purge(writer: Writer, *, now_ms: int, keep_samples_s: float, keep_blocks_s: float, max_size_bytes: int) -> Purged:
    """Apply the age limits and then the size limit. Raises the writer's errors."""
    dropped = 0
    for _ in range(MAX_BATCHES):
        count = _drop_scrapes(writer, before_ms=now_ms - round(keep_samples_s * 1000))
        dropped += count
        if count < BATCH_SCRAPES:
            break
    _drop_blocks(writer, before_ms=now_ms - round(keep_blocks_s * 1000))
    _drop_targets(writer, before_ms=now_ms - round(max(keep_samples_s, keep_blocks_s) * 1000))
    for_size = used_bytes(writer) > max_size_bytes
    if for_size:
        dropped += _shrink(writer, round(max_size_bytes * SHRINK_TO))
    with writer.exclusive() as connection:
        # By the driver, to its end: each step gives back one page, but the statement has no columns, and SQLAlchemy
        # takes that for no rows to step through.
        connection.connection.cursor().execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return Purged(dropped, for_size)


def used_bytes(writer: Writer) -> int:
    """Return the bytes of the file that hold data; freed pages inside it are used again and do not count."""
    with writer.exclusive() as connection:
        return _used(connection)


def _used(connection: Connection) -> int:
    pages, free, size = (
        int(connection.execute(statements.pragma(name)).scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _drop_scrapes(writer: Writer, *, before_ms: int | None) -> int:
    """Drop one batch of the oldest scrapes, those before a time or simply the oldest; return how many."""
    with writer.exclusive() as connection:
        oldest = connection.execute(statements.oldest_scrapes(BATCH_SCRAPES)).all()
        # By number up to the last that is old enough: a clock once set forward must not keep everything after it.
        ids = [row.id for row in oldest if before_ms is None or row.ts_ms < before_ms]
        if ids:
            for statement in statements.drop_scrapes(ids[-1]):
                connection.execute(statement)
        return len(ids)


def _drop_blocks(writer: Writer, *, before_ms: int) -> None:
    with writer.exclusive() as connection:
        spans = [row.span_s for row in connection.execute(statements.block_spans())]
    for span_s in spans:
        with writer.exclusive() as connection:
            connection.execute(statements.drop_blocks(span_s, before_ms))


def _drop_targets(writer: Writer, *, before_ms: int) -> None:
    for _ in range(MAX_BATCHES):
        with writer.exclusive() as connection:
            ids = [row.id for row in connection.execute(statements.ended_targets(before_ms, 500))]
            for statement in statements.drop_targets(ids) if ids else ():
                connection.execute(statement)
            connection.execute(statements.drop_old_findings(before_ms))
        if not ids:
            return


def _shrink(writer: Writer, goal_bytes: int) -> int:
    """Drop the oldest samples, then the oldest blocks of the finest span, until the goal is met."""
    dropped = 0
    for _ in range(MAX_BATCHES):
        if used_bytes(writer) <= goal_bytes:
            return dropped
        count = _drop_scrapes(writer, before_ms=None)
        dropped += count
        if count < BATCH_SCRAPES and not _drop_oldest_blocks(writer):
            break
    return dropped


def _drop_oldest_blocks(writer: Writer) -> bool:
    with writer.exclusive() as connection:
        spans = sorted(row.span_s for row in connection.execute(statements.block_spans()))
        if not spans:
            return False
        oldest = connection.execute(statements.oldest_block(spans[0])).scalar_one()
        connection.execute(statements.drop_blocks(spans[0], oldest + spans[0] * 1000 * 12))
    return True
