"""Puts history away and forgets what is old, in a child that ends.

Sealing takes some megabytes for a moment, and SQLAlchemy 15 for good; neither stays in the daemon. The child writes
beside the daemon, which waits for it as for any other writer, at most for one of its short transactions. Whoever kills
it has interrupted nothing: each step is one transaction, and the next run goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leakwatch.config import StoreConfig
from leakwatch.errors import LeakwatchError
from leakwatch.store.writer import Writer
from leakwatch.system.worker import OneChild

TIMEOUT_S = 3600
"""After a migration there may be gigabytes to seal; a hang must still end."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MaintenanceTask:
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


def tending() -> OneChild[MaintenanceTask, Failure]:
    """Return what tends stores in children; told to end, nobody writes to the store from then on."""
    return OneChild(tend, TIMEOUT_S)


def tend(task: MaintenanceTask) -> Iterator[Failure]:
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


def _put_away(writer: Writer, task: MaintenanceTask) -> None:
    from leakwatch.store.maintenance.sealing import merge, seal  # noqa: PLC0415 - SQLAlchemy

    seal(writer)
    while merge(writer, min(task.limits.max_size_bytes, task.limits.max_samples_bytes)):
        pass


def _forget(writer: Writer, task: MaintenanceTask) -> None:
    from leakwatch.store.maintenance.retention import limits_of, purge  # noqa: PLC0415 - SQLAlchemy

    done = purge(writer, limits_of(task.limits), now_ms=task.now_ms, interval_s=task.interval_s)
    if done.for_size:
        what = f"{done.early} scrapes" if done.early else "the oldest summaries"
        log.warning("the store is at a size limit: %s were removed before their age", what)
