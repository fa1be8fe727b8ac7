"""The one writer of a store: scrapes, blocks, findings; each call is one transaction."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.errors import StoreCorruptError, StoreWriteError
from leakwatch.model.identity import ProcessInfo, Target, TargetKind
from leakwatch.model.incident import Marks
from leakwatch.model.sample import Scrape, SealedBlock
from leakwatch.model.timeline import CLOCK
from leakwatch.model.verdict import Finding
from leakwatch.store.catalog import Catalog
from leakwatch.store.encoding import codec, rounds
from leakwatch.store.encoding.rounds import BlockRow
from leakwatch.store.files.driver import PlainConnection, connect_to_write, translated
from leakwatch.store.incident import rows as incidents
from leakwatch.store.incident.rows import NO_INCIDENTS, ChangedIncidents
from leakwatch.store.read.records import Extent
from leakwatch.store.sql import daemon as texts

if TYPE_CHECKING:
    from sqlalchemy import Connection


TAKEN = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID)
"""What we write is new in a sound store: a name that is taken was hidden from us by a damaged index."""
MAX_INTEGER = 2**63 - 1
"""What SQLite can hold; a counter of the kernel that wrapped below zero reads more."""
PARAMETERS = 500
"""A statement's parameters: SQLite takes a bounded number."""


