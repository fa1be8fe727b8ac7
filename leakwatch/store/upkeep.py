"""Puts history away and forgets what is old, in a child that ends.

Sealing takes some megabytes for a moment, and SQLAlchemy 15 for good; neither stays in the daemon. The child writes
beside the daemon, which waits for it as for any other writer, at most for one of its short transactions. Whoever kills
it has interrupted nothing: each step is one transaction, and the next run goes on from there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.child import Child
from leakwatch.errors import LeakwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leakwatch.config import StoreConfig
    from leakwatch.store.writer import Writer

TIMEOUT_S = 3600
"""After a migration there may be gigabytes to seal; a hang must still end."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be kept, and as of when."""

    store: str
    limits: StoreConfig
    now_ms: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of the work that could not be done."""

    what: str
    error: LeakwatchError


class Tending:
    """Tends a store in a child, one at a time, and can be told to end it."""

    def __init__(self) -> None:
        self._child: Child[Task, Failure] | None = None
        self._ended = False

    def __call__(self, task: Task) -> Iterator[Failure]:
        """Do what ``tend`` does. Raises its errors and ChildError."""
        self._child = Child(tend, task, TIMEOUT_S)
        if self._ended:  # told so just before there was a child to end
            self._child.stop()
        yield from self._child.values()
        self._child = None

    def end(self) -> None:
        """End the child there may be, now, and start no other that works: nobody may write once the store is closed."""
        self._ended = True
        if self._child is not None:
            self._child.stop()


def tend(task: Task) -> Iterator[Failure]:
    """Seal, merge and purge here; yield what could not be done. Raises the errors of ``Writer``."""
    from leakwatch.store.writer import Writer  # noqa: PLC0415 - what only the child needs

    writer = Writer(Path(task.store))
    try:
        for what, step in (
            ("history could not be compressed", _put_away),
            ("old data could not be removed", _forget),
        ):
            try:
                step(writer, task)
            except LeakwatchError as error:
                yield Failure(what, error)
    finally:
        writer.close()


def _put_away(writer: Writer, task: Task) -> None:
    from leakwatch.store.merging import merge  # noqa: PLC0415 - SQLAlchemy
    from leakwatch.store.sealing import seal  # noqa: PLC0415 - the same

    seal(writer)
    while merge(writer, min(task.limits.max_size_bytes, task.limits.max_samples_bytes)):
        pass


def _forget(writer: Writer, task: Task) -> None:
    from leakwatch.store.retention import limits_of, purge  # noqa: PLC0415 - SQLAlchemy

    done = purge(writer, limits_of(task.limits), now_ms=task.now_ms, interval_s=task.interval_s)
    if done.for_size:
        log.warning("the store is at its size limit: %d scrapes were removed before their time", done.scrapes)
