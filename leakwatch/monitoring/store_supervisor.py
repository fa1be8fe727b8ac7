"""Keeps the daemon's store going: lock and writer, what waits while it cannot be written, a new one for a damaged one.

Sampling, judging and purging use it from two threads. Only sampling replaces a damaged store: the others note the
damage, which the next scrape acts on, so that nobody closes a writer that somebody else is using.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.clock import Clock, Instant
from leakwatch.config import StoreConfig
from leakwatch.errors import LeakwatchError, StoreBusyError, StoreCorruptError, StoreWriteError
from leakwatch.model.sample import Scrape, SealedBlock
from leakwatch.model.timeline import Timeline
from leakwatch.store.backlog import Backlog, Outage
from leakwatch.store.files.driver import BUSY_TIMEOUT_S, may_need_reopening
from leakwatch.store.files.lock import StoreLock
from leakwatch.store.files.open import begin_anew, files_beside, open_writer, opened
from leakwatch.store.maintenance.job import Failure, MaintenanceTask, tending
from leakwatch.store.read.records import STORE_NOTES, Extent
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    Waiting = Sequence[tuple[Scrape, Sequence[SealedBlock]]]

BATCH = 20
"""Scrapes stored in one transaction when they have waited: others wait for its lock for tenths of a second."""
CATCH_UP = 0.25
"""Share of the sampling interval that may be spent on storing what has waited, so that no scrape is late for it."""
PATIENCE = 0.25
"""And share of it to wait for another's lock: the scrape waits in memory instead. A tenth of a second at least."""
REOPEN_EVERY = 5
"""Scrapes that cannot be stored before the file is opened anew: a connection may be stuck, the disk sound again."""
FLUSH_S = 5.0
"""At the end: for storing what still waits, and for a scrape that is being stored."""
NOTES_KEPT = 20
MEND_EVERY_MS = 3_600_000
"""What is damaged again within an hour of new indices has other damage."""

log = logging.getLogger(__name__)


