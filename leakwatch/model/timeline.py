"""Two frames of time: the *timeline*, which never steps, and the time of day, which anybody may set.

What is measured, judged and stored has times of the timeline: elapsed time, sleep included, from the time of day at
which the first sample was taken. So the store is in order, and no series notices that the clock was set. What is shown
is moved to the time of day: by ``Stamps``, which the store keeps and every reader of it uses. A board that boots in
1970 and is set a minute later thus shows its first minute as the one before the setting.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from leakwatch.clock import Clock, Instant

CLOCK = "clock"
"""The key of the store's state that holds ``Stamps``."""
STEP_TOLERANCE_MS = 500
"""By how much the time of day may leave the timeline before it was set. NTP that slews, and a smeared leap second, move
both clocks; what is left is the two of them being read one after the other."""
LEAST_MS = 1_000_000_000_000
"""September 2001. The timeline begins no earlier, whatever the clock shows: so a number of milliseconds above it is a
time and one below it is a span, and the longest window before the first sample is no negative time."""
MOST_PIECES = 50
"""Boots with a clock of their own that are remembered; what is older is shown by the oldest of these."""

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the timeline, and what has to be added to its times to have the time of day."""

    from_ms: int
    to_ms: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class Stamps:
    """How the timeline lies in the time of day. Times of day rise with the timeline, though not evenly."""

    pieces: tuple[Piece, ...] = ()

    @classmethod
    def of(cls, stored: object) -> Stamps:
        """Return what ``Timeline.to_json`` gave; of a store that never was told, the two frames are one."""
        anchor = Anchor.of(stored)
        if anchor is None:
            return cls()
        found = [Piece(anchor.from_ms, anchor.from_ms, anchor.offset_ms)]
        for piece in reversed(anchor.before):
            # What came before is shown before, even if the clock was ahead then: the newest is right.
            latest = found[0].from_ms + found[0].offset_ms - piece.to_ms
            found.insert(0, dataclasses.replace(piece, offset_ms=min(piece.offset_ms, latest)))
        return cls(tuple(found))

    @property
    def offset_ms(self) -> int:
        """What is added to times of the present."""
        return self.pieces[-1].offset_ms if self.pieces else 0

    def is_plain(self) -> bool:
        """Return whether all times are shown as they are."""
        return not any(piece.offset_ms for piece in self.pieces)

    def wall(self, ts_ms: int) -> int:
        """Return the time of day of a time of the timeline."""
        latest_ms = None
        for piece in reversed(self.pieces):
            shown_ms = ts_ms + piece.offset_ms
            if ts_ms >= piece.from_ms:
                return shown_ms if latest_ms is None else min(shown_ms, latest_ms)
            latest_ms = piece.from_ms + piece.offset_ms
        return ts_ms + (self.pieces[0].offset_ms if self.pieces else 0)

    def timeline(self, wall_ms: int) -> int:
        """Return the time of the timeline of a time of day; of one in between two boots, the end of the earlier."""
        if not self.pieces:
            return wall_ms
        for piece, following in reversed([*pairwise(self.pieces), (self.pieces[-1], None)]):
            if wall_ms >= piece.from_ms + piece.offset_ms:
                ts_ms = wall_ms - piece.offset_ms
                return ts_ms if following is None else min(ts_ms, following.from_ms)
        return wall_ms - self.pieces[0].offset_ms

    def shown(self, record: Record) -> Record:
        """Return a dataclass of times, whose names end in ``_ms`` and which holds no spans, in the time of day."""
        if self.is_plain():
            return record
        values: dict[str, Any] = {}
        for field in dataclasses.fields(record):  # type: ignore[arg-type]
            value = getattr(record, field.name)
            if field.name.endswith("_ms") and value:
                values[field.name] = self.wall(value)
        return dataclasses.replace(record, **values)  # type: ignore[type-var]

    def shown_json(self, value: Any, key: str = "") -> Any:
        """Return a JSON value with the times in it, which ``LEAST_MS`` tells from spans, in the time of day."""
        if isinstance(value, dict):
            return {name: self.shown_json(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self.shown_json(one, key) for one in value]
        is_time = key.endswith("_ms") and isinstance(value, int) and value >= LEAST_MS
        return self.wall(value) if is_time else value


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the store keeps: where the timeline is in the present boot, and how it was shown in those before."""

    boot_id: str
    zero_ms: int
    """The timeline when the machine booted: what ``CLOCK_BOOTTIME`` is added to."""
    from_ms: int
    """Since when the timeline is that of this boot."""
    offset_ms: int
    before: tuple[Piece, ...] = ()

    @classmethod
    def of(cls, stored: Any) -> Anchor | None:
        """Return what a store holds, None where it holds none or what makes no sense."""
        try:
            before = tuple(Piece(*map(int, piece)) for piece in stored[4])
            return cls(str(stored[0]), int(stored[1]), int(stored[2]), int(stored[3]), before)
        except (TypeError, ValueError, LookupError):
            return None

    def to_json(self) -> list[object]:
        """Return it as values the store can keep."""
        before = [[piece.from_ms, piece.to_ms, piece.offset_ms] for piece in self.before]
        return [self.boot_id, self.zero_ms, self.from_ms, self.offset_ms, before]


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the clocks."""

    ts_ms: int
    """Of the timeline."""
    offset_ms: int
    """What is to be added to it to have the time of day; changes when the clock is set."""
    monotonic_ms: int
    boottime_ms: int


class Timeline:
    """The timeline of a running daemon; any thread may ask.

    It begins where the store ends: in the same boot by the time since boot, in another one by the time of day, and
    right after the last sample where that is no later than it.
    """

    def __init__(self, clock: Clock, boot_id: str, stored: object, last_ms: int | None, interval_s: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        before = Anchor.of(stored)
        goes_on = before is not None and before.boot_id == boot_id
        if before is not None and goes_on and before.zero_ms + clock.now().boottime_ms > (last_ms or 0):
            self._anchor = before
        else:
            self._anchor = _begun(clock, boot_id, before, last_ms, round(interval_s * 1000))

    def now(self) -> Moment:
        """Return the present, having noticed whether the clock was set."""
        now = self._clock.now()
        with self._lock:
            ts_ms = self._anchor.zero_ms + now.boottime_ms
            if abs(now.wall_ms - ts_ms - self._anchor.offset_ms) > STEP_TOLERANCE_MS:
                self._anchor = dataclasses.replace(self._anchor, offset_ms=now.wall_ms - ts_ms)
            return Moment(ts_ms, self._anchor.offset_ms, now.monotonic_ms, now.boottime_ms)

    def of_ms(self, then: Instant) -> int:
        """Return the time of the timeline of an earlier look at the clocks of this boot."""
        return self._anchor.zero_ms + then.boottime_ms

    def to_json(self) -> list[object]:
        """Return what the store is to keep."""
        return self._anchor.to_json()

    @property
    def stamps(self) -> Stamps:
        """How times are shown just now."""
        return Stamps.of(self.to_json())


def _begun(clock: Clock, boot_id: str, before: Anchor | None, last_ms: int | None, interval_ms: int) -> Anchor:
    """Return where the timeline is when a boot begins that the store knows nothing of."""
    now = clock.now()
    offset_ms = before.offset_ms if before is not None else 0
    ts_ms = max(now.wall_ms - offset_ms, LEAST_MS)
    if last_ms is None:
        return Anchor(boot_id, ts_ms - now.boottime_ms, ts_ms, now.wall_ms - ts_ms)
    if ts_ms <= last_ms:
        ts_ms = last_ms + interval_ms
    pieces = [*before.before, Piece(before.from_ms, last_ms, offset_ms)] if before else [Piece(0, last_ms, 0)]
    return Anchor(boot_id, ts_ms - now.boottime_ms, ts_ms, now.wall_ms - ts_ms, tuple(_joined(pieces)))


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the newest pieces, neighbours that are shown alike as one."""
    found: list[Piece] = []
    for piece in pieces:
        if found and found[-1].offset_ms == piece.offset_ms:
            found[-1] = dataclasses.replace(found[-1], to_ms=piece.to_ms)
        else:
            found.append(piece)
    return found[-MOST_PIECES:]
