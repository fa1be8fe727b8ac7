"""Reads samples wherever they lie: in rounds, in chunks, or half way between two seals that are being merged.

Every function is to be called within one read transaction, in which each sample is in exactly one place. What cannot be
read (see ``Damage``) is left out: the rest of a store is worth no less for one bad sector.

A connection that reads as far as SQLite can: what a damaged page holds is left out and noted, the rest is used.
"""

from __future__ import annotations

import logging
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.files.driver import driver_error, result_codes
from leakwatch.store.sql import seals as seal_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, Result, Row

log = logging.getLogger(__name__)


class Damage:
    """Counts what could not be read, and says each once: SQLite has no checksums, so only the payloads' own tell."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def note(self, what: str, error: Exception | str) -> None:
        """Note one piece that is damaged."""
        if what not in self.found:
            self.found.add(what)
            log.warning("%s is damaged (%s) and is left out; what else is damaged: leakwatch db check", what, error)


class Tolerant:
    """Runs statements on a connection; what cannot be read is noted in ``damage``."""

    def __init__(self, connection: Connection, damage: Damage) -> None:
        self._connection, self._damage = connection, damage

    def execute(self, statement: Executable) -> Rows:
        """Run a statement whose rows are wanted."""
        try:
            return Rows(self._connection.execute(statement), self._damage)
        except Exception as error:  # noqa: BLE001 - those of the driver, wrapped or not; others are raised again
            _note(error, self._damage)
            return Rows(None, self._damage)


class Rows:
    """The rows of a statement up to where SQLite can read."""

    def __init__(self, result: Result[Any] | None, damage: Damage) -> None:
        self._result, self._damage = result, damage

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._result or ()
        except Exception as error:  # noqa: BLE001 - those of the driver, wrapped or not; others are raised again
            _note(error, self._damage)

    def all(self) -> list[Any]:
        """Return them all."""
        return list(self)

    def first(self) -> Any:
        """Return the first, None where there is none."""
        return next(iter(self), None)

    def scalar(self) -> Any:
        """Return the first column of the first, None where there is none."""
        row = self.first()
        return None if row is None else row[0]


def _note(error: Exception, damage: Damage) -> None:
    found = driver_error(error)
    if found is None or result_codes(found)[1] != sqlite3.SQLITE_CORRUPT:
        raise error
    damage.note("a page of the store", found)


NEWEST = 1 << 62
"""Above every scrape's number."""
CHUNKS_A_QUERY = 500
"""SQLite takes a bounded number of parameters."""


class Seal(NamedTuple):
    """A run of rounds that was put away."""

    id: int
    numbers: array[int]
    times_ms: array[int]


class SeriesPast(NamedTuple):
    """All samples of a series, oldest first."""

    times_ms: array[int]
    values: array[int]
    estimated: bytes
    """One byte a sample, 1 where it was estimated."""


class Seals:
    """The seals read so far: they never change, and each serves thousands of chunks."""

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._known: dict[tuple[int, int, int], Seal] = {}

    def of(self, row: Row[Any]) -> Seal:
        """Return a seal with its numbers and times; with none of either where they are damaged."""
        key = row.id, row.first, row.last
        if key not in self._known:
            try:
                numbers, times_ms = chunks.decode_times(row.payload, row.rounds)
            except PayloadError as error:
                self._damage.note(f"seal {row.id}, of {row.rows} values", error)
                numbers, times_ms = array("q"), array("q")
            self._known[key] = Seal(row.id, numbers, times_ms)
        return self._known[key]


def past_of(connection: Tolerant, seals: Seals, damage: Damage, series: int) -> SeriesPast:
    """Return all samples of one series."""
    times_ms, values, estimated = array("q"), array("q"), bytearray()
    for _, times, course in sealed_courses(connection, seals, damage, (series,)):
        times_ms.extend(times)
        values.extend(course.values)
        estimated += course.estimated or bytes(len(course.values))
    lookup = rounds.Lookup(series)
    for row in connection.execute(seal_sql.sample_rounds(0, NEWEST)):
        try:
            found = lookup.find(row.payload, row.n)
        except PayloadError as error:
            damage.note(f"the scrape {row.scrape_id}", error)
            continue
        if found is not None:
            times_ms.append(row.ts_ms)
            values.append(found[0])
            estimated.append(found[1])
    return SeriesPast(times_ms, values, bytes(estimated))


def sealed_courses(
    connection: Tolerant, seals: Seals, damage: Damage, series: Collection[int]
) -> Iterator[tuple[int, Iterable[int], chunks.Course]]:
    """Yield what is sealed of the series of these numbers, oldest first: the number, times in ms, and the course."""
    around = connection.execute(seal_sql.seals(seal_sql.SAMPLES)).all()
    wanted = [(row, chunks.chunk_number(row.id, one)) for row in around for one in series]
    for at in range(0, len(wanted), CHUNKS_A_QUERY):  # not a query a seal: that took a third of the time
        part = wanted[at : at + CHUNKS_A_QUERY]
        found = connection.execute(seal_sql.chunks([number for _, number in part]))
        stored = {row.id: row.payload for row in found}
        for row, number in part:
            if number not in stored:
                continue
            seal = seals.of(row)
            course = course_of(stored[number], seal, damage, number)
            if course is not None:
                whole = len(course.values) == len(seal.times_ms)
                times = seal.times_ms if whole else compress(seal.times_ms, course.present)
                yield chunks.series_of(number), times, course


