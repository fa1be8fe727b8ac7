"""Forgets what is old or too much, in batches short enough that no scrape waits for them.

Age goes by a clock that is a day slow to believe: see ``_trusted_now_ms``. Scrapes are dropped by number, the order in
which they were taken, so that one with a wrong time neither takes its neighbours along nor keeps them for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch.store import expiry, statements

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leakwatch.store.writer import Writer

BATCH_SAMPLES = 50_000
"""Samples a transaction: tens of milliseconds."""
BATCH_TARGETS = 500
BATCH_SPANS = 12
"""Spans of blocks a transaction: as many rows as 12 scrapes."""
MAX_BATCHES = 400
"""Batches a run and table: what is left over waits for the next run, so that a run ends."""
TRUST_S = 86_400
"""For how long the clock must have shown a time before history is dropped by it: a day to notice and correct it."""
SHRINK_AT, SHRINK_TO = 0.95, 0.85
"""Of max_size, above which the oldest goes and down to which: room for what comes until the next run, and enough at
once that not every run has to."""
KEPT_FREE = 1 / 64
"""Of the file: free pages that stay in it, as the next samples need them; giving all back would write them twice."""
VACUUM_PAGES = 2000
"""Pages given back to the file system a transaction (8 MB)."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one run of the retention removed."""

    scrapes: int = 0
    for_size: bool = False
    """Whether history younger than its age limit had to go because the store is at its size limit."""


def purge(
    writer: Writer,
    *,
    now_ms: int,
    interval_s: float,
    keep_samples_s: float,
    keep_blocks_s: float,
    max_size_bytes: int,
) -> Purged:
    """Apply the age limits and then the size limit. Raises the writer's errors."""
    trusted_ms = _trusted_now_ms(writer, now_ms, interval_s)
    samples_ms = trusted_ms - round(keep_samples_s * 1000)
    blocks_ms = trusted_ms - round(keep_blocks_s * 1000)
    dropped = _expire_scrapes(writer, samples_ms, now_ms)
    _expire_blocks(writer, blocks_ms)
    # A process that ended is of use as long as its samples; what may come back, as long as its blocks.
    _expire_targets(writer, samples_ms, processes=True)
    _expire_targets(writer, min(samples_ms, blocks_ms), processes=False)
    with writer.exclusive() as connection:
        connection.execute(expiry.drop_old_findings(blocks_ms))
        for statement in expiry.drop_old_incidents(blocks_ms):
            connection.execute(statement)
    for_size = used_bytes(writer) > max_size_bytes * SHRINK_AT
    if for_size:
        dropped += _shrink(writer, round(max_size_bytes * SHRINK_TO))
    _give_back(writer)
    return Purged(dropped, for_size)


def used_bytes(writer: Writer) -> int:
    """Return the bytes of the file that hold data; freed pages inside it are used again and do not count."""
    with writer.exclusive() as connection:
        return (_number(connection, "page_count") - _number(connection, "freelist_count")) * _number(
            connection, "page_size"
        )


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.execute(statements.pragma(pragma)).scalar_one())


def _trusted_now_ms(writer: Writer, now_ms: int, interval_s: float) -> int:
    """Return the time that ages are measured against, at most ``now_ms``.

    It is the time of the scrape a day's scrapes ago, plus that day. A clock set years ahead, at work or while the
    daemon was off, is thus believed after a day of sampling; whoever corrects it before has lost nothing. The price:
    after a pause history is kept for longer by the pause, a day of sampling at most.
    """
    with writer.exclusive() as connection:
        known = connection.execute(expiry.scrape_range()).one()
        if known.newest is None:
            return now_ms
        a_day_ago = max(known.oldest, known.newest - round(TRUST_S / interval_s))
        then_ms = int(connection.execute(expiry.scrape_at_or_before(a_day_ago)).scalar_one())
    return min(now_ms, then_ms + TRUST_S * 1000)


