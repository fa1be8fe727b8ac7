"""Reads a store, also while a daemon writes to it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leakwatch.model import (
    AbsenceReason,
    Block,
    ProcessIdentity,
    ProcessInfo,
    SealedBlock,
    Service,
    ServiceKind,
    Target,
    TargetKind,
)
from leakwatch.store import codec, engine, incidents, statements
from leakwatch.store.failures import translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from leakwatch.incident import Incident, IncidentEvent
    from leakwatch.model import Finding

SCRAPES_A_READ = 500
"""Scrapes whose samples are held at once: bounds the memory of a replay."""


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding with what became of it."""

    finding: Finding
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class ScrapeHead:
    """A scrape without its samples."""

    id: int
    ts_ms: int
    boot: int
    suspended_ms: int
    clock_step_ms: int
    duration_us: int
    notes: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Irregularities:
    """What was irregular about the scrapes of a time."""

    scrapes: int
    missed: int
    suspended_ms: int
    clock_stepped_ms: int
    latest_ms: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A process with the time it was there."""

    info: ProcessInfo
    first_ms: int
    last_ms: int | None
    """The first scrape it was missing from, None while it lives."""


@dataclass(frozen=True, slots=True)
class CollectorReport:
    """How one collector fared in one scrape."""

    up: bool
    duration_us: int
    targets_read: int
    absences: dict[AbsenceReason, int]


class Reader:
    """A read-only view of the store at ``path``; raises the errors of ``engine.connect_reader``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = engine.connect_reader(path)

    def close(self) -> None:
        """Close the file."""
        engine.disconnect(self._connection)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self.path):
            try:
                yield self._connection
            finally:
                self._connection.rollback()  # ends the read, so that the writer's log can be folded in

    def last_scrape(self) -> ScrapeHead | None:
        """Return the newest scrape, None when there is none."""
        with self._reading() as connection:
            row = connection.execute(statements.last_scrape()).first()
        return None if row is None else _head(row)

    def first_scrape(self) -> ScrapeHead | None:
        """Return the oldest scrape kept, None when there is none."""
        with self._reading() as connection:
            row = connection.execute(statements.first_scrape()).first()
        return None if row is None else _head(row)

    def irregularities(self, since_ms: int, after_id: int = 0) -> Irregularities:
        """Return what was irregular since a time, among the scrapes after the one with the given number.

        Numbers are what the table is ordered by: with a bound a report need not look through weeks of scrapes.
        """
        with self._reading() as connection:
            return Irregularities(*connection.execute(statements.scrape_irregularities(since_ms, after_id)).one())

    def collectors(self, scrape_id: int) -> dict[str, CollectorReport]:
        """Return each collector's outcome in a scrape."""
        raw: dict[str, dict[str, int]] = {}
        with self._reading() as connection:
            query = statements.samples_of_scrape(scrape_id, [TargetKind.COLLECTOR])
            for row in connection.execute(query):
                raw.setdefault(row.key, {})[row.metric] = row.value
        return {name: _collector_report(values) for name, values in raw.items()}

    def findings(self, verdicts: Iterable[str] | None = None) -> list[StoredFinding]:
        """Return findings, all or those with the given verdicts, in no order."""
        with self._reading() as connection:
            rows = connection.execute(statements.findings(verdicts)).all()
        decoded = ((codec.decode_finding(row.payload), row) for row in rows)
        return [StoredFinding(found, row.ended_ms) for found, row in decoded if found is not None]

    def incidents(self) -> list[Incident]:
        """Return all incidents, oldest first."""
        with self._reading() as connection:
            return incidents.read(connection)

    def incident_events(self, incident_id: str) -> list[IncidentEvent]:
        """Return an incident's history, oldest first."""
        with self._reading() as connection:
            return incidents.read_events(connection, incident_id)

    def finding_counts(self) -> dict[str, int]:
        """Return how many findings of living targets there are of each verdict."""
        with self._reading() as connection:
            return {row.verdict: row[1] for row in connection.execute(statements.finding_counts())}

    def states(self) -> dict[str, Any]:
        """Return the daemon's state by key."""
        with self._reading() as connection:
            return {row.key: codec.decode_json(row.value, {}) for row in connection.execute(statements.states())}

    def host_values(self, scrape_id: int) -> dict[str, int]:
        """Return the host's metrics in a scrape."""
        with self._reading() as connection:
            query = statements.samples_of_scrape(scrape_id, [TargetKind.HOST])
            return {row.metric: row.value for row in connection.execute(query)}

    def samples(self, metric: str, target: Target) -> list[tuple[int, int]]:
        """Return one series as (UTC milliseconds, value), oldest first."""
        with self._reading() as connection:
            query = statements.samples_of_series(metric, target.kind, target.key)
            return [(row.ts_ms, row.value) for row in connection.execute(query)]

    def living_series(self) -> dict[int, tuple[str, Target]]:
        """Return the series of targets not known to have ended, by number."""
        with self._reading() as connection:
            return _living_series(connection)

    def blocks(self, span_s: int, since_ms: int) -> Iterator[SealedBlock]:
        """Yield the blocks of one span that began at or after a time, oldest first, of living targets."""
        with self._reading() as connection:  # both at the same moment, while a daemon adds series
            series = _living_series(connection)
            rows = connection.execute(statements.newest_blocks(span_s, since_ms)).all()
        for row in rows:
            block = Block(row.start_ms, row.n, row.minimum, row.median, row.maximum, row.last)
            yield SealedBlock(*series[row.series_id], span_s, row.segment_ms, block)

    def scrapes_since(self, since_ms: int) -> list[ScrapeHead]:
        """Return the scrapes taken at or after a time, oldest first, without their samples."""
        with self._reading() as connection:
            return [_head(row) for row in connection.execute(statements.scrapes_since(since_ms))]

    def samples_of(self, heads: list[ScrapeHead]) -> Iterator[tuple[ScrapeHead, dict[tuple[str, Target], int]]]:
        """Yield the given scrapes, which must be consecutive, with the samples of living targets."""
        series = self.living_series()
        for at in range(0, len(heads), SCRAPES_A_READ):
            part = heads[at : at + SCRAPES_A_READ]
            values: dict[int, dict[tuple[str, Target], int]] = {head.id: {} for head in part}
            with self._reading() as connection:
                for row in connection.execute(statements.samples_between(part[0].id, part[-1].id)):
                    name = series.get(row.series_id)
                    if name is not None and row.scrape_id in values:
                        values[row.scrape_id][name] = row.value
            for head in part:
                yield head, values.pop(head.id)

    def history(
        self, heads: list[ScrapeHead], metrics: Collection[str]
    ) -> Iterator[tuple[ScrapeHead, dict[tuple[str, Target], int]]]:
        """Yield the given scrapes, which must be consecutive, with the samples of some metrics, of any target."""
        with self._reading() as connection:
            rows = connection.execute(statements.series_of_metrics(metrics))
            series = {row.id: (row.metric, codec.decode_target(row.kind, row.key)) for row in rows}
        for at in range(0, len(heads), SCRAPES_A_READ):
            part = heads[at : at + SCRAPES_A_READ]
            values: dict[int, dict[tuple[str, Target], int]] = {head.id: {} for head in part}
            with self._reading() as connection:
                for scrape, number, value in connection.execute(
                    statements.samples_of_metrics(part[0].id, part[-1].id, metrics)
                ):
                    name = series.get(number)
                    if name is not None and scrape in values:
                        values[scrape][name] = value
            for head in part:
                yield head, values.pop(head.id)

    def suspicions(self) -> dict[tuple[str, Target], str]:
        """Return the frozen forecasts by series, as the JSON texts that were stored."""
        with self._reading() as connection:
            series = _living_series(connection)
            rows = connection.execute(statements.suspicions()).all()
        return {series[row.series_id]: row.payload for row in rows if row.series_id in series}

    def processes(self) -> list[ProcessInfo]:
        """Return the processes not known to have ended."""
        with self._reading() as connection:
            return [_process(row) for row in connection.execute(statements.processes_alive())]

    def lifetimes(self) -> list[Lifetime]:
        """Return every process still known, ended ones too, in the order in which they were first seen."""
        with self._reading() as connection:
            rows = connection.execute(statements.processes_ever()).all()
        found = [Lifetime(_process(row), row.first_ms, row.last_ms) for row in rows]
        return sorted(found, key=lambda lifetime: lifetime.first_ms)


def _living_series(connection: Connection) -> dict[int, tuple[str, Target]]:
    rows = connection.execute(statements.all_series())
    return {row.id: (row.metric, codec.decode_target(row.kind, row.key)) for row in rows}


def _head(row: Row[Any]) -> ScrapeHead:
    return ScrapeHead(
        row.id,
        row.ts_ms,
        row.boot_id,
        row.suspended_ms,
        row.clock_step_ms,
        row.duration_us,
        codec.decode_json(row.notes, {}),
    )


def _collector_report(values: dict[str, int]) -> CollectorReport:
    absences = {
        reason: values[f"collector.absent.{reason}"]
        for reason in AbsenceReason
        if values.get(f"collector.absent.{reason}")
    }
    return CollectorReport(
        up=bool(values.get("collector.up")),
        duration_us=values.get("collector.duration_us", 0),
        targets_read=values.get("collector.targets_read", 0),
        absences=absences,
    )


def _process(row: Row[Any]) -> ProcessInfo:
    service = Service(ServiceKind(row.service_kind), row.service_name) if row.service_kind else None
    identity = ProcessIdentity(row.boot_id, row.pid, row.start_ticks)
    return ProcessInfo(identity, row.name, row.command, row.uid, service)