def course_of(packed: bytes, seal: Seal, damage: Damage, number: int) -> chunks.Course | None:
    """Return a chunk's samples, None where they or the seal's times are damaged."""
    if not seal.numbers:
        return None
    try:
        return chunks.decode_course(packed, len(seal.numbers))
    except PayloadError as error:
        damage.note(f"chunk {number}, of series {chunks.series_of(number)}", error)
        return None


class Scraped(NamedTuple):
    """The samples of one scrape, by series."""

    values: dict[int, int]
    estimated: frozenset[int]


_NOTHING = Scraped({}, frozenset())


class Run:
    """The samples of some scrapes in a row, read at once and handed out scrape by scrape, in order."""

    def __init__(self, last: int) -> None:
        self.last = last
        """The last scrape it knows of; what comes after is in another run."""
        self._rounds: dict[int, Scraped] = {}
        self._sealed: list[tuple[Seal, list[_Cursor]]] = []

    def take(self, scrape_id: int) -> Scraped:
        """Return a scrape's samples; scrapes are asked for in rising order."""
        found = self._rounds.pop(scrape_id, _NOTHING)
        for seal, cursors in self._sealed:
            at = bisect_left(seal.numbers, scrape_id)
            if at < len(seal.numbers) and seal.numbers[at] == scrape_id:
                values, estimated = dict(found.values), set(found.estimated)
                for cursor in cursors:
                    cursor.put(at, values, estimated)
                found = Scraped(values, frozenset(estimated))
        return found

    def add_round(self, scrape_id: int, found: Scraped) -> None:
        """Hold a scrape that is not sealed."""
        self._rounds[scrape_id] = found

    def add_seal(self, seal: Seal, cursors: list[_Cursor]) -> None:
        """Hold the chunks of a seal."""
        self._sealed.append((seal, cursors))


class _Cursor:
    """One series' course, read from front to back."""

    __slots__ = ("_course", "_place", "_series", "_upto")

    def __init__(self, series: int, course: chunks.Course) -> None:
        self._series = series
        self._course = course
        self._place = 0
        self._upto = 0

    def put(self, at: int, values: dict[int, int], estimated: set[int]) -> None:
        """Put in what the series has in the seal's scrape at ``at``, which never goes back."""
        present = self._course.present
        if at > self._upto:
            self._place += present.count(1, self._upto, at)
            self._upto = at
        if present[at]:
            values[self._series] = self._course.values[self._place]
            if self._course.estimated and self._course.estimated[self._place]:
                estimated.add(self._series)


def run_from(
    connection: Tolerant, seals: Seals, damage: Damage, scrape_id: int, wanted: Container[int] | None, at_most: int
) -> Run:
    """Return the samples of scrapes from this one on: of a whole seal, or of ``at_most`` scrapes that are not sealed.

    ``wanted`` are the numbers of the series to read, None for all.
    """
    around = connection.execute(seal_sql.seals_around(scrape_id, scrape_id)).all()
    if around:
        run = Run(min(row.last for row in around))
        for row in around:
            run.add_seal(*_read_seal(connection, seals.of(row), damage, wanted))
        return run
    next_sealed = connection.execute(seal_sql.sealed_after(scrape_id)).scalar()
    last = min(scrape_id + at_most, next_sealed or NEWEST) - 1
    run = Run(last)
    for row in connection.execute(seal_sql.sample_rounds(scrape_id, last)):
        run.add_round(row.scrape_id, read_round(row, damage, wanted))
    return run


def _read_seal(
    connection: Tolerant, seal: Seal, damage: Damage, wanted: Container[int] | None
) -> tuple[Seal, list[_Cursor]]:
    cursors = []
    for row in connection.execute(seal_sql.chunks_of(seal.id)):
        series = chunks.series_of(row.id)
        if wanted is None or series in wanted:
            course = course_of(row.payload, seal, damage, row.id)
            if course is not None:
                cursors.append(_Cursor(series, course))
    return seal, cursors


def read_round(row: Row[Any], damage: Damage, wanted: Container[int] | None = None) -> Scraped:
    """Return the samples of a round."""
    try:
        series, values, estimated = rounds.decode_round(row.payload, row.n)
    except PayloadError as error:
        damage.note(f"the scrape {row.scrape_id}", error)
        return _NOTHING
    if wanted is None:
        found = dict(zip(series, values, strict=True))
    else:
        found = {number: value for number, value in zip(series, values, strict=True) if number in wanted}
    return Scraped(found, frozenset(compress(series, estimated)) & found.keys() if estimated else frozenset())
