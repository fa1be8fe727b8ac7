"""After a restart: feeds the scan what the store remembers, so that days of history are not learnt again.

The daemon samples meanwhile. The scrapes it takes are kept in order until the past is taken up and follow it then, so
that all comes out as if the past had been read first.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from leakwatch.analysis.series.derived import Key
from leakwatch.model.sample import Sample, Scrape, SealedBlock
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.judge_pool import JudgingError
from leakwatch.monitoring.restore import Alive, Piece, Sampled, StoredAlarms, StoredBlocks, StoredState

STORED_AT_ONCE = 2000
"""Blocks that are stored in one transaction, for which a scrape may have to wait."""
MOST_HELD = 3_000_000
"""Samples kept for the scan while the past is read: 9 bytes each, ten minutes of 500 processes at a second."""
ATTEMPTS = 3
"""At judging the past: what is asked stays, and is asked again with the next piece."""
TURN_S = 1.0
"""A scrape that takes longer than this shares the processor with the reading of the past."""

log = logging.getLogger(__name__)


def resume(
    detector: Detector,
    pieces: Iterable[Piece],
    now_ms: int,
    store: Callable[[list[SealedBlock]], None] | None = None,
) -> tuple[StoredState, list[SealedBlock]]:
    """Bring the scan to where the store ends; return what was said before, and the blocks that were not stored yet.

    ``store`` takes such blocks as they come, some thousand at a time; the last ones are returned all the same.
    """
    said = StoredState([], [], {})
    sealed: list[SealedBlock] = []
    last_ms: int | None = None
    failures = 0
    for piece in pieces:
        match piece:
            case StoredState():
                said = piece
            case Alive(processes, last_ms, boot_id):
                detector.set_processes(processes)
                detector.note_boot(boot_id, last_ms)
            case StoredBlocks(level, blocks, segments):
                detector.restore(level, blocks, segments)
            case StoredAlarms(suspicions):
                detector.restore_alarm_states(suspicions, said.states)
            case Sampled(ts_ms, values, boot_id):
                detector.note_boot(boot_id, ts_ms)
                sealed += detector.feed_values(ts_ms, values)
                failures = _settle(detector, failures)
        if store is not None and len(sealed) >= STORED_AT_ONCE:
            store(sealed)
            sealed = []
    if last_ms is not None:
        log.info("resumed from the store: the last scrape was taken %d s ago", max(0, now_ms - last_ms) // 1000)
    return said, sealed


def _settle(detector: Detector, failures: int) -> int:
    """Have the backlog judged; return how often in a row that has failed. Raises JudgingError at the last attempt."""
    try:
        detector.settle_backlog()
    except JudgingError:
        if failures + 1 >= ATTEMPTS:
            raise
        return failures + 1
    return 0


@dataclass(frozen=True, slots=True)
class _Held:
    """A scrape whose samples are kept as numbers."""

    scrape: Scrape
    """Without its samples."""
    keys: tuple[Key, ...]
    """Shared with the scrape before where they are the same."""
    values: array[int] | tuple[int, ...]
    estimated: bytes

    @property
    def whole(self) -> Scrape:
        """The scrape as it was given."""
        parts = zip(self.keys, self.values, self.estimated, strict=True)
        samples = tuple(Sample(metric, target, value, bool(mark)) for (metric, target), value, mark in parts)
        return replace(self.scrape, samples=samples)


def _held(scrape: Scrape, before: tuple[Key, ...]) -> _Held:
    keys = tuple((sample.metric, sample.target) for sample in scrape.samples)
    estimated = bytes(sample.estimated for sample in scrape.samples)
    values: array[int] | tuple[int, ...] = tuple(sample.value for sample in scrape.samples)
    with suppress(OverflowError):  # a counter of the kernel that wrapped below zero
        values = array("q", values)
    return _Held(replace(scrape, samples=()), before if keys == before else keys, values, estimated)


class Intake:
    """Where scrapes enter the scan: kept until the past is taken up, then fed as they come.

    One thread calls ``feed`` within ``scraping``, another one ``take_up``.
    """

    def __init__(self, detector: Detector, most: int = MOST_HELD) -> None:
        self._detector, self._most = detector, most
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._waiting: deque[_Held] = deque()
        self._samples = 0
        self._lost = 0
        self._sealed: list[SealedBlock] = []
        self.is_open = False
        """Whether the past is taken up."""

    @contextmanager
    def scraping(self) -> Iterator[None]:
        """Keep the reading of the past from the processor: each piece of it waits until the scrape is done."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def paced(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the pieces, none of them while a scrape is taken."""
        for piece in pieces:
            self._idle.wait(TURN_S)
            yield piece

    def feed(self, scrape: Scrape) -> list[SealedBlock]:
        """Feed the scan or keep the scrape for it; return the blocks that are to be stored with it."""
        with self._lock:
            sealed, self._sealed = self._sealed, []
            if not self.is_open:
                self._keep(scrape)
                return sealed
        return sealed + self._detector.feed(scrape)

    def _keep(self, scrape: Scrape) -> None:
        self._waiting.append(_held(scrape, self._waiting[-1].keys if self._waiting else ()))
        self._samples += len(scrape.samples)
        while self._samples > self._most and len(self._waiting) > 1:
            self._samples -= len(self._waiting.popleft().keys)
            self._lost += 1

    def take_up(self, detector: Detector, sealed: list[SealedBlock]) -> None:
        """Let the scan, which the past was fed to, take what was sampled meanwhile, and from now on all as it comes.

        ``sealed`` are the blocks of the past that are not stored yet.
        """
        with self._lock:
            self._detector = detector
            self._sealed += sealed
        while True:
            with self._lock:
                if not self._waiting:
                    self.is_open = True
                    break
                held = self._waiting.popleft()
                self._samples -= len(held.keys)
            blocks = detector.feed(held.whole)
            with self._lock:
                self._sealed += blocks
            self._idle.wait(TURN_S)
        if self._lost:
            log.warning("%d scrapes were stored and not judged: reading the past took too long", self._lost)
