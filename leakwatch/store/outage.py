"""A time in which the store could not be written, and what became of the scrapes of that time."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from leakwatch.clock import Instant, rfc3339
from leakwatch.errors import LeakwatchError, StoreBusyError
from leakwatch.store.backlog import KEPT_BYTES, KEPT_MS, Backlog
from leakwatch.units import format_bytes, format_duration

BUSY_FORGIVEN = 3
"""Scrapes in a row that find the store locked before it is told: another's short transaction is nothing to tell."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outage:
    """Lasts from the first scrape that could not be stored until all that wait are stored."""

    began: Instant
    why: str
    failures: int = 0
    kept: int = 0
    dropped: int = 0
    told: bool = False

    def fail(self, error: LeakwatchError) -> None:
        """Note that a scrape could not be stored; tell it once."""
        self.failures += 1
        if self.told or (isinstance(error, StoreBusyError) and self.failures < BUSY_FORGIVEN):
            return
        self.told, self.why = True, str(error)
        log.error(
            "%s; samples wait in memory, up to %s and %s of them, and are stored when it can be written again",
            error, format_duration(KEPT_MS / 1000), format_bytes(KEPT_BYTES),
        )  # fmt: skip

    def count(self, backlog: Backlog) -> None:
        """Note what waits now; tell once that the oldest are dropped."""
        self.kept += 1
        if backlog.dropped and not self.dropped:
            log.error("the oldest scrapes that wait for the store are dropped: %d are all that is kept", len(backlog))
        self.dropped = backlog.dropped

    def in_words(self, backlog: Backlog) -> str:
        """Return one line for the service manager."""
        lost = f", {self.dropped} dropped" if self.dropped else ""
        return f"{len(backlog)} scrapes wait in memory{lost} since {rfc3339(self.began.wall_ms)}: {self.why}"

    def end(self, now: Instant, *, lost: int = 0) -> dict[str, object] | None:
        """Tell that it is over; return what a report says of it beside its beginning, None where it was too short."""
        if not self.told:
            return None
        lasted_s = (now.monotonic_ms - self.began.monotonic_ms) / 1000
        dropped = self.dropped + lost
        log.warning(
            "the store can be written again after %s: %d scrapes that waited in memory are stored, %s",
            format_duration(max(1.0, lasted_s)),
            self.kept - dropped,
            f"{dropped} were lost" if dropped else "none was lost",
        )
        return {
            "what": "outage",
            "lasted_s": round(lasted_s, 3),
            "kept": self.kept - dropped,
            "dropped": dropped,
            "why": self.why,
        }
