"""Moves a damaged store out of the way: never deleted, its measurements may still be salvaged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch.clock import rfc3339
from leakwatch.errors import StoreWriteError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = ("-wal", "-shm", "")
"""What SQLite appends to its files. The log comes first: stopped half way, we leave no old log beside a new store."""

log = logging.getLogger(__name__)


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
