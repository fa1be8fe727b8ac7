"""Forgets what is old or too much, in steps short enough that no scrape waits for them.

What is sealed goes a seal at a time, once all of it is old: up to a day more of samples is kept than asked for.

Age goes by the time of day, see ``timeline``, of a clock that is a day slow to believe: see ``_trusted_now_ms``.
Scrapes are dropped by number, the order in which they were taken, so that one with a wrong time, as stores of versions
before the timeline have, neither takes its neighbours along nor keeps them for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch.config import StoreConfig
from leakwatch.model.timeline import CLOCK, Stamps
from leakwatch.store.encoding import codec
from leakwatch.store.sql import expiry
from leakwatch.store.sql import reading as finding_sql
from leakwatch.store.sql import seals as seal_sql
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Connection

BATCH_SCRAPES = 1000
"""Scrapes a transaction, where they are not sealed: tens of milliseconds."""
BATCH_TARGETS = 500
BATCH_SPANS = 12
"""Spans of blocks a transaction, where they are not sealed."""
MAX_BATCHES = 400
"""Batches a run and table: what is left over waits for the next run, so that a run ends."""
TRUST_S = 86_400
"""For how long the clock must have shown a time before history is dropped by it: a day to notice and correct it."""
SHRINK_AT, SHRINK_TO = 0.95, 0.85
"""Of max_size, above which the oldest goes and down to which: room for what comes until the next run, and enough at
once that not every run has to."""
KEPT_FREE, KEPT_FREE_PAGES = 1 / 8, 1024
"""Free pages that stay in the file: a share of it, at most so many (2 MiB in pages of 2048). Sealing frees what two
hours of rounds took, and the next two hours need it again; what is given back in between is written twice."""
VACUUM_PAGES = 2000
"""Pages given back to the file system a transaction (4 MiB in pages of 2048)."""


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """What may be kept: for how long in seconds, and of how many bytes."""

    keep_samples_s: float
    keep_blocks_s: float
    max_size_bytes: int
    max_samples_bytes: int
    max_blocks_bytes: int


def limits_of(config: StoreConfig) -> RetentionLimits:
    """Return the configured limits."""
    return RetentionLimits(
        config.keep_samples_s,
        config.keep_blocks_s,
        config.max_size_bytes,
        config.max_samples_bytes,
        config.max_blocks_bytes,
    )


@dataclass(frozen=True, slots=True)
class Purged:
    """What one run of the retention removed."""

    scrapes: int = 0
    for_size: bool = False
    """Whether history younger than its age limit had to go because the store is at its size limit."""
    early: int = 0
    """Of the scrapes those that went for that, before their age."""


def purge(writer: Writer, limits: RetentionLimits, *, now_ms: int, interval_s: float) -> Purged:
    """Apply the age limits and then the size limits; ``now_ms`` is of the timeline. Raises the writer's errors."""
    stamps = _stamps(writer)
    trusted_ms = stamps.wall(_trusted_now_ms(writer, now_ms, interval_s))
    samples_ms = stamps.timeline(trusted_ms - round(limits.keep_samples_s * 1000))
    blocks_ms = stamps.timeline(trusted_ms - round(limits.keep_blocks_s * 1000))
    dropped = _expire_scrapes(writer, samples_ms, now_ms)
    _expire_blocks(writer, blocks_ms)
    # A process that ended is of use as long as its samples; what may come back, as long as its blocks.
    names_ms = min(samples_ms, _oldest_ms(writer))
    _expire_targets(writer, names_ms, processes=True)
    _expire_targets(writer, min(names_ms, blocks_ms), processes=False)
    with writer.exclusive() as connection:
        connection.execute(expiry.drop_old_findings(blocks_ms))
        for statement in expiry.drop_old_incidents(blocks_ms):
            connection.execute(statement)
    dropped_for_size, for_size = _shrink_kinds(writer, limits)
    if used_bytes(writer) > limits.max_size_bytes * SHRINK_AT:
        for_size = True
        dropped_for_size += _shrink(writer, round(limits.max_size_bytes * SHRINK_TO))
    _give_back(writer)
    return Purged(dropped + dropped_for_size, for_size, dropped_for_size)


def used_bytes(writer: Writer) -> int:
    """Return the bytes of the file that hold data; freed pages inside it are used again and do not count."""
    with writer.exclusive() as connection:
        return (_number(connection, "page_count") - _number(connection, "freelist_count")) * _number(
            connection, "page_size"
        )


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.execute(finding_sql.pragma(pragma)).scalar_one())


