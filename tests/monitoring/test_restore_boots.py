"""A reboot begins a new life of all the kernel holds: what leaked before and grows alike after it is a leak again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.config import AnalysisConfig, Config, SamplingConfig
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.restore import recall, resume
from leakwatch.report.phrases import text
from leakwatch.store.files.open import open_writer
from leakwatch.store.read.reader import Reader
from tests.monitoring.scrapes import KIB, MIB, START_MS, Machine, NoLimits, process

if TYPE_CHECKING:
    from pathlib import Path

    from leakwatch.model.sample import Scrape
    from leakwatch.store.writer import Writer

MINUTES_AS_HOURS = Config(sampling=SamplingConfig(interval_s=1.0), analysis=AnalysisConfig(windows_s=(60, 14_400)))
BOOT_S = 400
"""A kernel that leaks runs out of memory and starts anew, before the leak of a first boot could be confirmed."""
HOST = {"kernel.mem_total_bytes": 64 << 30, "kernel.mem_available_bytes": 40 << 30}
MACHINE = Machine(
    {process(1, "init"): 20 * MIB},
    slab={"kmalloc-4k": lambda at: 14 * MIB + at % BOOT_S * 100 * KIB, "still": 30 * MIB},
    vmalloc={"module_alloc": lambda at: 9 * MIB + at % BOOT_S * 100 * KIB},
    host={**HOST, "kernel.page_tables_bytes": lambda at: 9 * MIB + at % BOOT_S * 100 * KIB},
)
GROWING = {"kmalloc-4k", "module_alloc", "page tables"}


def scraped(at: int) -> Scrape:
    scrape = MACHINE.scrape(at)
    return replace(scrape, tick=replace(scrape.tick, boot_id=f"boot-{at // BOOT_S}"))


def leaks(detector: Detector, at: int) -> set[str]:
    found = detector.evaluate(START_MS + at * 1000).findings
    return {one.name for one in found if one.assessment.verdict is Verdict.LEAK}


def test_a_leak_is_one_again_in_each_boot() -> None:
    detector = Detector(MINUTES_AS_HOURS, NoLimits())
    first: dict[int, int] = {}
    for at in range(4 * BOOT_S):
        detector.feed(scraped(at))
        if at % 15 == 14:
            found = leaks(detector, at)
            assert found <= GROWING
            if found == GROWING:
                first.setdefault(at // BOOT_S, at % BOOT_S)
            if at % BOOT_S < 10:
                assert not found  # of the boot before nothing is said
    assert set(first) == {1, 2, 3}
    (one,) = [found for found in detector.evaluate(START_MS + at * 1000).findings if found.name == "kmalloc-4k"]
    assert text(one.assessment.reasons).endswith("as earlier runs of this service did")
    boot_ms = START_MS + 3 * BOOT_S * 1000
    assert (one.assessment.since_ms, one.assessment.grown_bytes) == (boot_ms, (BOOT_S - 1) * 100 * KIB)


def fed(detector: Detector, writer: Writer, first: int, last: int) -> None:
    pending = []
    for at in range(first, last):
        scrape = scraped(at)
        pending += detector.feed(scrape)
        if at % 15 == 14:
            said = detector.evaluate(START_MS + at * 1000)
            writer.write_scrape(scrape, pending)
            writer.write_evaluation([], said.suspicions, detector.snapshot(START_MS + at * 1000), START_MS + at * 1000)
            pending = []
        else:
            writer.write_scrape(scrape)


@pytest.mark.parametrize("stops", [(BOOT_S,), (BOOT_S - 3, BOOT_S + 95), (BOOT_S + 4,), (2 * BOOT_S, 2 * BOOT_S + 36)])
def test_a_daemon_started_anew_knows_the_boots_of_what_is_stored(tmp_path: Path, stops: tuple[int, ...]) -> None:
    path = tmp_path / "leakwatch.db"
    at = 0
    end = stops[-1] // BOOT_S * BOOT_S + 390
    for stop in (*stops, end):
        writer, detector = open_writer(path, START_MS), Detector(MINUTES_AS_HOURS, NoLimits())
        reader = Reader(path)
        now_ms = START_MS + at * 1000
        resume(detector, recall(reader, detector.plan, now_ms), now_ms)
        reader.close()
        fed(detector, writer, at, stop)
        writer.close()
        at = stop
    whole = Detector(MINUTES_AS_HOURS, NoLimits())
    for at in range(end):
        whole.feed(scraped(at))
        if at % 15 == 14:
            whole.evaluate(START_MS + at * 1000)
    assert leaks(detector, end) == leaks(whole, end) == GROWING
