"""After a restart: feeds the scan from the store, so that days of history are not learnt again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch.analysis.spans import KEPT_WINDOWS

if TYPE_CHECKING:
    from leakwatch.analysis.derive import Key
    from leakwatch.model import SealedBlock
    from leakwatch.scan import Scan
    from leakwatch.store.reader import Reader

REBUILD_S = 86_400
"""How much history is read sample by sample where no blocks of the configured windows are stored, as after a change of
the windows: a day of 200 processes takes seconds, all of it minutes, in which nothing would be watched."""

log = logging.getLogger(__name__)


def resume(scan: Scan, reader: Reader, now_ms: int) -> list[SealedBlock]:
    """Bring the scan to where the store ends; return the blocks that were not stored yet."""
    last = reader.last_scrape()
    if last is None:
        return []
    now_ms = min(now_ms, last.ts_ms + 1)  # a clock set back since must not hide what was stored after it
    scan.set_processes(reader.processes())
    blocks_end_ms = _restore_blocks(scan, reader, now_ms)
    sealed: list[SealedBlock] = []
    since_ms = blocks_end_ms or now_ms - REBUILD_S * 1000
    for head, values in reader.samples_of(reader.scrapes_since(since_ms)):
        if head.clock_step_ms:
            scan.end_segments(head.ts_ms)
        sealed += scan.feed_values(head.ts_ms, values)
    scan.restore_suspicions(reader.suspicions())
    log.info("resumed from the store: the last scrape was taken %d s ago", (now_ms - last.ts_ms) // 1000)
    return sealed


def _restore_blocks(scan: Scan, reader: Reader, now_ms: int) -> int:
    """Restore all windows' blocks; return when the newest of the finest ones ended, 0 where there are none."""
    segments: dict[Key, int] = {}
    end_ms = 0
    for level, window in enumerate(scan.windows):
        since_ms = now_ms - KEPT_WINDOWS * window.window_s * 1000
        blocks = list(reader.blocks(window.span_s, since_ms))
        if level == 0:
            for one in blocks:
                key = (one.metric, one.target)
                segments[key] = max(segments.get(key, 0), one.segment_ms)
                end_ms = max(end_ms, one.block.start_ms + window.span_s * 1000)
        scan.restore(level, blocks, segments)
    return end_ms
