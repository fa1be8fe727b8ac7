"""Reads a store, also while a daemon writes to it."""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leakwatch.metrics import PROCESS_USS
from leakwatch.model.identity import ProcessInfo, Target, TargetKind, identity_of
from leakwatch.model.incident import EventKind, Incident, IncidentEvent
from leakwatch.model.sample import Block, SealedBlock
from leakwatch.model.timeline import CLOCK, Stamps
from leakwatch.model.verdict import Finding
from leakwatch.store.encoding import codec
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.files import engine
from leakwatch.store.files.driver import translated
from leakwatch.store.incident import rows as incidents
from leakwatch.store.maintenance.column_checks import none_or, whole
from leakwatch.store.read.records import (
    CollectorReport,
    Extent,
    Irregularities,
    Lifetime,
    ScrapeHead,
    StoredFinding,
    collector_report,
    process_info,
)
from leakwatch.store.read.samples import Damage, Scraped, Seals, SeriesPast, Tolerant, past_of, read_round, run_from
from leakwatch.store.read.sealed_blocks import blocks_since, pasts_of
from leakwatch.store.sql import reading
from leakwatch.store.sql import seals as round_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

SCRAPES_A_READ = 120
"""Scrapes whose samples are held at once where they are not sealed: bounds the memory of a replay."""
MAX_NUMBER = 2**63 - 1
"""Of a row."""
_T = TypeVar("_T")
_Key = tuple[str, Target]
Named = dict[tuple[str, Target], int]
"""The samples of a scrape, by metric and target."""


