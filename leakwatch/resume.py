"""After a restart: feeds the scan what the store remembers, so that days of history are not learnt again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch.recall import Alive, Blocks, Climbs, Said, Sampled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leakwatch.model import SealedBlock
    from leakwatch.recall import Piece
    from leakwatch.scan import Scan

log = logging.getLogger(__name__)


def resume(scan: Scan, pieces: Iterable[Piece], now_ms: int) -> tuple[Said, list[SealedBlock]]:
    """Bring the scan to where the store ends; return what was said before, and the blocks that were not stored yet."""
    said = Said([], [], {})
    sealed: list[SealedBlock] = []
    last_ms: int | None = None
    for piece in pieces:
        match piece:
            case Said():
                said = piece
            case Alive(processes, last_ms):
                scan.set_processes(processes)
            case Blocks(level, blocks, segments):
                scan.restore(level, blocks, segments)
            case Climbs(suspicions):
                scan.restore_climbs(suspicions, said.states)
            case Sampled(ts_ms, new_segments, values):
                if new_segments:
                    scan.end_segments(ts_ms)
                sealed += scan.feed_values(ts_ms, values)
                scan.settle_backlog()
    if last_ms is not None:
        log.info("resumed from the store: the last scrape was taken %d s ago", max(0, now_ms - last_ms) // 1000)
    return said, sealed
