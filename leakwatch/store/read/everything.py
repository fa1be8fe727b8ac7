"""Everything a store holds, row by row, whether sealed or not: for checks and for the way back to an older schema.

What is damaged raises PayloadError here: whoever asks for all must not be given less.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import TYPE_CHECKING

from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.read.samples import NEWEST
from leakwatch.store.sql import expiry
from leakwatch.store.sql import rounds as round_sql
from leakwatch.store.sql import seals as seal_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROUNDS_A_READ = 500
"""Rounds read at once, which bounds the memory."""


def sample_rows(connection: Connection) -> Iterator[tuple[int, int, int]]:
    """Yield (scrape, series, value) of every sample, in no order."""
    for seal in connection.execute(seal_sql.seals(seal_sql.SAMPLES)).all():
        numbers, _ = chunks.decode_times(seal.payload, seal.rounds)
        for chunk in connection.execute(seal_sql.chunks_of(seal.id)).all():
            course = chunks.decode_course(chunk.payload, seal.rounds)
            series = chunks.series_of(chunk.id)
            for scrape, value in zip(compress(numbers, course.present), course.values, strict=True):
                yield scrape, series, value
    at = 0
    while found := connection.execute(round_sql.sample_rounds(at, NEWEST).limit(ROUNDS_A_READ)).all():
        for row in found:
            one = rounds.decode_round(row.payload, row.n)
            for series, value in zip(one.series, one.values, strict=True):
                yield row.scrape_id, series, value
        at = found[-1].scrape_id + 1


def block_rows(connection: Connection) -> Iterator[tuple[float, ...]]:
    """Yield (span, start, series, n, minimum, median, maximum, last, segment) of every block, in the order of writing.

    Of two of one span, start and series the later counts.
    """
    for span_s in connection.execute(expiry.spans()).scalars().all():
        for seal in connection.execute(seal_sql.block_seals(span_s, 0)).all():
            _, times_ms = chunks.decode_times(seal.payload, seal.rounds)
            for chunk in connection.execute(seal_sql.chunks_of(seal.id)).all():
                present, columns = chunks.decode_block_course(chunk.payload, seal.rounds)
                series = chunks.series_of(chunk.id)
                for start_ms, block in zip(compress(times_ms, present), zip(*columns, strict=True), strict=True):
                    yield span_s, start_ms, series, *block
        for row in connection.execute(round_sql.block_rounds(span_s, 0)).all():
            numbers, columns = rounds.decode_block_round(row.payload, row.n)
            for series, block in zip(numbers, zip(*columns, strict=True), strict=True):
                yield span_s, row.start_ms, series, *block
