"""What a store remembers, read in a child that ends: piece by piece, as the daemon takes it up after a restart.

Reading needs SQLAlchemy and holds blocks by the ten thousand, neither of which the daemon should keep.

After a restart: feeds the scan what the store remembers, so that days of history are not learnt again.

The daemon samples meanwhile. The scrapes it takes are kept in order until the past is taken up and follow it then, so
that all comes out as if the past had been read first.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwatch.analysis.series.derived import Key
from leakwatch.analysis.time_plan import FINE_KEPT, TimePlan
from leakwatch.model.identity import ProcessInfo
from leakwatch.model.incident import Incident
from leakwatch.model.sample import Sample, Scrape, SealedBlock
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.evaluation import JudgingError
from leakwatch.monitoring.run_history import OF_KERNEL
from leakwatch.store.read.records import Extent, ScrapeHead, StoredFinding
from leakwatch.system.worker import OneChild

if TYPE_CHECKING:
    from leakwatch.store.read.reader import Reader

REBUILD_S = 86_400
"""How much history is read sample by sample where no blocks of the configured windows are stored, as after a change of
the windows: a day of 200 processes takes half a minute, all of it many, in which nothing would be judged."""
REBUILD_SAMPLES = 2_000_000
"""And at most so many samples: two minutes of work beside sampling."""
BLOCKS_A_PIECE = 2000
TIMEOUT_S = 3600
"""A day of thousands of processes on a slow card; a hang must still end."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """What was found and told before; always the first piece."""

    findings: list[StoredFinding]
    incidents: list[Incident]
    states: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alive:
    """The processes of the last scrape, and when it was taken; nothing more follows where there is none."""

    processes: list[ProcessInfo]
    last_ms: int
    boot_id: str = ""
    """The boot the stored blocks that follow end in, empty without any."""


@dataclass(frozen=True, slots=True)
class StoredBlocks:
    """Blocks of one of the plan's levels, oldest first; the coarse level comes first."""

    level: int
    sealed: list[SealedBlock]
    segments: Mapping[Key, int]
    """When each series' current segment began."""


@dataclass(frozen=True, slots=True)
class StoredAlarms:
    """What was stored of climbs that go on."""

    suspicions: dict[Key, str]


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of a scrape that are in no stored block."""

    ts_ms: int
    values: Mapping[Key, int]
    boot_id: str = ""


Piece = StoredState | Alive | StoredBlocks | StoredAlarms | Sampled


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Whose memory is asked for, for which plan and as of when."""

    store: str
    plan: TimePlan
    now_ms: int
    extent: Extent | None = None
    """What the store held when it was opened, where somebody writes to it meanwhile."""


def recall(reader: Reader, plan: TimePlan, now_ms: int) -> Iterator[Piece]:
    """Yield what the store remembers. Raises the reader's errors."""
    yield StoredState(reader.findings(), reader.incidents(), reader.states())
    last = reader.last_scrape()
    if last is None:
        return
    segments, end_ms = _newest(reader, plan, now_ms, last.ts_ms)
    boots = reader.boots()
    before = reader.scrapes_until(end_ms - 1, 1)
    began_ms = reader.boot_began_ms(before[0].boot) if before else 0
    yield Alive(reader.processes(), last.ts_ms, boots.get(before[0].boot, "") if before else "")
    for level in reversed(range(len(plan.levels))):  # the coarse ones first: the fine ones go on from there
        yield from _blocks(reader, plan, level, now_ms, last.ts_ms, segments, began_ms)
    yield StoredAlarms(reader.suspicions())
    heads = reader.scrapes_since(end_ms) if end_ms else _to_rebuild(reader, plan, now_ms)
    for head, values in reader.samples_of([head for head in heads if head.ts_ms <= last.ts_ms]):
        yield Sampled(head.ts_ms, values, boots.get(head.boot, ""))


def _to_rebuild(reader: Reader, plan: TimePlan, now_ms: int) -> list[ScrapeHead]:
    """Return the scrapes that windows without blocks are rebuilt from."""
    span_s = min(REBUILD_S, plan.coarse_kept * plan.coarse_s)
    return reader.scrapes_since(now_ms - span_s * 1000)[
        -max(1, REBUILD_SAMPLES // (len(reader.living_series()) or 1)) :
    ]


def _since_ms(plan: TimePlan, level: int, now_ms: int) -> int:
    kept = (FINE_KEPT, plan.coarse_kept)[level]
    return now_ms - kept * plan.levels[level] * 1000


def _newest(reader: Reader, plan: TimePlan, now_ms: int, last_ms: int) -> tuple[dict[Key, int], int]:
    """Return when each series' segment began by its newest fine block, and when the newest of all ended, else 0."""
    span_ms = plan.base_s * 1000
    segments: dict[Key, int] = {}
    end_ms = 0
    for one in reader.blocks(plan.base_s, _since_ms(plan, 0, now_ms)):
        if one.block.start_ms + span_ms <= last_ms:
            segments[one.metric, one.target] = one.segment_ms
            end_ms = max(end_ms, one.block.start_ms + span_ms)
    return segments, end_ms


def _blocks(
    reader: Reader, plan: TimePlan, level: int, now_ms: int, last_ms: int, segments: Mapping[Key, int], boot_ms: int
) -> Iterator[StoredBlocks]:
    """Yield the blocks of one level; what the kernel held before the boot that began at ``boot_ms`` is of other lives.

    Those taught what they had to when they ended.
    """
    span_s = plan.levels[level]

    def is_of_boot(one: SealedBlock) -> bool:
        current = one.segment_ms == segments.get((one.metric, one.target))  # its beginning may not be stored any more
        return current or one.segment_ms >= boot_ms or one.target.kind not in OF_KERNEL

    stored = reader.blocks(span_s, _since_ms(plan, level, now_ms))
    # Versions before the timeline stored blocks that a clock set back left in the future.
    timely = (one for one in stored if one.block.start_ms + span_s * 1000 <= last_ms)
    timely = (one for one in timely if is_of_boot(one))
    for some in iter(lambda: list(islice(timely, BLOCKS_A_PIECE)), []):
        keys = {(one.metric, one.target) for one in some}
        yield StoredBlocks(level, some, {key: segments[key] for key in keys if key in segments})


def recalling() -> OneChild[RestoreRequest, Piece]:
    """Return what reads stores in a child; told to end, it reads no other."""
    return OneChild(recalled, TIMEOUT_S)


def recalled(wanted: RestoreRequest) -> Iterator[Piece]:
    """Do what ``recall`` does, with a reader of its own."""
    from leakwatch.store.read.reader import Reader  # noqa: PLC0415 - SQLAlchemy

    reader = Reader(Path(wanted.store), wanted.extent, of_timeline=True)
    try:
        yield from recall(reader, wanted.plan, wanted.now_ms)
    finally:
        reader.close()


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
