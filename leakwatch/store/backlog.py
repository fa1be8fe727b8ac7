"""Scrapes that wait for the store while it cannot be written: packed, in order, within a bound of time and of bytes.

A time in which the store could not be written, and what became of the scrapes of that time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from typing import TYPE_CHECKING

from leakwatch.clock import Instant, rfc3339
from leakwatch.errors import LeakwatchError, StoreBusyError
from leakwatch.model.identity import Target
from leakwatch.model.sample import Block, Sample, Scrape, SealedBlock
from leakwatch.store.encoding import rounds
from leakwatch.store.encoding.rounds import BlockRow
from leakwatch.store.writer import MAX_INTEGER
from leakwatch.units import format_bytes, format_duration

if TYPE_CHECKING:
    Key = tuple[str, Target]

KEPT_MS = 3_600_000
"""An hour: enough to free a disk or to mount it again; a longer outage is not waited out in memory."""
KEPT_BYTES = 32 << 20
"""An hour of 1-s scrapes of 300 processes takes 26 MiB packed (measured), and the unit allows the daemon 384 MiB."""
BLOCKS_BYTES = 8 << 20
"""The part of it for blocks whose samples were dropped: at 15 bytes each, half a million; the oldest go first."""
NAME_BYTES, INFO_BYTES, ENTRY_BYTES, ROUND_BYTES = 250, 500, 2000, 200
"""What a new series' name, a new process, a scrape and blocks of one time take besides, in memory, rounded up."""


@dataclass(slots=True)
class _Names:
    """The series of some scrapes, numbered as they came; freed with the last scrape that uses it."""

    keys: list[Key] = field(default_factory=list)
    numbers: dict[Key, int] = field(default_factory=dict)

    def number(self, key: Key) -> int:
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return number


@dataclass(frozen=True, slots=True)
class _Round:
    """Blocks of one time."""

    names: _Names
    span_s: int
    start_ms: int
    n: int
    payload: bytes


@dataclass(slots=True)
class _Entry:
    """A scrape without its samples, and what holds them."""

    at_ms: int
    scrape: Scrape
    names: _Names
    n: int
    payload: bytes
    blocks: list[_Round]
    bytes: int
    """Of all but the blocks."""


class Backlog:
    """Holds scrapes until they are stored. ``at_ms`` is monotonic: a clock that is set makes nothing old."""

    def __init__(self, kept_ms: int = KEPT_MS, kept_bytes: int = KEPT_BYTES, blocks_bytes: int = BLOCKS_BYTES) -> None:
        self._kept_ms, self._kept_bytes, self._blocks_bytes = kept_ms, kept_bytes, blocks_bytes
        self._entries: deque[_Entry] = deque()
        self._names = _Names()
        self.bytes = 0
        """About what it takes in memory."""
        self.dropped = 0
        """Scrapes that were too much or too old since it was last empty; their blocks are kept."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at_ms: int, scrape: Scrape, blocks: Sequence[SealedBlock]) -> None:
        """Keep a scrape and the blocks it completed; drop the oldest scrapes where it is too much."""
        last = self._entries[-1].scrape if self._entries else None
        entry = self._packed(at_ms, scrape, blocks, last)
        self._entries.append(entry)
        self.bytes += entry.bytes + _size(entry.blocks)
        while len(self) > 1 and (self.bytes > self._kept_bytes or at_ms - self._entries[0].at_ms > self._kept_ms):
            self._drop_oldest()

    def _packed(self, at_ms: int, scrape: Scrape, blocks: Sequence[SealedBlock], last: Scrape | None) -> _Entry:
        samples = {(one.metric, one.target): one for one in scrape.samples if abs(one.value) <= MAX_INTEGER}
        if len(self._names.keys) > 1000 + 2 * len(samples):
            self._names = _Names()  # most of those named are gone
        names, known = self._names, len(self._names.keys)
        numbered = {names.number(key): (sample.value, sample.estimated) for key, sample in samples.items()}
        taken = _rounds(names, blocks)
        payload = rounds.encode_round(numbered) if numbered else b""
        size = ENTRY_BYTES + len(payload) + NAME_BYTES * (len(names.keys) - known)
        processes = scrape.processes
        if last is not None and last.processes == processes:
            processes = last.processes
        else:
            before = {info: info for info in last.processes} if last else {}
            size += 8 * len(processes) + INFO_BYTES * sum(info not in before for info in processes)
            processes = tuple(before.get(info, info) for info in processes)
        bare = Scrape(scrape.tick, (), processes, scrape.outcomes, scrape.duration_us)
        return _Entry(at_ms, bare, names, len(numbered), payload, taken, size)

    def _drop_oldest(self) -> None:
        gone, oldest = self._entries.popleft(), self._entries[0]
        self.dropped += 1
        self.bytes -= gone.bytes + _size(gone.blocks) + _size(oldest.blocks)
        moved = gone.blocks
        if gone.names is not oldest.names:  # blocks of a few series must not keep the names of all
            moved = _rounds(_Names(), _blocks_of(moved))
        oldest.blocks = moved + oldest.blocks
        size = _size(oldest.blocks)
        while oldest.blocks and size > self._blocks_bytes:
            size -= _size([oldest.blocks.pop(0)])
        self.bytes += size

    def first(self, count: int) -> list[tuple[Scrape, list[SealedBlock]]]:
        """Return the oldest scrapes as they were added, with their blocks; they stay until ``forget``."""
        return [(_scrape_of(entry), _blocks_of(entry.blocks)) for entry in islice(self._entries, count)]

    def forget(self, count: int) -> None:
        """Drop the oldest, which are stored."""
        for _ in range(count):
            entry = self._entries.popleft()
            self.bytes -= entry.bytes + _size(entry.blocks)
        if not self._entries:
            self._names, self.dropped = _Names(), 0


def _size(blocks: Sequence[_Round]) -> int:
    return sum(ROUND_BYTES + len(one.payload) for one in blocks)


def _rounds(names: _Names, blocks: Sequence[SealedBlock]) -> list[_Round]:
    together: dict[tuple[int, int], dict[int, BlockRow]] = {}
    for sealed in blocks:
        block = sealed.block
        row = (block.n, block.minimum, block.median, block.maximum, block.last, sealed.segment_ms)
        number = names.number((sealed.metric, sealed.target))
        together.setdefault((sealed.span_s, block.start_ms), {})[number] = row
    return [
        _Round(names, span_s, start_ms, len(rows), rounds.encode_block_round(rows))
        for (span_s, start_ms), rows in together.items()
    ]


def _scrape_of(entry: _Entry) -> Scrape:
    if not entry.n:
        return entry.scrape
    numbers, values, marks = rounds.decode_round(entry.payload, entry.n)
    estimated = frozenset(compress(numbers, marks)) if marks else frozenset[int]()
    keys = entry.names.keys
    samples = tuple(
        Sample(*keys[number], value, number in estimated) for number, value in zip(numbers, values, strict=True)
    )
    return replace(entry.scrape, samples=samples)


def _blocks_of(taken: Sequence[_Round]) -> list[SealedBlock]:
    found = []
    for one in taken:
        numbers, columns = rounds.decode_block_round(one.payload, one.n)
        for number, (n, minimum, median, maximum, last, segment_ms) in zip(
            numbers, zip(*columns, strict=True), strict=True
        ):
            block = Block(one.start_ms, n, minimum, median, maximum, last)
            found.append(SealedBlock(*one.names.keys[number], one.span_s, segment_ms, block))
    return found


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
