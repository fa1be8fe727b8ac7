"""No estimate makes a leak: who is suspected is read fully first, and only then called one.

An estimate of USS can be wrong where no counter of the process moves (docs/sampling.md). So from the evaluation on
that first suspects a process the collector reads it at the next scrape, and a verdict of ``leak`` is held back until it
has. Whose newest value was read anyway need not wait; of who is too large ever to be read the verdict says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from leakwatch.analysis.series.derived import Key
from leakwatch.metrics import PROCESS_UNREAD, PROCESS_USS
from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.sample import Scrape
from leakwatch.model.verdict import Assessment, Phrase, Verdict

_OF_SIZE = frozenset({PROCESS_USS, PROCESS_UNREAD})

WAITS = Phrase("awaits_read")

BY_ESTIMATES = Phrase("by_estimates")


class EstimateGuard:
    """Knows when each process was read fully, and since when that is asked for."""

    def __init__(self) -> None:
        self._read_ms: dict[Target, int] = {}
        self._estimated: set[Target] = set()
        """Of which the newest value is an estimate."""
        self._asked_ms: dict[Target, int] = {}
        self._proven: set[Key] = set()
        self._unreadable: frozenset[Target] = frozenset()

    def note(self, scrape: Scrape) -> None:
        """Take a scrape."""
        estimated: set[Target] = set()
        read: dict[Target, int] = {}
        of_process = TargetKind.PROCESS
        for sample in scrape.samples:
            if sample.metric in _OF_SIZE and sample.target.kind is of_process:
                if sample.estimated:
                    estimated.add(sample.target)
                    read[sample.target] = self._read_ms.get(sample.target, 0)
                else:
                    read[sample.target] = scrape.tick.ts_ms
        self._read_ms, self._estimated = read, estimated  # of those that are there
        self._unreadable = (self._unreadable | frozenset(scrape.unreadable)) & estimated

    def ask(self, suspects: Collection[Target], now_ms: int) -> None:
        """Take who is suspected as of an evaluation."""
        self._asked_ms = {target: self._asked_ms.get(target, now_ms) for target in suspects}

    def checked(self, key: Key, found: Assessment, processes: Collection[Target]) -> Assessment:
        """Return the verdict on a series that is made of these processes: ``watch`` where ``leak`` lacks proof.

        What had it once keeps it while it is a leak: a worker that joined since does not take the verdict back.
        """
        if found.verdict is not Verdict.LEAK:
            self._proven.discard(key)
            return found
        if key not in self._proven:
            if not all(self._is_read(target) for target in processes):
                return replace(found, verdict=Verdict.WATCH, reasons=(WAITS,))
            self._proven.add(key)
        if any(target in self._unreadable for target in processes):
            return replace(found, reasons=(*found.reasons, BY_ESTIMATES))
        return found

    def _is_read(self, process: Target) -> bool:
        """Return whether its newest value was read, or another one since it is suspected; or it never can be."""
        if process not in self._estimated or process in self._unreadable:
            return True
        return process in self._asked_ms and self._read_ms[process] >= self._asked_ms[process]

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget series that are over."""
        self._proven.difference_update(keys)
