"""Opens a store to write: brings the schema up to date, sets a damaged store aside."""

from __future__ import annotations

import logging
from pathlib import Path

from leakwatch.errors import StoreCorruptError, StoreForeignError
from leakwatch.store.files.quarantine import set_aside, was_sqlite
from leakwatch.store.maintenance import migrate
from leakwatch.store.maintenance.salvage import salvage
from leakwatch.store.writer import Writer

log = logging.getLogger(__name__)

CHECK_UP_TO_BYTES = 64 << 20
"""Up to this size the whole file is checked at start (a second on a slow card); damage in a larger one shows when the
damaged page is used, and the store is set aside then."""


def open_writer(path: Path, now_ms: int) -> Writer:
    """Return a writer on the store at ``path``, whose lock the caller holds.

    Raises StoreWriteError, StoreTooNewError, StoreForeignError or StoreBusyError.
    """
    try:
        return opened(path)
    except StoreCorruptError as error:
        if not was_sqlite(path):
            raise StoreForeignError(
                f"{path} is not a store and never was a SQLite database; set another url under [store] or move it away"
            ) from error
        log.error("%s", error)
        return begin_anew(path, now_ms)[0]


def begin_anew(path: Path, now_ms: int) -> tuple[Writer, Path]:
    """Set a damaged store aside; return a writer on a new one that has what could be read, and where the old one is."""
    kept = set_aside(path, now_ms)
    migrate.ensure_schema(path)
    salvage(kept, path)
    return opened(path), kept


def opened(path: Path) -> Writer:
    """Return a writer on a store that SQLite can read. Raises StoreCorruptError and the errors of ``open_writer``."""
    migrate.ensure_schema(path)
    writer = Writer(path)
    try:
        _check(path, writer)
    except BaseException:
        writer.close()
        raise
    return writer


def _check(path: Path, writer: Writer) -> None:
    if path.stat().st_size > CHECK_UP_TO_BYTES:
        return
    answer = writer.quick_check()
    if answer != "ok":
        raise StoreCorruptError(f"{path} is damaged: {' '.join(answer.split())}")


def files_beside(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return device and inode of SQLite's log and index, None of what is not there.

    As long as a connection is open they stay the same: one that writes to a log which was removed writes into nothing.
    """
    found: list[tuple[int, int] | None] = []
    for suffix in ("-wal", "-shm"):
        try:
            of = path.with_name(path.name + suffix).stat()
            found.append((of.st_dev, of.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)
