"""Puts history away: rounds into chunks, small chunks into larger ones, in bounded steps beside sampling.

Each step reads in one short transaction, packs without holding anything, and stores in another that adds the chunks and
drops what they were made of: a reader finds each sample once, and whoever is killed in between has changed nothing.
Nobody else drops rounds or seals meanwhile: purging follows in the same process, and a second such process, left by a
daemon that was killed, is noticed before anything is stored.

Merges twelve seals of samples into one of a day: a chunk of 1440 samples takes half of twelve of 120.

A merge goes on series by series, some in a transaction: the day's seal is there from the first one on, the small seals
until the last. Meanwhile a series' samples are in the chunks of the one or in those of the other, never in both. Who is
killed in between leaves a merge half done, which the next run goes on with.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwatch.errors import StoreWriteError
from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.sql import seals as seal_sql
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Delete, Row

SEALED_SCRAPES = 120
"""Scrapes in a seal: two hours at the default interval. In numbers, as what a chunk costs goes by its length: at a
sample every five seconds two hours would be 1440."""
SEALED_SAMPLES = 600_000
"""Samples packed at once at most, else fewer scrapes: 5 MB for a moment, half a second of work."""
SEALED_STARTS = 96
"""Times of blocks in a seal: eight hours of fine blocks, four days of coarse ones. Three times as many are packed 11 %
smaller and take three times the memory to do it."""
MAX_SEALS = 24
"""Seals made a run: what a migration has left is worked off in a few hours, not all at once."""

log = logging.getLogger(__name__)

Packed = tuple[int, int, bytes]
"""A chunk to be stored: its series, how many samples or blocks, its payload."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A seal to be stored, with its chunks."""

    span_s: int
    first: int
    last: int
    numbers: Sequence[int]
    times_ms: Sequence[int]
    packed: Sequence[Packed] = ()

    def row(self, number: int, level: int) -> dict[str, object]:
        """Return its row."""
        return {
            "id": number,
            "span_s": self.span_s,
            "level": level,
            "first": self.first,
            "last": self.last,
            "first_ms": min(self.times_ms),
            "last_ms": max(self.times_ms),
            "rounds": len(self.times_ms),
            "rows": sum(n for _, n, _ in self.packed),
            "bytes": sum(len(payload) for _, _, payload in self.packed),
            "payload": chunks.encode_times(self.numbers, self.times_ms),
        }


def seal(writer: Writer) -> int:
    """Seal what is ready; return how many seals were made. Raises the writer's errors."""
    made = 0
    while made < MAX_SEALS and seal_samples(writer):
        made += 1
    with writer.exclusive() as connection:
        spans = connection.execute(seal_sql.block_round_totals()).all()
    for span in spans:
        while made < MAX_SEALS and seal_blocks(writer, span.span_s):
            made += 1
    return made


def seal_samples(writer: Writer) -> bool:
    """Seal the oldest scrapes; return whether there were enough. The newest is always left as it came."""
    with writer.exclusive() as connection:
        found = connection.execute(seal_sql.oldest_sample_rounds(SEALED_SCRAPES + 1)).all()
    taken = _enough(found)
    if not taken:
        return False
    packed = _packed_samples(taken)
    numbers, times_ms = [row.scrape_id for row in taken], [row.ts_ms for row in taken]
    run = Sealed(seal_sql.SAMPLES, numbers[0], numbers[-1], numbers, times_ms, packed)
    store_seal(writer, run, seal_sql.drop_sample_rounds(numbers[0], numbers[-1]), len(taken))
    return True


