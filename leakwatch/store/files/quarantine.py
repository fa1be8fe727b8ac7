"""Moves a damaged store out of the way: never deleted, its measurements may still be salvaged."""

from __future__ import annotations

import logging
from pathlib import Path

from leakwatch.clock import rfc3339
from leakwatch.errors import StoreWriteError
from leakwatch.store.files.driver import PAGE_BYTES

SUFFIXES = ("-wal", "-shm", "")
"""What SQLite appends to its files. The log comes first: stopped half way, we leave no old log beside a new store."""

MAGIC = b"SQLite format 3\0"
PAGE_SIZES = PAGE_BYTES, 4096
"""Of stores, this version's and what SQLite makes unasked, as earlier ones did."""
_HEADER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}
_MOST_FRAGMENTED = 60

log = logging.getLogger(__name__)


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
    while any(kept.with_name(kept.name + suffix).exists() for suffix in SUFFIXES):
        number += 1
        kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
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