def _stamps(writer: Writer) -> Stamps:
    with writer.exclusive() as connection:
        value = connection.execute(finding_sql.state(CLOCK)).scalar()
    return Stamps() if value is None else Stamps.of(codec.decode_json(value, None))


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
    """Drop the oldest seal of samples, or a batch of the oldest scrapes that are in none; return how many scrapes.

    None goes above ``last_id``, nor the newest scrape, nor more than this share of what is not sealed.
    """
    with writer.exclusive() as connection:
        known = connection.execute(expiry.scrape_range()).one()
        if known.newest is None:
            return 0
        last = known.newest - 1 if last_id is None else min(known.newest - 1, last_id)
        seals = connection.execute(seal_sql.seals(seal_sql.SAMPLES)).all()
        old = min(seals, key=lambda seal: (seal.last, seal.id), default=None)
        if old is not None and old.last <= last:
            for statement in seal_sql.drop_seal(old.id):
                connection.execute(statement)
            kept = min((seal.first for seal in seals if seal.id != old.id), default=old.last + 1)
            return connection.execute(expiry.drop_scrapes(min(old.last, kept - 1))).rowcount
        first_sealed = min((seal.first for seal in seals), default=last + 1)
        batch = max(1, min(BATCH_SCRAPES, int((known.newest - known.oldest) * at_most)))
        last = min(last, known.oldest + batch - 1, first_sealed - 1)
        if last < known.oldest:
            return 0
        connection.execute(seal_sql.drop_sample_rounds(0, last))
        return connection.execute(expiry.drop_scrapes(last)).rowcount


def _spans(writer: Writer) -> list[int]:
    """Return the spans that blocks are kept of, shortest first."""
    with writer.exclusive() as connection:
        return list(connection.execute(expiry.spans()).scalars())


def _expire_blocks(writer: Writer, before_ms: int) -> None:
    for span_s in _spans(writer):
        for _ in range(MAX_BATCHES):
            if not _drop_oldest_blocks(writer, span_s, before_ms):
                break


def _drop_oldest_blocks(writer: Writer, span_s: int, before_ms: int | None = None) -> bool:
    """Drop a span's oldest seal, or a batch of its oldest rounds; return whether there was any.

    With a time, only a seal whose every block and rounds whose blocks began before it.
    """
    with writer.exclusive() as connection:
        seals = connection.execute(seal_sql.seals(span_s)).all()
        old = min(seals, key=lambda seal: (seal.last_ms, seal.id), default=None)
        if old is not None and (before_ms is None or old.last_ms < before_ms):
            for statement in seal_sql.drop_seal(old.id):
                connection.execute(statement)
            return True
        oldest_ms = connection.execute(expiry.oldest_block_round(span_s)).scalar()
        if oldest_ms is None or (before_ms is not None and oldest_ms >= before_ms):
            return False
        until_ms = oldest_ms + BATCH_SPANS * span_s * 1000
        until_ms = until_ms if before_ms is None else min(until_ms, before_ms)
        connection.execute(seal_sql.drop_old_block_rounds(span_s, until_ms))
    return True


def samples_bytes(connection: Connection) -> int:
    """Return what the payloads of samples take."""
    sealed = sum(one.bytes for one in connection.execute(seal_sql.seal_totals()) if one.span_s == seal_sql.SAMPLES)
    return int(sealed + connection.execute(seal_sql.sample_round_totals()).one().bytes)


def blocks_bytes(connection: Connection) -> int:
    """Return what the payloads of blocks take."""
    sealed = sum(one.bytes for one in connection.execute(seal_sql.seal_totals()) if one.span_s != seal_sql.SAMPLES)
    return int(sealed + sum(one.bytes for one in connection.execute(seal_sql.block_round_totals())))


def _shrink_kinds(writer: Writer, limits: RetentionLimits) -> tuple[int, bool]:
    """Apply the limits of each kind; return how many scrapes went, and whether anything did."""

    def measured(measure: Callable[[Connection], int]) -> int:
        with writer.exclusive() as connection:
            return measure(connection)

    dropped, shrunk = 0, False
    if measured(samples_bytes) > limits.max_samples_bytes * SHRINK_AT:
        shrunk = True
        for _ in range(MAX_BATCHES):
            count = _drop_batch(writer, None, at_most=0.1)
            dropped += count
            if not count or measured(samples_bytes) <= limits.max_samples_bytes * SHRINK_TO:
                break
    if measured(blocks_bytes) > limits.max_blocks_bytes * SHRINK_AT:
        shrunk = True
        for _ in range(MAX_BATCHES):
            if not _drop_finest_blocks(writer) or measured(blocks_bytes) <= limits.max_blocks_bytes * SHRINK_TO:
                break
    return dropped, shrunk


def _drop_finest_blocks(writer: Writer) -> bool:
    """Drop a batch of the oldest blocks of the shortest span; return whether there was any."""
    return any(_drop_oldest_blocks(writer, span_s) for span_s in _spans(writer)[:1])


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
        if not count and not _drop_finest_blocks(writer):
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
            free, pages = _number(connection, "freelist_count"), _number(connection, "page_count")
            surplus = free - min(KEPT_FREE_PAGES, int((pages - free) * KEPT_FREE))
        if surplus <= 0:
            return
        writer.give_back(min(surplus, VACUUM_PAGES))
