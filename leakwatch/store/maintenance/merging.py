"""Merges twelve seals of samples into one of a day: a chunk of 1440 samples takes half of twelve of 120.

A merge goes on series by series, some in a transaction: the day's seal is there from the first one on, the small seals
until the last. Meanwhile a series' samples are in the chunks of the one or in those of the other, never in both. Who is
killed in between leaves a merge half done, which the next run goes on with.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwatch.errors import StoreWriteError
from leakwatch.store.encoding import chunks
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.maintenance.sealing import Packed, Sealed, chunk_rows
from leakwatch.store.sql import seals as seal_sql
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Row

MERGED_SCRAPES = 1440
"""Scrapes in a merged seal: a day at the default interval."""
BATCH_SERIES = 64
"""Series merged a transaction: 92,000 samples, which are packed before it begins."""
MAX_SHARE = 1 / 8
"""Of the space there is: the oldest seal goes as a whole, and a store that holds but two days must not lose one."""

log = logging.getLogger(__name__)


class _Merge(NamedTuple):
    """A merge to do or to go on with."""

    into: int
    """The number of the merged seal."""
    run: Sealed
    begun: bool
    sources: tuple[_Source, ...]


class _Source(NamedTuple):
    """A seal to be merged."""

    id: int
    at: int
    """Where its first scrape is in the whole."""
    scrapes: int


def merge(writer: Writer, max_bytes: int) -> bool:
    """Merge the oldest seals if they make up a day; return whether they did. ``max_bytes`` is what the store may take.

    Raises the writer's errors.
    """
    task = _task(writer, max_bytes)
    if task is None:
        return False
    after = -1
    while (upto := _merge_batch(writer, task, after)) is not None:
        after = upto
        task = task._replace(begun=True)
    with writer.exclusive() as connection:
        for source in task.sources:
            for statement in seal_sql.drop_seal(source.id):
                connection.execute(statement)
    return True


def _task(writer: Writer, max_bytes: int) -> _Merge | None:
    with writer.exclusive() as connection:
        rows = connection.execute(seal_sql.seals(seal_sql.SAMPLES)).all()
        number = int(connection.execute(seal_sql.next_seal()).scalar_one())
    small = [row for row in rows if row.level == seal_sql.SEALED]
    day = next((r for r in rows if r.level == seal_sql.MERGED and small and r.first <= small[0].first <= r.last), None)
    taken = [row for row in small if row.last <= day.last] if day else _a_day_of(small)
    if not taken or (day is None and sum(row.bytes for row in taken) > max_bytes * MAX_SHARE):
        return None
    numbers, times_ms = array("q"), array("q")
    for row in (day,) if day else taken:
        try:
            part = chunks.decode_times(row.payload, row.rounds)
        except PayloadError as error:
            _drop_damaged(writer, row, error)
            return None
        numbers.extend(part[0])
        times_ms.extend(part[1])
    run = Sealed(seal_sql.SAMPLES, numbers[0], numbers[-1], numbers, times_ms)
    sources = tuple(_Source(row.id, bisect_left(numbers, row.first), row.rounds) for row in taken)
    return _Merge(day.id if day else number, run, begun=day is not None, sources=sources)


def _drop_damaged(writer: Writer, row: Row[Any], error: PayloadError) -> None:
    """Drop a seal whose times are lost: what its chunks hold is of no use without."""
    log.error("seal %d is damaged (%s): %d samples are lost", row.id, error, row.rows)
    with writer.exclusive() as connection:
        for statement in seal_sql.drop_seal(row.id):
            connection.execute(statement)


def _a_day_of(small: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    upto = accumulate(row.rounds for row in small)
    count = next((at for at, scrapes in enumerate(upto, start=1) if scrapes >= MERGED_SCRAPES), 0)
    return small[:count]


def _merge_batch(writer: Writer, task: _Merge, after: int) -> int | None:
    """Merge the next series above a number; return the highest merged, None where there are no more."""
    with writer.exclusive() as connection:
        found: dict[int, dict[int, Row[Any]]] = {}
        for at, source in enumerate(task.sources):
            query = seal_sql.chunks_after(source.id, chunks.chunk_number(source.id, after + 1) - 1, BATCH_SERIES)
            for row in connection.execute(query):
                found.setdefault(chunks.series_of(row.id), {})[at] = row
    # Each seal gave its lowest: of the lowest of all none is missing.
    series = sorted(found)[:BATCH_SERIES]
    if not series and task.begun:
        return None
    packed = [merged for number in series if (merged := _merged(number, found[number], task)) is not None]
    with writer.exclusive() as connection:
        if not task.begun:
            connection.execute(seal_sql.ADD_SEAL, task.run.row(task.into, seal_sql.MERGED))
        if packed:
            connection.execute(seal_sql.ADD_CHUNKS, chunk_rows(task.into, packed))
            rows, size = sum(n for _, n, _ in packed), sum(len(payload) for _, _, payload in packed)
            connection.execute(seal_sql.add_to_seal(task.into, rows, size))
        gone = [row for number in series for row in found[number].values()]
        if connection.execute(seal_sql.drop_chunks(row.id for row in gone)).rowcount < len(gone):
            raise StoreWriteError(f"{writer.path}: another process puts history away")  # see ``sealing.store_seal``
        for source in task.sources:
            moved = [row for row in gone if chunks.seal_of(row.id) == source.id]
            rows, size = sum(row.n for row in moved), sum(len(row.payload) for row in moved)
            connection.execute(seal_sql.add_to_seal(source.id, -rows, -size))
    return series[-1] if series else after


def _merged(series: int, parts: Mapping[int, Row[Any]], task: _Merge) -> Packed | None:
    """Return one series' chunk of the whole; what is damaged is left out of it."""
    present, values, marks = bytearray(len(task.run.numbers)), array("q"), bytearray()
    for at in sorted(parts):
        source = task.sources[at]
        course = _read(parts[at], source)
        if course is not None:
            present[source.at : source.at + source.scrapes] = course.present
            values.extend(course.values)
            marks += course.estimated or bytes(len(course.values))
    if not values:
        return None
    return series, len(values), chunks.encode_course(chunks.Course(bytes(present), values, bytes(marks)))


def _read(row: Row[Any], source: _Source) -> chunks.Course | None:
    try:
        return chunks.decode_course(row.payload, source.scrapes)
    except PayloadError as error:
        log.error("chunk %d is damaged (%s): %d samples are lost", row.id, error, row.n)
        return None