def _expire_scrapes(writer: Writer, before_ms: int, now_ms: int) -> int:
    """Drop the scrapes taken before a time; return how many."""
    with writer.exclusive() as connection:
        # Times after now are wrong ones: such scrapes go when the one taken after them does.
        first_kept = connection.execute(expiry.first_between(before_ms, now_ms)).scalar()
        last_id = connection.execute(expiry.last_before(before_ms, first_kept)).scalar()
    dropped = 0
    for _ in range(MAX_BATCHES if last_id is not None else 0):
        count = _drop_batch(writer, last_id)
        dropped += count
        if not count:
            break
    return dropped


def _drop_batch(writer: Writer, last_id: int | None, at_most: float = 1.0) -> int:
    """Drop one batch of the oldest scrapes; return how many.

    None goes above ``last_id``, nor the newest scrape, nor more than this share of all.
    """
    with writer.exclusive() as connection:
        known = connection.execute(expiry.scrape_range()).one()
        if known.newest is None:
            return 0
        samples = connection.execute(expiry.count_samples(known.oldest)).scalar_one()
        batch = max(1, min(BATCH_SAMPLES // max(1, samples), int((known.newest - known.oldest) * at_most)))
        last = min(known.newest - 1, known.oldest + batch - 1, known.newest if last_id is None else last_id)
        if last < known.oldest:
            return 0
        for statement in expiry.drop_scrapes(last):
            gone = connection.execute(statement).rowcount
        return gone


def _spans(writer: Writer) -> list[int]:
    """Return the spans that blocks are kept of, shortest first."""
    spans: list[int] = []
    with writer.exclusive() as connection:
        while (span_s := connection.execute(expiry.next_span(spans[-1] if spans else 0)).scalar()) is not None:
            spans.append(span_s)
    return spans


def _expire_blocks(writer: Writer, before_ms: int) -> None:
    for span_s in _spans(writer):
        for _ in range(MAX_BATCHES):
            if not _drop_oldest_blocks(writer, span_s, before_ms):
                break


def _drop_oldest_blocks(writer: Writer, span_s: int, before_ms: int | None = None) -> bool:
    """Drop one batch of a span's oldest blocks, none that began at or after a time; return whether there was any."""
    with writer.exclusive() as connection:
        oldest_ms = connection.execute(expiry.oldest_block(span_s)).scalar()
        if oldest_ms is None or (before_ms is not None and oldest_ms >= before_ms):
            return False
        until_ms = oldest_ms + BATCH_SPANS * span_s * 1000
        connection.execute(expiry.drop_blocks(span_s, until_ms if before_ms is None else min(until_ms, before_ms)))
    return True


def _expire_targets(writer: Writer, before_ms: int, *, processes: bool) -> None:
    for _ in range(MAX_BATCHES):
        with writer.exclusive() as connection:
            query = expiry.ended_targets(before_ms, BATCH_TARGETS, processes=processes)
            ids = [row.id for row in connection.execute(query)]
            for statement in expiry.drop_targets(ids) if ids else ():
                connection.execute(statement)
        if len(ids) < BATCH_TARGETS:
            return


def _shrink(writer: Writer, goal_bytes: int) -> int:
    """Drop the oldest samples, with the processes only they were of, then the blocks of the finest spans."""
    dropped = 0
    for _ in range(MAX_BATCHES):
        if used_bytes(writer) <= goal_bytes:
            return dropped
        count = _drop_batch(writer, None, at_most=0.1)
        dropped += count
        _expire_targets(writer, _oldest_ms(writer), processes=True)
        if not count and not any(_drop_oldest_blocks(writer, span_s) for span_s in _spans(writer)[:1]):
            break
    return dropped


def _oldest_ms(writer: Writer) -> int:
    with writer.exclusive() as connection:
        oldest = connection.execute(expiry.scrape_range()).one().oldest
        return int(connection.execute(expiry.scrape_at_or_before(oldest or 0)).scalar() or 0)


def _give_back(writer: Writer) -> None:
    """Return free pages to the file system, but for some that will be used again soon."""
    for _ in range(MAX_BATCHES):
        with writer.exclusive() as connection:
            surplus = _number(connection, "freelist_count") - int(_number(connection, "page_count") * KEPT_FREE)
        if surplus <= 0:
            return
        writer.give_back(min(surplus, VACUUM_PAGES))
