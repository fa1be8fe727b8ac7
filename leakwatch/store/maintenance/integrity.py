"""Checks a store through and through: SQLite's own structure, every payload, and that the books agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.maintenance.row_checks import damaged_rows
from leakwatch.store.read.everything import ROUNDS_A_READ
from leakwatch.store.read.reader import Reader
from leakwatch.store.read.samples import NEWEST
from leakwatch.store.sql import database, expiry
from leakwatch.store.sql import rounds as round_sql
from leakwatch.store.sql import seals as seal_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

SOUND = "ok"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    samples: int
    blocks: int
    problems: tuple[str, ...]


def check(reader: Reader) -> Checked:
    """Read all of the store within one transaction. Raises the reader's errors where SQLite itself gives up."""
    with reader.reading() as connection:
        answers = connection.execute(database.INTEGRITY_CHECK).scalars().all()
        problems = [f"SQLite: {' '.join(answer.split())}" for answer in answers if answer != SOUND]
        problems += damaged_rows(connection)
        counts = [0, 0]
        for span_s in (seal_sql.SAMPLES, *_spans(connection)):
            rows = connection.execute(seal_sql.seals(span_s)).all()
            for row in rows:
                found, wrong = _seal(connection, row)
                counts[span_s != seal_sql.SAMPLES] += found
                problems += wrong
            if span_s == seal_sql.SAMPLES:
                problems += _twice(connection, rows)
        problems += _orphans(connection)
        for at, found, wrong in (*_sample_rounds(connection), *_block_rounds(connection)):
            counts[at] += found
            problems += wrong
    return Checked(counts[0], counts[1], tuple(problems))


def _spans(connection: Connection) -> list[int]:
    """Return the spans of blocks; one that is no number is named with its row."""
    return [span for span in connection.execute(expiry.spans()).scalars() if isinstance(span, int)]


def _seal(connection: Connection, row: Row[Any]) -> tuple[int, list[str]]:
    """Return how many values a seal's chunks hold, and what is wrong with it."""
    problems = []
    try:
        numbers, _ = chunks.decode_times(row.payload, row.rounds)
        if row.span_s == seal_sql.SAMPLES and (numbers[0], numbers[-1]) != (row.first, row.last):
            problems.append(f"seal {row.id} is of other scrapes than it says")
    except PayloadError as error:
        problems.append(f"seal {row.id}, {row.rows} values: {error}")
    count = size = 0
    for chunk in connection.execute(seal_sql.chunks_of(row.id)):
        size += len(chunk.payload)
        count += chunk.n
        try:
            if row.span_s == seal_sql.SAMPLES:
                values = len(chunks.decode_course(chunk.payload, row.rounds).values)
            else:
                values = len(chunks.decode_block_course(chunk.payload, row.rounds).columns.n)
            if values != chunk.n:
                problems.append(f"chunk {chunk.id} holds {values} values and says {chunk.n}")
        except PayloadError as error:
            problems.append(f"chunk {chunk.id}, {chunk.n} values of series {chunks.series_of(chunk.id)}: {error}")
    if (count, size) != (row.rows, row.bytes):
        problems.append(f"seal {row.id} says {row.rows} values in {row.bytes} bytes and has {count} in {size}")
    return count, problems


def _twice(connection: Connection, seals: Sequence[Row[Any]]) -> Iterator[str]:
    """Yield the series that two seals hold for the same scrapes: only a merge may overlap, and only of others."""
    for one, other in _overlapping(seals):
        held = [{chunks.series_of(c.id) for c in connection.execute(seal_sql.chunks_of(s.id))} for s in (one, other)]
        for series in sorted(held[0] & held[1]):
            yield f"series {series} is in seal {one.id} and in seal {other.id} for the same scrapes"
    for seal in seals:
        count = connection.execute(round_sql.count_sample_rounds(seal.first, seal.last)).scalar_one()
        if count:
            yield f"{count} scrapes of seal {seal.id} are there unsealed, too"


def _overlapping(seals: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], Row[Any]]]:
    for at, one in enumerate(seals):
        for other in seals[at + 1 :]:
            if other.first > one.last:
                break
            yield one, other


def _orphans(connection: Connection) -> Iterator[str]:
    count = connection.execute(seal_sql.count_orphans()).scalar_one()
    if count:
        yield f"{count} chunks belong to no seal"


def _sample_rounds(connection: Connection) -> Iterator[tuple[int, int, list[str]]]:
    at = 0
    while found := connection.execute(round_sql.sample_rounds(at, NEWEST).limit(ROUNDS_A_READ)).all():
        for row in found:
            try:
                series = rounds.decode_round(row.payload, row.n).series
                twice = any(a >= b for a, b in pairwise(series))
                yield 0, row.n, [f"scrape {row.scrape_id} holds a series twice"] if twice else []
            except PayloadError as error:
                yield 0, 0, [f"scrape {row.scrape_id}, {row.n} samples: {error}"]
        if found[-1].scrape_id < at:  # a damaged tree leads back to what was read
            yield 0, 0, ["the scrapes of samples are not in order"]
            return
        at = found[-1].scrape_id + 1


def _block_rounds(connection: Connection) -> Iterator[tuple[int, int, list[str]]]:
    for span_s in _spans(connection):
        for row in connection.execute(round_sql.block_rounds(span_s, 0)).all():
            try:
                rounds.decode_block_round(row.payload, row.n)
                yield 1, row.n, []
            except PayloadError as error:
                yield 1, 0, [f"round {row.id}, {row.n} blocks: {error}"]
