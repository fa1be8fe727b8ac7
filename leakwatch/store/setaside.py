"""Moves a damaged store out of the way: never deleted, its measurements may still be salvaged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch.clock import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def set_aside(path: Path, now_ms: int) -> Path:
    """Rename the store and SQLite's files beside it, and return the new name."""
    stamp = rfc3339(now_ms).replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    log.error("the store %s is damaged; set aside as %s, sampling goes on in a new one", path, kept)
    return kept
