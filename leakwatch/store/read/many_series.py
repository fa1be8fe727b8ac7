"""All samples of several series in one pass: of those that are sampled seldom, as classes of memory are."""

from __future__ import annotations

from array import array
from collections.abc import Collection

from leakwatch.store.encoding import payload
from leakwatch.store.encoding.integers import Bytes, PayloadError, read_column, take_column
from leakwatch.store.files.tolerant import Damage, Tolerant
from leakwatch.store.read.samples import NEWEST, Seals, SeriesPast, sealed_courses
from leakwatch.store.sql import rounds as round_sql


def pasts_of(connection: Tolerant, seals: Seals, damage: Damage, series: Collection[int]) -> dict[int, SeriesPast]:
    """Return all samples of the series of these numbers, oldest first; which were estimated is not looked up."""
    found = {number: SeriesPast(array("q"), array("q"), b"") for number in series}
    for number, times, course in sealed_courses(connection, seals, damage, series):
        found[number].times_ms.extend(times)
        found[number].values.extend(course.values)
    finder = _Finder(series)
    for row in connection.execute(round_sql.sample_rounds(0, NEWEST)):
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
        data = payload.unpack(packed)
        written = take_column(data, count)
        if (written, count) != self._known:  # the same bytes are 1, 2, 3 and 1, 2, 3, 4
            numbers = read_column(Bytes(written), count)
            self._places = [(number, at) for at, number in enumerate(numbers) if number in self._series]
            self._known = written, count
        if not self._places:
            return []
        values = read_column(data, count)
        return [(number, values[at]) for number, at in self._places]
