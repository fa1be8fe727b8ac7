"""Opens a store to write: brings the schema up to date, sets a damaged store aside.

Moves a damaged store out of the way: never deleted, its measurements may still be salvaged.

Copies what SQLite can still read of a store that was set aside into the new one, so that a bad page costs itself.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from leakwatch.clock import rfc3339
from leakwatch.errors import StoreCorruptError, StoreForeignError, StoreWriteError
from leakwatch.store.files.driver import PAGE_BYTES, PlainConnection, connect, connect_to_write, size
from leakwatch.store.maintenance import migrate
from leakwatch.store.sql import salvage as texts
from leakwatch.store.writer import Writer

SUFFIXES = ("-wal", "-shm", "")
"""What SQLite appends to its files. The log comes first: stopped half way, we leave no old log beside a new store."""

MAGIC = b"SQLite format 3\0"
PAGE_SIZES = PAGE_BYTES, 4096
"""Of stores, this version's and what SQLite makes unasked, as earlier ones did."""
_HEADER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}
_MOST_FRAGMENTED = 60


def was_sqlite(path: Path) -> bool:
    """Return whether a file that SQLite refuses was one of its own: by its header, else by any page of the first 1 MiB.

    Not to be called while a connection is open on it here: closing the file drops SQLite's locks.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1 << 20)
    except OSError:
        return False
    if start.startswith(MAGIC):
        return True
    return any(
        _is_page(start[at : at + size]) for size in PAGE_SIZES for at in range(size, len(start) - size + 1, size)
    )


def _is_page(page: bytes) -> bool:
    """Return whether this is a page of a B-tree, as sqlite.org/fileformat2.html describes it (section 1.6)."""
    if page[0] not in _HEADER_BYTES:
        return False
    cells, begin = (int.from_bytes(page[at : at + 2], "big") for at in (3, 5))
    pointers_end = _HEADER_BYTES[page[0]] + 2 * cells
    if not cells or not pointers_end <= begin < len(page) or page[7] > _MOST_FRAGMENTED:
        return False
    pointers = page[_HEADER_BYTES[page[0]] : pointers_end]
    return all(begin <= int.from_bytes(pointers[at : at + 2], "big") < len(page) for at in range(0, len(pointers), 2))


def set_aside(path: Path, now_ms: int) -> Path:
    """Rename the store and SQLite's files beside it, and return the new name. Raises StoreWriteError."""
    stamp = rfc3339(now_ms).replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    try:
        while any(kept.with_name(kept.name + suffix).exists() for suffix in SUFFIXES):
            number += 1
            kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
        for suffix in SUFFIXES:
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(kept.with_name(kept.name + suffix))
    except OSError as error:
        raise StoreWriteError(
            f"{path} is damaged and cannot be set aside ({error.strerror}); move it away or set url under [store]"
        ) from error
    log.error("the store %s is damaged; set aside as %s, sampling goes on in a new one", path, kept)
    return kept


UP_TO_BYTES = 64 << 20
"""A larger one is left as it is: sampling waits meanwhile, 0.1 s for each 2 MiB on a slow card."""


def salvage(kept: Path, into: Path) -> int:
    """Copy all rows that can be read, and make them agree again; return how many scrapes there are; never raises.

    ``into`` is a new store that nothing has been written to.
    """
    if size(kept) > UP_TO_BYTES:
        return 0
    try:
        with (
            contextlib.closing(connect(kept, "mode=ro")) as source,
            contextlib.closing(connect_to_write(into)) as driver,
        ):
            return _copied(source, PlainConnection(driver))
    except Exception as error:  # noqa: BLE001 - a store in any state: what cannot be salvaged is there, set aside
        log.debug("nothing could be salvaged of %s: %s", kept, error)
        return 0


def _copied(source: sqlite3.Connection, target: PlainConnection) -> int:
    for table in texts.TABLES:
        columns = [str(row[1]) for row in target.driver.execute(texts.columns(table))]
        if columns != [str(row[1]) for row in source.execute(texts.columns(table))]:
            return 0  # of another version
        for row in _readable(source, table, columns):
            with contextlib.suppress(sqlite3.IntegrityError):
                target.execute(texts.add(table, columns), row)
    for statement in texts.AGREE:
        target.execute(statement)
    count = int(target.execute(texts.COUNT).fetchone()[0])
    target.commit()
    log.warning("what could be read of it was taken over: %d scrapes", count)
    return count


def _readable(source: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield rows from the first on up to what cannot be read, then from the last on down to it."""
    last = None
    try:
        for number, *row in source.execute(texts.rows(table, columns, "ASC")):
            last = number
            yield tuple(row)
    except sqlite3.DatabaseError:
        with contextlib.suppress(sqlite3.DatabaseError):
            for number, *row in source.execute(texts.rows(table, columns, "DESC")):
                if last is not None and number <= last:
                    return
                yield tuple(row)


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
