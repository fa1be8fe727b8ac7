"""Keeps the daemon's store going: its lock, a writer on it, and a new store in place of a damaged one.

Sampling, judging and purging use it from two threads. Only sampling replaces a damaged store: the others note the
damage, which the next scrape acts on, so that nobody closes a writer that somebody else is using.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch.errors import LeakwatchError, StoreBusyError, StoreCorruptError, StoreWriteError
from leakwatch.store.lock import StoreLock
from leakwatch.store.open import open_writer
from leakwatch.store.setaside import set_aside
from leakwatch.store.upkeep import Failure, Task, tending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from leakwatch.clock import Clock
    from leakwatch.config import StoreConfig
    from leakwatch.model import Scrape, SealedBlock
    from leakwatch.store.writer import Writer

PENDING_BLOCKS = 50_000
"""Blocks kept for a store that cannot be written just now: five failures' worth on a host of thousands of processes."""

log = logging.getLogger(__name__)


class StoreKeeper:
    """Holds the store at ``path`` from construction until ``close``.

    Construction raises StoreBusyError, StoreTooNewError or StoreWriteError.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.tend = tending()
        self.generation = 0
        """How many stores were set aside: what a store was told before, the next one does not know."""
        self._clock = clock
        self._closing = False
        self._pending: list[SealedBlock] = []
        self._damage: tuple[Writer, StoreCorruptError] | None = None
        self._lock = StoreLock(path)
        try:
            self._writer = open_writer(path, clock.now().wall_ms)
        except BaseException:
            self._lock.release()
            raise

    def start_new(self, damage: StoreCorruptError) -> None:
        """Set the damaged store aside and begin another; what the analysis has in memory goes on."""
        log.error("%s", damage)
        try:
            self._writer.close()
        except LeakwatchError as error:
            log.debug("closing the damaged store: %s", error)
        now_ms = self._clock.now().wall_ms
        set_aside(self.path, now_ms)
        self.generation += 1
        self._writer = open_writer(self.path, now_ms)

    def is_empty(self) -> bool:
        """Return whether nothing was ever stored. Raises the writer's errors."""
        return self._writer.is_empty()

    def write_scrape(self, scrape: Scrape, blocks: list[SealedBlock], states: Mapping[str, object]) -> None:
        """Store a scrape and the blocks it completed, with those of scrapes that could not be stored, and ``states``.

        Raises StoreWriteError or StoreBusyError; the blocks are then kept for the next scrape.
        """
        self._pending += blocks
        try:
            self._write(scrape, states)
        except (StoreWriteError, StoreBusyError):
            del self._pending[:-PENDING_BLOCKS]
            raise
        self._pending = []

    def _write(self, scrape: Scrape, states: Mapping[str, object]) -> None:
        try:
            if self._damage is not None and self._damage[0] is self._writer:
                raise self._damage[1]
            self._writer.write_scrape(scrape, self._pending, states)
        except StoreCorruptError as error:
            self.start_new(error)
            self._writer.write_scrape(scrape, self._pending, states)

    def attempt(self, what: str, write: Callable[[Writer], None]) -> bool:
        """Let ``write`` use the writer beside sampling; return whether it worked, and say in the log if not."""
        writer = self._writer
        try:
            write(writer)
        except StoreCorruptError as error:
            self._damage = writer, error
            return False
        except (StoreWriteError, StoreBusyError) as error:
            if not self._closing and writer is self._writer:  # else it was closed on purpose
                log.error("%s: %s", what, error)
            return False
        return True

    def purge(self, limits: StoreConfig, interval_s: float) -> None:
        """Put away what is complete and apply the configured limits, in a child that ends."""
        writer = self._writer
        task = Task(str(self.path), limits, self._clock.now().wall_ms, interval_s)
        try:
            for failure in self.tend(task):
                self._heed(writer, failure)
        except LeakwatchError as error:
            self._heed(writer, Failure("history could not be compressed", error))

    def _heed(self, writer: Writer, failure: Failure) -> None:
        if isinstance(failure.error, StoreCorruptError):
            self._damage = writer, failure.error
        elif not self._closing and writer is self._writer:  # else it was ended on purpose
            log.error("%s: %s", failure.what, failure.error)

    def close(self) -> None:
        """Close the store in order and give it free; what still writes finds it closed and is silent."""
        self._closing = True
        self.tend.end()
        try:
            self._writer.close()
        except LeakwatchError as error:
            log.error("%s", error)
        self._lock.release()
