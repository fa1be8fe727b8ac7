"""After a restart: feeds the scan from the store, so that days of history are not learnt again."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch.analysis.spans import FINE_KEPT

if TYPE_CHECKING:
    from leakwatch.analysis.derive import Key
    from leakwatch.model import SealedBlock
    from leakwatch.scan import Scan
    from leakwatch.store.reader import Reader
    from leakwatch.store.records import ScrapeHead

LIVES = "lives"
"""The key of the store's state that holds what past lives taught."""
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
    blocks_end_ms = _restore_blocks(scan, reader, now_ms, last.ts_ms)
    scan.restore_climbs(reader.suspicions(), reader.states().get(LIVES, {}))
    sealed: list[SealedBlock] = []
    since_ms = blocks_end_ms or now_ms - REBUILD_S * 1000
    heads, was_set_back = _of_this_time(reader.scrapes_since(since_ms), last)
    for head, values in reader.samples_of(heads):
        if head.clock_step_ms or (was_set_back and head is heads[0]):
            scan.end_segments(head.ts_ms)
        sealed += scan.feed_values(head.ts_ms, values)
        scan.settle_backlog()
    log.info("resumed from the store: the last scrape was taken %d s ago", (now_ms - last.ts_ms) // 1000)
    return sealed


def _of_this_time(heads: list[ScrapeHead], last: ScrapeHead) -> tuple[list[ScrapeHead], bool]:
    """Return the scrapes since the clock was last set back, and whether it was set back just before the first."""
    if not heads or heads[-1].id != last.id:
        return [], False  # all of them are of a time the clock was set back from
    at = next((at for at in range(len(heads) - 1, 0, -1) if heads[at].ts_ms <= heads[at - 1].ts_ms), 0)
    return heads[at:], at > 0 and heads[at].id == heads[at - 1].id + 1


def _restore_blocks(scan: Scan, reader: Reader, now_ms: int, last_ms: int) -> int:
    """Restore the blocks of both spans; return when the newest of the fine ones ended, 0 where there are none."""
    plan = scan.plan
    kept = {plan.base_s: FINE_KEPT, plan.coarse_s: plan.coarse_kept}
    restored: list[list[SealedBlock]] = []
    segments: dict[Key, int] = {}
    end_ms = 0
    for span_s in plan.levels:
        span_ms = span_s * 1000
        stored = list(reader.blocks(span_s, now_ms - kept[span_s] * span_ms))
        blocks = [one for one in stored if one.block.start_ms + span_ms <= last_ms]
        # What ends later was stored before the clock was set back: of another time, it only tells how high it was.
        past = [replace(one, segment_ms=0) for one in stored if one.block.start_ms + span_ms > last_ms]
        if not restored:
            segments = {(one.metric, one.target): one.segment_ms for one in blocks}  # of the newest block
            end_ms = max((one.block.start_ms + span_ms for one in blocks), default=0)
        restored.append([*past, *blocks])
    for level in reversed(range(len(restored))):  # the coarse ones first: the fine ones go on from there
        scan.restore(level, restored[level], segments)
    return end_ms