class Reader:
    """A read-only view of the store at ``path``; raises the errors of ``engine.connect_reader``.

    Times are shown as the time of day, or as they are stored with ``of_timeline``, see ``timeline``. With ``extent``
    scrapes, blocks, suspicions and processes are those of the store as it was then.
    """

    opened: Path | None = None
    """The store that was opened last in this process: what fails unforeseen may fail because it is damaged."""

    def __init__(self, path: Path, extent: Extent | None = None, *, of_timeline: bool = False) -> None:
        self.path = Reader.opened = path
        self._stamps: Stamps | None = Stamps() if of_timeline else None
        self._extent = extent
        self._last_id = extent.last_id if extent else MAX_NUMBER
        self._connection = engine.connect_reader(path)
        self.damage = Damage()
        """What could not be read so far and was left out."""
        self._seals = Seals(self.damage)

    def close(self) -> None:
        """Close the file."""
        engine.disconnect(self._connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend the connection for one read transaction, which sees the store as it is when it begins."""
        with translated(self.path):
            try:
                yield self._connection
            finally:
                self._connection.rollback()  # ends the read, so that the writer's log can be folded in

    @property
    def stamps(self) -> Stamps:
        """How the store's times lie in those that the methods take and return; not to be asked while ``reading``."""
        if self._stamps is None:
            with self.reading() as connection:
                value = Tolerant(connection, self.damage).execute(reading.state(CLOCK)).scalar()
            self._stamps = Stamps() if value is None else Stamps.of(codec.decode_json(value, None))
        return self._stamps

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Tolerant]:
        """Lend what reads as far as it can, in one such transaction."""
        with self.reading() as connection:
            yield Tolerant(connection, self.damage)

    def _each(self, rows: Iterable[Any], what: str, decode: Callable[[Any], _T | None]) -> Iterator[_T]:
        """Yield what rows hold; one that makes no sense is noted and left out."""
        for row in rows:
            try:
                found = decode(row)
            except (PayloadError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
                self.damage.note(f"{what} {row[0]!r}", error)
                continue
            if found is not None:
                yield found

    def last_scrape(self) -> ScrapeHead | None:
        """Return the newest scrape, None when there is none."""
        with self._reading() as connection:
            rows = connection.execute(reading.last_scrape(self._last_id)).all()
        return next(self._each(rows, "scrape", self._head), None)

    def first_scrape(self) -> ScrapeHead | None:
        """Return the oldest scrape kept, None when there is none."""
        with self._reading() as connection:
            rows = connection.execute(reading.first_scrape()).all()
        return next(self._each(rows, "scrape", self._head), None)

    def irregularities(self, since_ms: int, after_id: int = 0) -> Irregularities:
        """Return what was irregular since a time, among the scrapes after the one with the given number.

        Numbers are what the table is ordered by: with a bound a report need not look through weeks of scrapes.
        """
        found = reading.scrape_irregularities(self.stamps.timeline(since_ms), after_id)
        with self._reading() as connection:
            row = connection.execute(found).first()
        return Irregularities(*map(int, row)) if row is not None else Irregularities(0, 0, 0, 0, 0)

    def collectors(self, scrape_id: int) -> dict[str, CollectorReport]:
        """Return each collector's outcome in a scrape."""
        raw: dict[str, dict[str, int]] = {}
        with self._reading() as connection:
            for key, metric, value in self._values_of_kind(connection, scrape_id, TargetKind.COLLECTOR):
                raw.setdefault(key, {})[metric] = value
        return {name: collector_report(values) for name, values in raw.items()}

    def _values_of_kind(self, connection: Tolerant, scrape_id: int, kind: TargetKind) -> list[tuple[str, str, int]]:
        """Return (key, metric, value) of a scrape's samples of one kind of targets."""
        series = {row.id: (row.key, row.metric) for row in connection.execute(reading.series_of_kinds([kind]))}
        row = connection.execute(round_sql.sample_rounds(scrape_id, scrape_id)).first()
        if row is not None:
            values = read_round(row, self.damage, series).values
        else:
            run = run_from(connection, self._seals, self.damage, scrape_id, series, at_most=1)
            values = run.take(scrape_id).values
        return [(*series[number], value) for number, value in values.items()]

    def estimated_pids(self, scrape_id: int) -> frozenset[int]:
        """Return the processes whose USS was estimated in a scrape that is not sealed yet."""
        with self._reading() as connection:
            rows = connection.execute(reading.series_of_kinds([TargetKind.PROCESS]))
            series = {row.id: row.key for row in rows if row.metric == PROCESS_USS}
            row = connection.execute(round_sql.sample_rounds(scrape_id, scrape_id)).first()
        found = read_round(row, self.damage, series).estimated if row is not None else frozenset[int]()
        return frozenset(identity_of(series[number]).pid for number in found)

    def findings(self, verdicts: Iterable[str] | None = None) -> list[StoredFinding]:
        """Return findings, all or those with the given verdicts, in no order."""
        with self._reading() as connection:
            rows = connection.execute(reading.findings(verdicts)).all()
        return list(self._each(rows, "finding", self._finding))

    def _finding(self, row: Row[Any]) -> StoredFinding:
        return self._found(codec.finding_of(row.payload), none_or(row.ended_ms))

    def _found(self, finding: Finding, ended_ms: int | None) -> StoredFinding:
        shown = self.stamps.shown(finding)
        if shown is not finding:
            shown = replace(shown, assessment=self.stamps.shown(finding.assessment))
        return self.stamps.shown(StoredFinding(shown, ended_ms))

    def incidents(self) -> list[Incident]:
        """Return all incidents, oldest first; one whose row makes no sense is left out with a line in the log."""
        with self._reading() as connection:
            rows = connection.execute(reading.incidents()).all()
        return list(self._each(rows, "incident", lambda row: incidents.shown(incidents.incident_of(row), self.stamps)))

    def incident_events(self, incident_id: str) -> list[IncidentEvent]:
        """Return an incident's history, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(reading.incident_events(incident_id)).all()
        return list(self._each(rows, "incident_event", self._event))

    def _event(self, row: Row[Any]) -> IncidentEvent | None:
        if row.kind not in frozenset(EventKind):
            return None  # of another version
        at_ms = self.stamps.wall(whole(row.at_ms))
        return IncidentEvent(row.incident_id, at_ms, EventKind(row.kind), codec.decode_phrases(str(row.reason)), row.by)

    def finding_counts(self) -> dict[str, int]:
        """Return how many findings of living targets there are of each verdict."""
        with self._reading() as connection:
            return {row.verdict: row[1] for row in connection.execute(reading.finding_counts())}

    def states(self) -> dict[str, Any]:
        """Return the daemon's state by key."""
        with self._reading() as connection:
            rows = connection.execute(reading.states()).all()
        mine = (row for row in rows if row.key != CLOCK)
        return dict(self._each(mine, "state", lambda row: (row.key, self.stamps.shown_json(json.loads(row.value)))))

    def host_values(self, scrape_id: int) -> dict[str, int]:
        """Return the host's metrics in a scrape."""
        with self._reading() as connection:
            return {metric: value for _, metric, value in self._values_of_kind(connection, scrape_id, TargetKind.HOST)}

    def samples(self, metric: str, target: Target) -> list[tuple[int, int]]:
        """Return one series as (UTC milliseconds, value), oldest first."""
        past = self.past(metric, target)
        return list(zip(past.times_ms, past.values, strict=True)) if past else []

    def past(self, metric: str, target: Target) -> SeriesPast | None:
        """Return one series as arrays, with which of its values were estimated; None where there is none."""
        with self._reading() as connection:
            number = connection.execute(reading.series_by_name(metric, target)).scalar()
            past = None if number is None else past_of(connection, self._seals, self.damage, number)
        return None if past is None else self._shown(past)

    def series_of(self, metrics: Collection[str]) -> dict[int, tuple[str, Target]]:
        """Return the series of some metrics by number, of targets that have ended, too."""
        with self._reading() as connection:
            rows = connection.execute(reading.series_of_metrics(metrics))
            return self._named_series(rows)

    def pasts(self, series: Collection[int]) -> dict[int, SeriesPast]:
        """Return the series of these numbers as arrays, by number."""
        with self._reading() as connection:
            found = pasts_of(connection, self._seals, self.damage, series)
        return {number: self._shown(past) for number, past in found.items()}

    def _shown(self, past: SeriesPast) -> SeriesPast:
        if self.stamps.is_plain():
            return past
        return past._replace(times_ms=array("q", map(self.stamps.wall, past.times_ms)))

    def living_series(self) -> dict[int, tuple[str, Target]]:
        """Return the series of targets not known to have ended, by number."""
        with self._reading() as connection:
            return self._living(connection)

    def _living(self, connection: Tolerant) -> dict[int, tuple[str, Target]]:
        rows = connection.execute(reading.series_among(self._extent.living) if self._extent else reading.all_series())
        return self._named_series(rows)

    def _named_series(self, rows: Iterable[Any]) -> dict[int, _Key]:
        return dict(
            self._each(rows, "series", lambda row: (row.id, (row.metric, codec.decode_target(row.kind, row.key))))
        )

    def all_series(self) -> dict[int, tuple[str, Target]]:
        """Return every series by number, of targets that have ended, too."""
        with self._reading() as connection:
            rows = connection.execute(reading.series_ever())
            return self._named_series(rows)

    def blocks(self, span_s: int, since_ms: int) -> Iterator[SealedBlock]:
        """Yield the blocks of one span that began at or after a time, oldest first, of living targets."""
        stamps = self.stamps
        with self._reading() as connection:  # both at the same moment, while a daemon adds series
            series = self._living(connection)
            since_ms = stamps.timeline(since_ms)
            found = blocks_since(connection, self._seals, self.damage, span_s, since_ms, series)
        for start_ms, number, (n, minimum, median, maximum, last, segment_ms) in found:
            block = Block(stamps.wall(start_ms), n, minimum, median, maximum, last)
            yield SealedBlock(*series[number], span_s, stamps.wall(segment_ms), block)

    def scrapes_since(self, since_ms: int) -> list[ScrapeHead]:
        """Return the scrapes taken at or after a time, oldest first, without their samples."""
        found = reading.scrapes_since(self.stamps.timeline(since_ms), self._last_id)
        with self._reading() as connection:
            rows = connection.execute(found).all()
        return list(self._each(rows, "scrape", self._head))

    def boots(self) -> dict[int, str]:
        """Return the kernel's id of each boot by its number in the store."""
        with self._reading() as connection:
            return {row.id: row.boot_id for row in connection.execute(reading.boots())}

    def boot_began_ms(self, boot: int) -> int:
        """Return when the first scrape kept of a boot was taken, 0 without one."""
        with self._reading() as connection:
            row = connection.execute(reading.first_of_boot(boot)).first()
        return 0 if row is None or not isinstance(row.ts_ms, int) else self.stamps.wall(row.ts_ms)

    def scrapes_until(self, ts_ms: int, at_most: int) -> list[ScrapeHead]:
        """Return the last scrapes taken at or before a time, oldest first."""
        found = reading.scrapes_until(self.stamps.timeline(ts_ms), at_most)
        with self._reading() as connection:
            rows = connection.execute(found).all()
        return list(self._each(rows, "scrape", self._head))[::-1]

    def samples_of(self, heads: list[ScrapeHead]) -> Iterator[tuple[ScrapeHead, Named]]:
        """Yield the given scrapes, which must be in order, with the samples of living targets."""
        yield from self._named(heads, self.living_series())

    def history(self, heads: list[ScrapeHead], metrics: Collection[str]) -> Iterator[tuple[ScrapeHead, Named]]:
        """Yield the given scrapes, which must be in order, with the samples of some metrics, of any target."""
        yield from self._named(heads, self.series_of(metrics))

    def _named(
        self, heads: list[ScrapeHead], series: dict[int, tuple[str, Target]]
    ) -> Iterator[tuple[ScrapeHead, Named]]:
        for head, found in self.scraped(heads, series):
            yield head, {series[number]: value for number, value in found.values.items()}

    def scraped(self, heads: list[ScrapeHead], wanted: Container[int]) -> Iterator[tuple[ScrapeHead, Scraped]]:
        """Yield the given scrapes, which must be in order, with the samples of the series of these numbers.

        Read in parts, each in a transaction of its own: samples that are sealed meanwhile are found in either place.
        """
        run = None
        for head in heads:
            if run is None or head.id > run.last:
                with self._reading() as connection:
                    run = run_from(connection, self._seals, self.damage, head.id, wanted, SCRAPES_A_READ)
            yield head, run.take(head.id)

    def suspicions(self) -> dict[tuple[str, Target], str]:
        """Return the frozen forecasts by series, as the JSON texts that were stored."""
        with self._reading() as connection:
            series = self._living(connection)
            rows = connection.execute(reading.suspicions()).all()
        mine = (row for row in rows if row.series_id in series)
        return dict(self._each(mine, "suspicion", lambda row: (series[row.series_id], self._payload(row.payload))))

    def _payload(self, text: str) -> str:
        found = json.loads(text)
        return text if self.stamps.is_plain() else json.dumps(self.stamps.shown_json(found))

    def processes(self) -> list[ProcessInfo]:
        """Return the processes not known to have ended."""
        with self._reading() as connection:
            among = reading.processes_among(self._extent.living) if self._extent else reading.processes_alive()
            return list(self._each(connection.execute(among), "process", process_info))

    def lifetimes(self) -> list[Lifetime]:
        """Return every process still known, ended ones too, in the order in which they were first seen."""
        with self._reading() as connection:
            rows = connection.execute(reading.processes_ever()).all()
        found = self._each(rows, "process", self._lifetime)
        return sorted(found, key=lambda lifetime: lifetime.first_ms)

    def _lifetime(self, row: Row[Any]) -> Lifetime:
        return self.stamps.shown(Lifetime(process_info(row), whole(row.first_ms), none_or(row.last_ms)))

    def _head(self, row: Row[Any]) -> ScrapeHead:
        return ScrapeHead(
            row.id,
            self.stamps.wall(whole(row.ts_ms)),
            whole(row.boot_id),
            whole(row.suspended_ms),
            whole(row.clock_step_ms),
            whole(row.duration_us),
            _notes(row.notes),
        )


def _notes(text: str) -> dict[str, list[str]]:
    """Return what was noted of a scrape, nothing where it cannot be read: the scrape is worth no less."""
    notes = codec.decode_json(text, {})
    if not isinstance(notes, dict):
        return {}
    return {name: [str(one) for one in some] for name, some in notes.items() if isinstance(some, list)}