class StoreSupervisor:
    """Holds the store at ``path`` from construction until ``close``.

    Construction raises StoreBusyError, StoreTooNewError, StoreForeignError or StoreWriteError.
    """

    def __init__(self, path: Path, clock: Clock, interval_s: float = 60.0) -> None:
        self.path = path
        self.tend = tending()
        self.generation = 0
        """How many stores were set aside: what a store was told before, the next one does not know."""
        self._clock, self._interval_s = clock, interval_s
        self._closing = False
        self._storing = threading.Lock()
        self._stored = False
        self._backlog = Backlog()
        self._outage: Outage | None = None
        self._notes: list[dict[str, object]] = []
        self._damage: tuple[Writer, StoreCorruptError] | None = None
        self._lost = ""
        self._cut = False
        self._timeline: Timeline | None = None
        self._mended_ms: int | None = None
        self._lock = StoreLock(path)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        writer = open_writer(self.path, self._clock.now().wall_ms)
        if self._lock.lost():  # what was there was damaged and is set aside
            self._lock.follow()
        self._set(writer)

    def _set(self, writer: Writer) -> None:
        self._writer = writer
        self._beside = files_beside(self.path)
        writer.be_patient(min(BUSY_TIMEOUT_S, max(0.1, PATIENCE * self._interval_s)))

    @property
    def trouble(self) -> str:
        """What keeps the store from being written, in a line; empty while it can be."""
        return self._outage.in_words(self._backlog) if self._outage is not None and self._outage.told else ""

    def start_new(self, damage: StoreCorruptError) -> None:
        """Set the damaged store aside and begin another; what the analysis has in memory goes on."""
        log.error("%s", damage)
        self._shut()
        now = self._clock.now()
        writer, kept = begin_anew(self.path, now.wall_ms)
        self._lock.follow()
        self._set(writer)
        self.generation += 1
        why = f"the store was damaged and is kept as {kept}; what could be read of it was taken over"
        self._notes.append({"what": "damaged", "at_ms": self._of_timeline(now), "why": why})

    def _follow(self) -> None:
        """See that what is open is what is at the path: never write into what was deleted or replaced.

        What is there now is used where it is a store that can be locked, and a new one is begun where nothing is.
        Raises StoreForeignError or StoreTooNewError where it is somebody else's, and what opening raises.
        """
        lost = self._lock.lost()
        if lost and not self._lost:
            self._lost = f"{self.path} was {lost} under the daemon"
            log.error("%s; sampling goes on in what is there now, or in a new store", self._lost)
            self._leave()
            self._lock.release()  # with its directory the file beside may be gone
            self.generation += 1
        if self._lost:
            self._lock.take()
            self._open()
            self._notes.append({"what": "lost", "at_ms": self._of_timeline(self._clock.now()), "why": self._lost})
            self._lost = ""
        elif self._beside != files_beside(self.path):
            log.error("SQLite's log or index beside %s was removed under the daemon; it is opened anew", self.path)
            self._writer.fold_log()
            self._lock.pin()
            self._shut()
            self._lock.follow()
            self._open()

    def _refuse_cut(self) -> None:
        """See that nothing was cut off the file: what SQLite holds of it in memory lets it write on into nothing.

        Raises StoreCorruptError, at the second look where the first may have met SQLite while it folds its log.
        """
        seen, self._cut = self._cut, self._lock.is_cut()
        if not self._cut:
            return
        if seen or not self.path.stat().st_size:
            raise StoreCorruptError(f"{self.path} was cut short under the daemon")
        opened(self.path).close()

    def _shut(self) -> None:
        try:
            self._writer.close()
        except LeakwatchError as error:
            log.debug("closing the store: %s", error)

    def _leave(self) -> None:
        """Close what is no longer at the path; its log goes with it, and no log of what is there now is touched.

        SQLite knows a log by its name: one left behind would be replayed into whatever database is there next.
        """
        ours = self._beside[0] is not None and files_beside(self.path)[0] == self._beside[0]
        if ours:
            self._writer.fold_log()
        else:
            self._lock.pin()
        self._shut()
        if ours and files_beside(self.path)[0] == self._beside[0]:
            with suppress(OSError):
                self.path.with_name(self.path.name + "-wal").unlink()

    def begin_timeline(self, boot_id: str) -> Timeline:
        """Return the timeline, which goes on from where the store ends. Raises the writer's errors."""
        try:
            known = self._writer.clock()
        except StoreCorruptError as error:
            self.start_new(error)
            known = None, None
        self._timeline = Timeline(self._clock, boot_id, *known, self._interval_s)
        return self._timeline

    def is_empty(self) -> bool:
        """Return whether nothing was ever stored. Raises the writer's errors."""
        return self._writer.is_empty()

    def remembered(self, keys: Sequence[str], prefix: str) -> tuple[Extent, dict[str, Any]]:
        """Return what the store holds by now, and some of the daemon's state. Raises the writer's errors.

        That is what has these keys, and keys that begin with ``prefix``.
        """
        return self._writer.extent(), self._writer.states(keys, prefix)

    def note_damage(self, damage: StoreCorruptError) -> None:
        """Have the next scrape set the store aside, whoever found the damage."""
        self._damage = self._writer, damage

    def write_scrape(self, scrape: Scrape, blocks: list[SealedBlock], states: Mapping[str, object]) -> bool:
        """Store a scrape and the blocks it completed, or keep them in memory while the store cannot be written.

        Returns whether ``states`` were stored, which are not kept. Raises StoreWriteError or StoreBusyError where no
        scrape was stored before: there is nothing to go on with.
        """
        with self._storing:
            if self._closing:
                return False  # the scrape that was being taken when the end came
            if self._outage is None:
                try:
                    self._write([(scrape, blocks)], states)
                except (StoreWriteError, StoreBusyError) as error:
                    if not self._stored:
                        raise
                    self._keep(scrape, blocks)
                    self._fail(error)
                    return False
                self._stored = True
                return True
            self._keep(scrape, blocks)
            return self._catch_up(states, CATCH_UP * self._interval_s)

    def _write(self, scrapes: Waiting, states: Mapping[str, object]) -> None:
        try:
            self._follow()
            self._refuse_cut()
            if self._damage is not None and self._damage[0] is self._writer:
                raise self._damage[1]
            self._writer.write_scrapes(scrapes, states)
        except StoreCorruptError as error:
            try:
                self._mend(error)
                self._writer.write_scrapes(scrapes, states)
            except StoreCorruptError as lasting:
                self.start_new(lasting)
                self._writer.write_scrapes(scrapes, states)
        self._put_notes()

    def _mend(self, damage: StoreCorruptError) -> None:
        """Open the store anew with new indices: its log or an index may be all that is damaged.

        Raises StoreCorruptError where SQLite cannot read on, or where that was tried less than an hour ago.
        """
        now_ms = self._clock.now().monotonic_ms
        if self._mended_ms is not None and now_ms - self._mended_ms < MEND_EVERY_MS:
            raise damage
        self._mended_ms = now_ms
        self._shut()
        writer = opened(self.path)
        try:
            writer.index_anew()
        except BaseException:
            writer.close()
            raise
        log.warning("%s; it was opened anew with new indices, and is used on", damage)
        self._set(writer)
        self.generation += 1

    def _keep(self, scrape: Scrape, blocks: list[SealedBlock]) -> None:
        now = self._clock.now()
        if self._outage is None:
            self._outage = Outage(now, "")
        self._backlog.add(now.monotonic_ms, scrape, blocks)
        self._outage.count(self._backlog)

    def _fail(self, error: LeakwatchError) -> None:
        assert self._outage is not None
        self._outage.fail(error)
        if self._writer.is_closed or (self._outage.failures % REOPEN_EVERY == 0 and may_need_reopening(error)):
            self._shut()
            try:
                if not self._lost:
                    self._set(Writer(self.path))
            except LeakwatchError as again:
                log.debug("opening the store anew: %s", again)

    def _catch_up(self, states: Mapping[str, object], within_s: float) -> bool:
        """Store what waits, oldest first; return whether any of it was stored, and ``states`` with it."""
        until_ms = self._clock.now().monotonic_ms + within_s * 1000
        stored = False
        try:
            while len(self._backlog):
                some = self._backlog.first(BATCH if stored else 1)  # one is enough to find that it cannot be written
                self._write(some, {} if stored else states)
                self._backlog.forget(len(some))
                stored = True
                if self._clock.now().monotonic_ms > until_ms:
                    return stored
        except (StoreWriteError, StoreBusyError) as error:
            self._fail(error)
            return stored
        self._end_outage()
        return stored

    def _end_outage(self, lost: int = 0) -> None:
        outage, self._outage = self._outage, None
        note = outage.end(self._clock.now(), lost=lost) if outage is not None else None
        if outage is not None and note is not None:
            self._notes.append({"at_ms": self._of_timeline(outage.began), **note})
            self._put_notes()

    def _of_timeline(self, then: Instant) -> int:
        return then.wall_ms if self._timeline is None else self._timeline.of_ms(then)

    def _put_notes(self) -> None:
        """Add what happened to the store to what it remembers of that, for reports."""
        if not self._notes:
            return
        try:
            known = self._writer.state(STORE_NOTES)
            notes = [*(known if isinstance(known, list) else ()), *self._notes][-NOTES_KEPT:]
            self._writer.write_scrapes([], {STORE_NOTES: notes})
        except (StoreWriteError, StoreBusyError, StoreCorruptError) as error:
            log.debug("a note about the store waits: %s", error)
        else:
            self._notes = []

    def attempt(self, what: str, write: Callable[[Writer], None]) -> bool:
        """Let ``write`` use the writer beside sampling; return whether it worked, and say in the log if not."""
        writer = self._writer
        try:
            write(writer)
        except StoreCorruptError as error:
            self._damage = writer, error
            return False
        except (StoreWriteError, StoreBusyError) as error:
            self._tell(writer, what, error)
            return False
        return True

    def _tell(self, writer: Writer, what: str, error: LeakwatchError) -> None:
        # Not where it was closed on purpose, nor again and again while it is known that it cannot be written.
        if not self._closing and writer is self._writer and self._outage is None:
            log.error("%s: %s", what, error)

    def purge(self, limits: StoreConfig, interval_s: float) -> None:
        """Put away what is complete and apply the configured limits, in a child that ends."""
        writer = self._writer
        task = MaintenanceTask(str(self.path), limits, self._of_timeline(self._clock.now()), interval_s)
        try:
            for failure in self.tend(task):
                self._heed(writer, failure)
        except LeakwatchError as error:
            self._heed(writer, Failure("history could not be compressed", error))

    def _heed(self, writer: Writer, failure: Failure) -> None:
        if isinstance(failure.error, StoreCorruptError):
            self._damage = writer, failure.error
        else:
            self._tell(writer, failure.what, failure.error)

    def close(self) -> None:
        """Store what waits, close the store in order and release it; what still writes finds it closed, silently."""
        self._closing = True
        self.tend.end()
        if self._storing.acquire(timeout=FLUSH_S):
            try:
                self._flush()
            finally:
                self._storing.release()
        try:
            self._writer.close()
        except LeakwatchError as error:
            log.error("%s", error)
        self._lock.release()

    def _flush(self) -> None:
        if self._outage is None:
            return
        self._catch_up({}, FLUSH_S)
        if len(self._backlog):
            log.error("%d scrapes that could not be stored are lost with this end", len(self._backlog))