class Writer:
    """Writes to the store at ``path``, whose schema is the newest; sampling and analysis may call from two threads.

    Every method raises StoreWriteError, StoreBusyError or StoreCorruptError; what it was to write is then not stored,
    and the next call starts afresh.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._closed = False
        self._catalog: Catalog | None = None
        self._boots: dict[str, int] = {}
        self._infos: dict[Target, ProcessInfo] = {}
        self._connection = PlainConnection(connect_to_write(path))
        self._lent: Connection | None = None
        try:
            with self._transaction():
                pass
        except BaseException:
            self._connection.driver.close()
            raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[tuple[PlainConnection, Catalog]]:
        with self._lock, translated(self.path):
            self._check_open()
            try:
                if self._catalog is None:
                    self._catalog = Catalog(self._connection)
                yield self._connection, self._catalog
                self._catalog.flush(self._connection)
                self._connection.commit()
            except BaseException as error:
                # What the catalog gave out in this transaction was never stored: load it again.
                self._catalog = None
                self._infos.clear()
                self._boots.clear()
                self._connection.roll_back()
                if isinstance(error, sqlite3.IntegrityError) and error.sqlite_errorcode in TAKEN:
                    raise StoreCorruptError(
                        f"{self.path} is damaged: a row and its index disagree ({error})"
                    ) from error
                raise

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, in order or because its store was left."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:  # the other thread found damage and set the store aside
            raise StoreWriteError(f"{self.path} was closed meanwhile")

    def write_scrape(
        self, scrape: Scrape, blocks: Sequence[SealedBlock] = (), states: Mapping[str, object] | None = None
    ) -> None:
        """Store a scrape and the blocks it completed, with JSON values of the daemon's state by key."""
        self.write_scrapes([(scrape, blocks)], states or {})

    def write_scrapes(
        self, scrapes: Sequence[tuple[Scrape, Sequence[SealedBlock]]], states: Mapping[str, object]
    ) -> None:
        """Store scrapes, oldest first, each with the blocks it completed, in one transaction."""
        with self._transaction() as (connection, catalog):
            for scrape, blocks in scrapes:
                self._put_scrape(connection, catalog, scrape)
                self._put_blocks(connection, catalog, blocks, scrape.tick.ts_ms)
                catalog.flush(connection)  # what begins in this scrape may end in the next
            _put_states(connection, states)

    def _put_scrape(self, connection: PlainConnection, catalog: Catalog, scrape: Scrape) -> None:
        scrape_id = self._put_tick(connection, scrape)
        self._put_processes(connection, catalog, scrape)
        samples = {
            catalog.series_id(connection, sample.metric, sample.target, scrape.tick.ts_ms): (
                sample.value,
                sample.estimated,
            )
            for sample in scrape.samples
            if abs(sample.value) <= MAX_INTEGER
        }
        if samples:
            row = {"scrape_id": scrape_id, "n": len(samples), "payload": rounds.encode_round(samples)}
            connection.execute(texts.ADD_SAMPLE_ROUND, row)

    def write_blocks(self, blocks: Sequence[SealedBlock], ts_ms: int) -> None:
        """Store blocks apart from a scrape, as when they are rebuilt from samples."""
        with self._transaction() as (connection, catalog):
            self._put_blocks(connection, catalog, blocks, ts_ms)

    def _put_tick(self, connection: PlainConnection, scrape: Scrape) -> int:
        tick = scrape.tick
        boot = self._boots.get(tick.boot_id)
        if boot is None:
            connection.execute(texts.ADD_BOOT, (tick.boot_id,))
            boot = connection.execute(texts.BOOT_NUMBER, (tick.boot_id,)).fetchone().id
            self._boots[tick.boot_id] = boot
        notes = {
            outcome.collector: [outcome.error] if outcome.error else list(outcome.examples)
            for outcome in scrape.outcomes
            if outcome.error or outcome.examples
        }
        row = {
            "ts_ms": tick.ts_ms,
            "boot_id": boot,
            "late_ms": tick.late_ms,
            "missed": tick.missed,
            "suspended_ms": tick.suspended_ms,
            "clock_step_ms": tick.clock_step_ms,
            "duration_us": scrape.duration_us,
            "notes": json.dumps(notes, separators=(",", ":")),
        }
        number = connection.execute(texts.ADD_SCRAPE, row).lastrowid
        assert number is not None
        return number

    def _put_processes(self, connection: PlainConnection, catalog: Catalog, scrape: Scrape) -> None:
        if not any(outcome.collector == "processes" and not outcome.error for outcome in scrape.outcomes):
            return  # the list of processes is unknown, so nobody has ended either
        ts_ms = scrape.tick.ts_ms
        alive = {info.identity.target: info for info in scrape.processes}
        services = {info.service.target for info in scrape.processes if info.service}
        before = self._infos
        changed = [i for target, i in alive.items() if (old := before.get(target)) is not i and old != i]
        if changed:
            rows = [_process_row(catalog.target_id(connection, i.identity.target, ts_ms), i) for i in changed]
            connection.execute_many(texts.PUT_PROCESS, rows)
        catalog.end_all_but(connection, TargetKind.PROCESS, alive, ts_ms)
        catalog.end_classes_of_all_but(connection, alive, ts_ms)
        catalog.end_all_but(connection, TargetKind.SERVICE, services, ts_ms)
        self._infos = alive

    def _put_blocks(
        self, connection: PlainConnection, catalog: Catalog, blocks: Sequence[SealedBlock], ts_ms: int
    ) -> None:
        together: dict[tuple[int, int], dict[int, BlockRow]] = {}
        for sealed in blocks:
            block = sealed.block
            series = catalog.series_id(connection, sealed.metric, sealed.target, ts_ms)
            row = (block.n, block.minimum, block.median, block.maximum, block.last, sealed.segment_ms)
            together.setdefault((sealed.span_s, block.start_ms), {})[series] = row
        if together:
            connection.execute_many(
                texts.ADD_BLOCK_ROUND,
                [
                    {"span_s": span_s, "start_ms": start_ms, "n": len(rows), "payload": rounds.encode_block_round(rows)}
                    for (span_s, start_ms), rows in together.items()
                ],
            )

    def write_evaluation(
        self,
        findings: Sequence[tuple[Finding, int | None]],
        suspicions: Mapping[tuple[str, Target], str | None],
        states: Mapping[str, object],
        ts_ms: int,
        changed: ChangedIncidents = NO_INCIDENTS,
    ) -> None:
        """Store what an evaluation changed.

        ``findings`` come with the time their process ended, or None; ``suspicions`` are JSON texts by series, None
        where one was dropped; ``states`` are JSON values by key.
        """
        with self._transaction() as (connection, catalog):
            incidents.put(connection, changed)
            if findings:
                connection.execute_many(texts.PUT_FINDING, [_finding_row(*entry) for entry in findings])
            kept = [
                {"series_id": catalog.series_id(connection, metric, target, ts_ms), "payload": payload}
                for (metric, target), payload in suspicions.items()
                if payload is not None
            ]
            if kept:
                connection.execute_many(texts.PUT_SUSPICION, kept)
            # By name: what is dropped is most often gone, and a number would have to be looked up, too.
            for name in (_series_name(*key) for key, payload in suspicions.items() if payload is None):
                of_other = name["start_ticks"] is None
                connection.execute(texts.DROP_SUSPICION_OF_OTHER if of_other else texts.DROP_SUSPICION_OF_PROCESS, name)
            _put_states(connection, states)

    def drop_findings(self, ids: Sequence[str]) -> None:
        """Forget findings, as when their target is now judged as part of a service."""
        with self._transaction() as (connection, _):
            for at in range(0, len(ids), PARAMETERS):
                some = ids[at : at + PARAMETERS]
                connection.execute(texts.drop_findings(len(some)), some)

    def incident_marks(self) -> dict[str, Marks]:
        """Return what people have noted of incidents, by id; those of which nothing is noted are left out."""
        with self._transaction() as (connection, _):
            return incidents.marks(connection)

    def state(self, key: str) -> object:
        """Return a value of the daemon's state, None where there is none or it cannot be read."""
        with self._transaction() as (connection, _):
            row = connection.execute(texts.STATE, (key,)).fetchone()
        return codec.decode_json(row.value, None) if row else None

    def be_patient(self, seconds: float) -> None:
        """Wait this long for a lock that another process holds."""
        with self._lock, translated(self.path):
            self._connection.driver.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}").fetchall()

    def fold_log(self) -> None:
        """Fold the write-ahead log into the file, as far as others let us; never raises."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def index_anew(self) -> None:
        """Make the indices anew of what is in the tables."""
        with self._transaction() as (connection, _):
            connection.execute("REINDEX")

    def quick_check(self) -> str:
        """Return "ok", or what SQLite says is wrong with the file."""
        with self._transaction() as (connection, _):
            return str(connection.execute(texts.QUICK_CHECK).fetchone()[0])

    def clock(self) -> tuple[object, int | None]:
        """Return what is stored of the timeline, and the time of the newest scrape, None where there is none."""
        with self._transaction() as (connection, _):
            last = connection.execute(texts.LAST_SCRAPE_MS).fetchone()
        return self.state(CLOCK), last and last.ts_ms

    def is_empty(self) -> bool:
        """Return whether there is nothing to remember."""
        with self._transaction() as (connection, _):
            return not connection.execute(texts.ANYTHING).fetchone()[0]

    def extent(self) -> Extent:
        """Return what the store holds by now."""
        with self._transaction() as (connection, _):
            row = connection.execute(texts.EXTENT).fetchone()
            living = frozenset(row.id for row in connection.execute(texts.LIVING_NUMBERS))
            first_ms, last_ms = (ms if isinstance(ms, int) else 0 for ms in (row.first_ms, row.last_ms))
            return Extent(row.last_id, first_ms, last_ms, living)

    def states(self, keys: Sequence[str], prefix: str) -> dict[str, Any]:
        """Return some of the daemon's state by key, or by how keys begin; what is no JSON is left out."""
        with self._transaction() as (connection, _):
            values = (*keys, prefix, f"{prefix}\U0010ffff")
            rows = connection.execute(texts.states_of(len(keys)), values).fetchall()
        found = ((row.key, codec.decode_json(row.value, None)) for row in rows)
        return {key: value for key, value in found if value is not None}

    def give_back(self, pages: int) -> None:
        """Return free pages to the file system, a transaction of its own."""
        with self._lock, translated(self.path):
            self._check_open()
            # As a script: each step of the statement gives back one page, and ``execute`` makes only the first.
            self._connection.driver.executescript(f"PRAGMA incremental_vacuum({pages})")

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """Lend SQLAlchemy's view of the connection for one transaction of maintenance.

        The first call loads SQLAlchemy: the daemon leaves this to a child that ends, see ``upkeep``.
        """
        from leakwatch.store.files import engine  # noqa: PLC0415

        with self._lock, translated(self.path):
            self._check_open()
            if self._lent is None:
                self._lent = engine.borrowing(self._connection.driver)
            try:
                yield self._lent
                self._lent.commit()
            except BaseException:
                engine.roll_back(self._lent)
                raise

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it; a second time is no error."""
        with self._lock, translated(self.path):
            self._closed = True
            if self._lent is not None:
                self._lent.close()
            self._connection.driver.close()


def _put_states(connection: PlainConnection, states: Mapping[str, object]) -> None:
    """Put values by key; None drops one."""
    texts_of = {key: json.dumps(value, separators=(",", ":")) for key, value in states.items() if value is not None}
    if texts_of:
        connection.execute_many(texts.PUT_STATE, [{"key": key, "value": text} for key, text in texts_of.items()])
    dropped = [{"key": key} for key, value in states.items() if value is None]
    if dropped:
        connection.execute_many(texts.DROP_STATE, dropped)


def _series_name(metric: str, target: Target) -> dict[str, object]:
    return {"metric": metric, "kind": target.kind, "start_ticks": codec.start_ticks_of(target), "key": target.key}


def _process_row(target_id: int, info: ProcessInfo) -> dict[str, object]:
    return {
        "target_id": target_id,
        "boot_id": info.identity.boot_id,
        "pid": info.identity.pid,
        "start_ticks": info.identity.start_ticks,
        "name": info.name,
        "command": info.command,
        "uid": info.uid,
        "service_kind": info.service.kind if info.service else None,
        "service_name": info.service.name if info.service else None,
    }


def _finding_row(finding: Finding, ended_ms: int | None) -> dict[str, object]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "verdict": finding.assessment.verdict,
        "evaluated_ms": finding.evaluated_at_ms,
        "payload": codec.encode_finding(finding),
        "ended_ms": ended_ms,
    }
