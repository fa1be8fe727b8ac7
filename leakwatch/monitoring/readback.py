"""Has the store's history read back beside sampling.

A history that cannot be read costs itself: the scan begins anew with what is sampled. What was said before, findings
and incidents, is small and read apart if need be: without it nothing is judged, as what is stored must neither be said
twice nor written over.

What no scrape sees: processes that do not answer, and those that the way /proc is mounted hides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from leakwatch.collectors.processes.cost_stats import STATS
from leakwatch.errors import LeakwatchError, StoreCorruptError
from leakwatch.model.sample import Scrape, SealedBlock
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.restore import Intake, Piece, RestoreRequest, StoredState, recalling, resume
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.daemon_state import KILLS, OLD_OWNERS, OWNER, UNSEEN, Hung
from leakwatch.store.read.records import Extent
from leakwatch.system.shortage import MemoryFor
from leakwatch.text.escape import printable
from leakwatch.units import format_duration

READING = "reading"
"""The key of the store's state that says since when history is being read back; empty when it is not."""
NOTHING = StoredState([], [], {})

log = logging.getLogger(__name__)


class ReadBack:
    """What the store held when it was opened, and how far the scan has taken it up; raises StoreCorruptError.

    ``run`` may be called in a thread of its own; ``intake`` is the scraping thread's.
    """

    def __init__(self, supervisor: StoreSupervisor, new_detector: Callable[[], Detector], now_ms: int) -> None:
        self._supervisor, self._new_detector, self._now_ms = supervisor, new_detector, now_ms
        self.generation = supervisor.generation
        self._recall = recalling()
        self._store: Path = supervisor.path
        self.detector = new_detector()
        self.intake = Intake(self.detector)
        self.said: StoredState | None = None
        """What was said before, None until it is known."""
        self.states: dict[str, Any] = {}
        """Of the daemon's state what the first scrape needs."""
        self._extent: Extent | None = None
        self._unstored: list[SealedBlock] = []
        self.is_new = supervisor.is_empty()
        if self.is_new:
            self.said = NOTHING
            self.intake.take_up(self.detector, [])
        else:
            self._extent, self.states = supervisor.remembered((STATS, OLD_OWNERS, KILLS), OWNER)

    @property
    def reading(self) -> dict[str, int]:
        """Since when history is being read back, for reports; empty when it is not."""
        return {} if self.intake.is_open else {"since_ms": self._now_ms}

    def announce(self) -> None:
        """Tell the log what is about to be read."""
        if self._extent is not None and self._extent.last_id:
            plan = self.detector.plan
            held_s = (self._extent.last_ms - self._extent.first_ms) / 1000
            span = format_duration(max(0.0, min(held_s, plan.coarse_kept * plan.coarse_s)))
            log.info("reading %s of history back beside sampling; verdicts follow", span)

    def run(self) -> None:
        """Read the history, then let the scan take what was sampled meanwhile."""
        sealed: list[SealedBlock] = []
        try:
            with MemoryFor("reading history back"):
                _, sealed = resume(self.detector, self._pieces(), self._now_ms, self._put)
        except LeakwatchError as error:
            if self._recall.is_ended:
                return
            self._give_up(error)
        self.intake.take_up(self.detector, self._unstored + sealed)
        self._unstored = []

    def _pieces(self) -> Iterator[Piece]:
        """Yield what the store remembers, none of it while a scrape is taken."""
        for piece in self.intake.paced(self._recalled()):
            if isinstance(piece, StoredState):
                self.said = piece
            yield piece

    def _recalled(self) -> Iterable[Piece]:
        return self._recall(RestoreRequest(str(self._store), self.detector.plan, self._now_ms, self._extent))

    def _put(self, sealed: list[SealedBlock]) -> None:
        """Store blocks of the past; those of a store that cannot be written are left to the next scrape."""
        if not self._supervisor.attempt(
            "blocks could not be stored", lambda writer: writer.write_blocks(sealed, self._now_ms)
        ):
            self._unstored += sealed

    def _give_up(self, error: LeakwatchError) -> None:
        log.error("history could not be read back, trends begin anew; incidents stay as they are: %s", error)
        self.detector = self._new_detector()
        if isinstance(error, StoreCorruptError):
            self._supervisor.note_damage(error)
            self.said = self.said or NOTHING
        if self.said is not None:
            self.detector.restore_alarm_states({}, self.said.states)

    def recollect(self) -> StoredState:
        """Return what was said before, read apart where it is not known yet. Raises LeakwatchError."""
        if self.said is None:
            for piece in self._recalled():
                if isinstance(piece, StoredState):
                    self.said = piece
                    break
        return self.said or NOTHING

    def end(self) -> None:
        """End the reading there may be, and let no other begin."""
        self._recall.end()


NAMED = 5
"""Processes named in one line of the log."""


class UnseenLog:
    """Knows what was not seen at the scrape before."""

    def __init__(self) -> None:
        self._hung: dict[tuple[int, str], str] = {}
        self._hidepid = ""

    def take(self, scrape: Scrape) -> dict[str, object]:
        """Log what has changed since the scrape before; return the state to store."""
        now = {(one.pid, one.name): f"{one.pid} ({printable(one.name)})" for one in scrape.unanswered}
        new, back = now.keys() - self._hung.keys(), self._hung.keys() - now.keys()
        if new:
            log.warning("does not answer, its memory map is locked: %s", _some(now[key] for key in now if key in new))
        if back:
            log.info("answers again, or has ended: %s", _some(text for key, text in self._hung.items() if key in back))
        if scrape.hidepid and scrape.hidepid != self._hidepid:
            log.warning("/proc hides other users' processes (hidepid=%s): they are not watched", scrape.hidepid)
        self._hung, self._hidepid = now, scrape.hidepid
        at_ms = scrape.tick.ts_ms
        hung = [asdict(Hung(one.pid, one.name, at_ms - round(one.for_s * 1000))) for one in scrape.unanswered]
        return {UNSEEN: {"hung": hung, "hidepid": scrape.hidepid} if hung or scrape.hidepid else None}


def _some(texts: Iterable[str]) -> str:
    those = list(texts)
    more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
    return ", ".join(those[:NAMED]) + more