def _enough(found: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Return the scrapes to seal of those found, none where more may still come into the same seal."""
    count = samples = 0
    for row in found[:SEALED_SCRAPES]:
        samples += row.n
        if count and samples > SEALED_SAMPLES:
            return found[:count]
        count += 1
    return found[:count] if len(found) > SEALED_SCRAPES else ()


def _packed_samples(taken: Sequence[Row[Any]]) -> list[Packed]:
    """Return the chunks of these scrapes, by series."""
    present: dict[int, bytearray] = {}
    values: dict[int, array[int]] = {}
    marks: dict[int, bytearray] = {}
    for at, row in enumerate(taken):
        try:
            one = rounds.decode_round(row.payload, row.n)
        except PayloadError as error:
            log.error("the samples of scrape %d are damaged (%s) and are lost", row.scrape_id, error)
            continue
        for series, value, mark in zip(one.series, one.values, one.estimated or bytes(row.n), strict=True):
            if series not in values:
                present[series], values[series] = bytearray(len(taken)), array("q")
                marks[series] = bytearray()
            present[series][at] = 1
            values[series].append(value)
            marks[series].append(mark)
    packed: list[Packed] = []
    for series in sorted(values):
        course = chunks.Course(bytes(present[series]), values.pop(series), bytes(marks[series]))
        packed.append((series, len(course.values), chunks.encode_course(course, once=True)))
    return packed


def seal_blocks(writer: Writer, span_s: int) -> bool:
    """Seal the blocks of one span that were written first; return whether there were enough."""
    with writer.exclusive() as connection:
        found = connection.execute(seal_sql.oldest_block_rounds(span_s, 4 * SEALED_STARTS)).all()
    starts: set[int] = set()
    taken: list[Row[Any]] = []
    for row in found:
        if len(starts) == SEALED_STARTS and row.start_ms not in starts:
            break
        starts.add(row.start_ms)
        taken.append(row)
    if len(taken) == len(found) < 4 * SEALED_STARTS:
        return False  # more blocks of the last time may come
    times_ms = sorted(starts)
    packed = _packed_blocks(taken, times_ms)
    run = Sealed(span_s, taken[0].id, taken[-1].id, range(len(times_ms)), times_ms, packed)
    store_seal(writer, run, seal_sql.drop_block_rounds(span_s, taken[-1].id), len(taken))
    return True


class _Blocks:
    """One series' blocks, gathered in the order in which they were written."""

    __slots__ = ("columns", "places")

    def __init__(self) -> None:
        self.places = array("h")
        self.columns: list[array[Any]] = [array(kind) for kind in "qddddq"]

    def add(self, place: int, block: rounds.BlockRow) -> None:
        self.places.append(place)
        for column, value in zip(self.columns, block, strict=True):
            column.append(value)

    def course(self, count: int) -> chunks.BlockCourse:
        """Return them in the order of time, of two at the same time the later."""
        at = {place: index for index, place in enumerate(self.places)}
        chosen = [at[place] for place in sorted(at)]
        n, minimum, median, maximum, last, segment_ms = ([column[i] for i in chosen] for column in self.columns)
        present = bytes(place in at for place in range(count))
        return chunks.BlockCourse(present, rounds.BlockColumns(n, minimum, median, maximum, last, segment_ms))


def _packed_blocks(taken: Sequence[Row[Any]], times_ms: Sequence[int]) -> list[Packed]:
    """Return the chunks of these rounds, by series."""
    place = {start_ms: at for at, start_ms in enumerate(times_ms)}
    found: dict[int, _Blocks] = defaultdict(_Blocks)
    for row in taken:
        try:
            series, columns = rounds.decode_block_round(row.payload, row.n)
        except PayloadError as error:
            log.error("the blocks of round %d are damaged (%s) and are lost", row.id, error)
            continue
        for number, block in zip(series, zip(*columns, strict=True), strict=True):
            found[number].add(place[row.start_ms], block)
    packed: list[Packed] = []
    for number in sorted(found):
        course = found.pop(number).course(len(times_ms))
        packed.append((number, len(course.columns.n), chunks.encode_block_course(course)))
    return packed


def store_seal(writer: Writer, run: Sealed, drop: Delete, made_of: int) -> None:
    """Store a seal with its chunks and drop the ``made_of`` rounds they were made of, in one transaction.

    Raises StoreWriteError where these are not all there any more: a daemon that was killed may have left a child that
    still seals, and nothing may be sealed twice.
    """
    with writer.exclusive() as connection:
        number = int(connection.execute(seal_sql.next_seal()).scalar_one())
        connection.execute(seal_sql.ADD_SEAL, run.row(number, seal_sql.SEALED))
        if run.packed:
            connection.execute(seal_sql.ADD_CHUNKS, chunk_rows(number, run.packed))
        if connection.execute(drop).rowcount < made_of:
            raise StoreWriteError(f"{writer.path}: another process puts history away")


def chunk_rows(seal_number: int, packed: Sequence[Packed]) -> list[dict[str, object]]:
    """Return the rows of chunks in a seal."""
    return [{"id": chunks.chunk_number(seal_number, number), "n": n, "payload": p} for number, n, p in packed]


MERGED_SCRAPES = 1440
"""Scrapes in a merged seal: a day at the default interval."""
BATCH_SERIES = 64
"""Series merged a transaction: 92,000 samples, which are packed before it begins."""
MAX_SHARE = 1 / 8
"""Of the space there is: the oldest seal goes as a whole, and a store that holds but two days must not lose one."""


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
