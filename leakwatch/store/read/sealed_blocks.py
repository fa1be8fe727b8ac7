"""Reads blocks wherever they lie, in rounds or in chunks, in the order of time.

Of two blocks of a series with the same start the one written later counts: it was half full at a restart and completed
after it.

All samples of several series in one pass: of those that are sampled seldom, as classes of memory are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator
from typing import Protocol

from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.encoding.integers import Bytes, PayloadError, read_column, take_column
from leakwatch.store.read.samples import NEWEST, Damage, Seal, Seals, SeriesPast, Tolerant, sealed_courses
from leakwatch.store.sql import seals as seal_sql


class _Source(Protocol):
    def at(self, start_ms: int) -> Iterable[tuple[int, rounds.BlockRow]]:
        """Return the blocks that began at a time, by series."""


class _Round:
    """Blocks of one time that are not sealed."""

    def __init__(self, series: array[int], columns: rounds.BlockColumns) -> None:
        self._series = series
        self._columns = columns

    def at(self, start_ms: int) -> Iterable[tuple[int, rounds.BlockRow]]:  # noqa: ARG002 - it has but one
        return zip(self._series, zip(*self._columns, strict=True), strict=True)


class _Sealed:
    """The chunks of a seal."""

    def __init__(self, seal: Seal, courses: dict[int, chunks.BlockCourse]) -> None:
        self._seal = seal
        self._courses = courses

    def at(self, start_ms: int) -> Iterable[tuple[int, rounds.BlockRow]]:
        at = bisect_left(self._seal.times_ms, start_ms)
        for series, (present, columns) in self._courses.items():
            if present[at]:
                place = present.count(1, 0, at)
                n, minimum, median, maximum, last, segment_ms = (column[place] for column in columns)
                yield series, (n, minimum, median, maximum, last, segment_ms)  # type: ignore[misc]


def blocks_since(
    connection: Tolerant, seals: Seals, damage: Damage, span_s: int, since_ms: int, wanted: Container[int]
) -> Iterator[tuple[int, int, rounds.BlockRow]]:
    """Read the blocks of one span from a time on; then yield (start in UTC milliseconds, series, block) by time."""
    sources: dict[int, list[_Source]] = {}
    for row in connection.execute(seal_sql.block_seals(span_s, since_ms)).all():
        seal = seals.of(row)
        sealed = _Sealed(seal, _read_seal(connection, seal, damage, wanted))
        for start_ms in seal.times_ms:
            if start_ms >= since_ms:
                sources.setdefault(start_ms, []).append(sealed)
    for row in connection.execute(seal_sql.block_rounds(span_s, since_ms)):
        try:
            series, columns = rounds.decode_block_round(row.payload, row.n)
        except PayloadError as error:
            damage.note(f"the round of blocks {row.id}", error)
            continue
        sources.setdefault(row.start_ms, []).append(_Round(series, columns))
    return _by_time(sources, wanted)


def _by_time(sources: dict[int, list[_Source]], wanted: Container[int]) -> Iterator[tuple[int, int, rounds.BlockRow]]:
    for start_ms in sorted(sources):
        found: dict[int, rounds.BlockRow] = {}
        for source in sources.pop(start_ms):
            found.update(source.at(start_ms))
        for series, block in found.items():
            if series in wanted:
                yield start_ms, series, block


def _read_seal(
    connection: Tolerant, seal: Seal, damage: Damage, wanted: Container[int]
) -> dict[int, chunks.BlockCourse]:
    found: dict[int, chunks.BlockCourse] = {}
    for row in connection.execute(seal_sql.chunks_of(seal.id)):
        series = chunks.series_of(row.id)
        if series in wanted and seal.numbers:
            try:
                found[series] = chunks.decode_block_course(row.payload, len(seal.numbers))
            except PayloadError as error:
                damage.note(f"chunk {row.id}, blocks of series {series}", error)
    return found


def pasts_of(connection: Tolerant, seals: Seals, damage: Damage, series: Collection[int]) -> dict[int, SeriesPast]:
    """Return all samples of the series of these numbers, oldest first; which were estimated is not looked up."""
    found = {number: SeriesPast(array("q"), array("q"), b"") for number in series}
    for number, times, course in sealed_courses(connection, seals, damage, series):
        found[number].times_ms.extend(times)
        found[number].values.extend(course.values)
    finder = _Finder(series)
    for row in connection.execute(seal_sql.sample_rounds(0, NEWEST)):
        try:
            values = finder.find(row.payload, row.n)
        except PayloadError as error:
            damage.note(f"the scrape {row.scrape_id}", error)
            continue
        for number, value in values:
            found[number].times_ms.append(row.ts_ms)
            found[number].values.append(value)
    return {n: SeriesPast(past.times_ms, past.values, bytes(len(past.values))) for n, past in found.items()}


class _Finder:
    """Looks several series up in round after round: which a round has is told by its first bytes, mostly the same."""

    def __init__(self, series: Collection[int]) -> None:
        self._series = frozenset(series)
        self._known: tuple[bytes, int] = b"", 0
        self._places: list[tuple[int, int]] = []

    def find(self, packed: bytes, count: int) -> list[tuple[int, int]]:
        """Return the series found with their values. Raises PayloadError."""
        data = rounds.unpack(packed)
        written = take_column(data, count)
        if (written, count) != self._known:  # the same bytes are 1, 2, 3 and 1, 2, 3, 4
            numbers = read_column(Bytes(written), count)
            self._places = [(number, at) for at, number in enumerate(numbers) if number in self._series]
            self._known = written, count
        if not self._places:
            return []
        values = read_column(data, count)
        return [(number, values[at]) for number, at in self._places]
