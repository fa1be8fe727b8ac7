"""Counts in scrapes: beside memory, never in its place; sampled seldom; limits, ids, restarts, what is ignored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.config import IgnoreConfig
from leakwatch.model.identity import HOST, ProcessInfo
from leakwatch.model.sample import Sample
from leakwatch.model.verdict import CountLimit, FindingKind, Rooms, Sort, Verdict
from leakwatch.monitoring.detector import VANISHED_AFTER, Detector
from leakwatch.report.phrases import text
from tests.monitoring.scrapes import KIB, MIB, MINUTES, START_MS, Machine, leak, process, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leakwatch.config import Config
    from leakwatch.model.identity import Target
    from leakwatch.model.sample import Scrape
    from leakwatch.model.verdict import Finding
    from leakwatch.monitoring.evaluation import Evaluation

    Counts = Mapping[tuple[str, Target], Callable[[int], int]]

ONE = process(1)


class Limits:
    """A limit of 1024 on all that is counted."""

    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0

    def count_limit_of(self, metric: str, pid: int | None, now: int) -> CountLimit | None:  # noqa: ARG002
        return CountLimit(1024 - now, 1024, "its limit on open files")


def of(info: ProcessInfo, metric: str = metrics.PROCESS_FDS) -> tuple[str, Target]:
    return metric, info.identity.target


def scraped(machine: Machine, counts: Counts, at: int, every: int = 1) -> Scrape:
    scrape = machine.scrape(at)
    if at % every:
        return scrape
    more = tuple(Sample(metric, target, value(at)) for (metric, target), value in counts.items())
    return replace(scrape, samples=scrape.samples + more)


def watch(
    machine: Machine, counts: Counts, seconds: int = 180, *, config: Config = MINUTES, every: int = 1,
    detector: Detector | None = None,
) -> Evaluation:  # fmt: skip
    detector = detector or Detector(config, Limits())
    evaluation = None
    for at in range(seconds):
        detector.feed(scraped(machine, counts, at, every))
        if at % 5 == 4:
            evaluation = detector.evaluate(START_MS + at * 1000)
    assert evaluation is not None
    return evaluation


def about(evaluation: Evaluation, metric: str) -> Finding:
    (one,) = [finding for finding in evaluation.findings if finding.metric == metric]
    return one


def memory_of(evaluation: Evaluation) -> Finding:
    (one,) = [finding for finding in evaluation.findings if finding.metric not in metrics.COUNTS]
    return one


def rising(a_second: float = 1.0, base: int = 20) -> Callable[[int], int]:
    return lambda at: base + int(a_second * at)


def test_files_that_are_not_closed_are_a_finding_beside_the_one_about_memory() -> None:
    evaluation = watch(Machine({ONE: 50 * MIB}), {of(ONE): rising()})
    memory, files = memory_of(evaluation), about(evaluation, metrics.PROCESS_FDS)
    assert memory.assessment.verdict is Verdict.OK
    assert files.assessment.verdict is Verdict.LEAK
    assert files.assessment.slope_bytes_per_hour == pytest.approx(3600, rel=0.05)
    assert (files.assessment.unit, files.kind, files.name, files.pid) == ("count", FindingKind.PROCESS, "worker", 1)
    assert (files.limit_bytes, files.limit_total, files.limit_name) == (1024 - 199, 1024, "its limit on open files")
    assert files.exhaustion_at_ms is not None
    assert (files.exhaustion_at_ms - files.evaluated_at_ms) / 1000 == pytest.approx(1024 - 199, rel=0.05)
    assert files.id != memory.id
    assert {test.unit for test in files.assessment.evidence} & {"bytes", "bytes/h"} == set()
    assert evaluation.lives[files.id] == ONE.identity.target.key
    assert evaluation.counted == {of(ONE)}


def test_who_leaks_both_has_both_findings_and_the_count_names_the_other() -> None:
    evaluation = watch(Machine({ONE: leak()}), {of(ONE): rising(), of(ONE, metrics.PROCESS_THREADS): lambda _: 4})
    memory, files = memory_of(evaluation), about(evaluation, metrics.PROCESS_FDS)
    assert (memory.assessment.verdict, files.assessment.verdict) == (Verdict.LEAK, Verdict.LEAK)
    assert text(files.notes) == f"its memory grows, too: {memory.id}"
    assert text(memory.notes) == ""
    assert len(evaluation.findings) == 2, "threads that never rose are not judged"


def test_mappings_that_are_stacks_are_told_by_the_threads() -> None:
    threads, mappings = of(ONE, metrics.PROCESS_THREADS), of(ONE, metrics.PROCESS_MAPPINGS)
    machine = Machine({ONE: 50 * MIB})
    both = watch(machine, {threads: rising(), mappings: rising(2.0)})
    assert about(both, metrics.PROCESS_THREADS).assessment.verdict is Verdict.LEAK
    assert metrics.PROCESS_MAPPINGS not in {finding.metric for finding in both.findings}
    more = watch(machine, {threads: rising(), mappings: rising(9.0)})
    assert about(more, metrics.PROCESS_MAPPINGS).assessment.verdict is Verdict.LEAK


def test_what_only_a_count_says_is_no_reason_to_read_memory_fully() -> None:
    assert watch(Machine({ONE: 50 * MIB}), {of(ONE): rising()}).suspects == frozenset()


def test_a_count_that_is_sampled_at_every_fifth_tick_is_judged_all_the_same() -> None:
    assert VANISHED_AFTER < 5
    evaluation = watch(Machine({ONE: 50 * MIB}), {of(ONE): rising()}, 600, every=5)
    assert about(evaluation, metrics.PROCESS_FDS).assessment.verdict is not Verdict.LEARNING


def test_a_pool_that_fills_and_a_load_that_swings_are_no_leaks() -> None:
    two = process(2, "server")
    counts = {
        of(ONE, metrics.PROCESS_THREADS): lambda at: min(70, 6 + at),
        of(two): lambda at: 30 + 2 * abs((at % 40) - 20),
    }
    evaluation = watch(Machine({ONE: 50 * MIB, two: 50 * MIB}), counts, 400)
    for metric in (metrics.PROCESS_THREADS, metrics.PROCESS_FDS):
        assert about(evaluation, metric).assessment.verdict is not Verdict.LEAK


def test_of_a_unit_the_process_that_leaks_is_named() -> None:
    shop = unit("shop.service")
    workers = [process(pid, "shop", shop) for pid in (1, 2, 3)]
    counts = {of(workers[0]): lambda at: 20 + min(at, 30), of(workers[1]): rising(2.0), of(workers[2]): lambda _: 9}
    found = about(watch(Machine(dict.fromkeys(workers, 50 * MIB)), counts), metrics.PROCESS_FDS)
    assert (found.kind, found.name, found.pid) == (FindingKind.SERVICE, "shop.service", 2)
    assert "pid 2 +7200/h" in text(found.notes)


def test_what_is_too_slow_or_too_small_is_none_and_is_configured_in_numbers() -> None:
    machine, counts = Machine({ONE: 50 * MIB}), {of(ONE): rising(0.1)}
    assert about(watch(machine, counts, 300), metrics.PROCESS_FDS).assessment.verdict is not Verdict.LEAK  # 12 a window
    fine = replace(MINUTES, thresholds=replace(MINUTES.thresholds, min_growth_count=4))
    assert about(watch(machine, counts, 300, config=fine), metrics.PROCESS_FDS).assessment.verdict is Verdict.LEAK
    fast = replace(fine, thresholds=replace(fine.thresholds, min_rate_count_per_hour=1000.0))
    assert about(watch(machine, counts, 300, config=fast), metrics.PROCESS_FDS).assessment.verdict is not Verdict.LEAK


def test_the_counts_of_an_ignored_process_are_ignored_and_those_of_a_gone_one_forgotten() -> None:
    config = replace(MINUTES, ignore=IgnoreConfig(processes=("worker",)))
    assert watch(Machine({ONE: leak()}), {of(ONE): rising()}, config=config).findings == ()
    detector = Detector(MINUTES, Limits())
    two = process(2, "other")
    machine = Machine({ONE: 50 * MIB, two: 50 * MIB})
    watch(machine, {of(ONE): rising(), of(two): lambda _: 3}, detector=detector)
    del machine.processes[ONE]
    for at in range(180, 180 + VANISHED_AFTER + 1):
        detector.feed(machine.scrape(at))
    assert of(ONE) not in detector._series
    assert not [finding for finding in detector.evaluate(START_MS + 190_000).findings if finding.name == "worker"]


def test_a_limit_that_comes_before_confirmation_makes_a_leak_at_once() -> None:
    class Tight(Limits):
        def count_limit_of(self, metric: str, pid: int | None, now: int) -> CountLimit | None:  # noqa: ARG002
            return CountLimit(max(0, 105 - now), 105, "its limit on open files")

    machine, counts = Machine({ONE: 50 * MIB}), {of(ONE): rising()}
    assert about(watch(machine, counts, 75), metrics.PROCESS_FDS).assessment.verdict is Verdict.WATCH
    found = about(watch(machine, counts, 75, detector=Detector(MINUTES, Tight())), metrics.PROCESS_FDS)
    assert found.assessment.verdict is Verdict.LEAK
    assert "the limit would be reached" in text(found.assessment.reasons)


def test_what_files_are_made_of_is_told_and_kept_over_a_restart() -> None:
    sockets, files = (of(ONE, f"{metrics.PROCESS_FDS_OF}{sort}") for sort in ("socket", "file"))
    counts = {of(ONE): rising(), sockets: rising(1.0, 0), files: lambda _: 20}
    detector = Detector(MINUTES, Limits())
    found = about(watch(Machine({ONE: 50 * MIB}), counts, detector=detector), metrics.PROCESS_FDS)
    assert found.sorts == (Sort("socket", 179, 179), Sort("file", 20, 0))
    assert found.sorted_since_ms == START_MS
    again = Detector(MINUTES, Limits())
    again.set_processes([ONE])
    again.restore_alarm_states({}, detector.snapshot(START_MS))
    found = about(watch(Machine({ONE: 50 * MIB}), counts, detector=again), metrics.PROCESS_FDS)
    assert found.sorted_since_ms == START_MS


# What belongs to nobody


def test_segments_of_nobody_are_reported_in_place_of_shared_memory_as_a_whole() -> None:
    host: dict[str, Callable[[int], int]] = {
        metrics.KERNEL_SHMEM: lambda at: 40 * MIB + at * 900 * KIB,
        metrics.IPC_SHM_ORPHANS: lambda at: at * 800 * KIB,
    }
    detector = Detector(MINUTES, Limits())
    machine = Machine(host=dict(host))
    evaluation = None
    for at in range(180):
        largest = {metrics.IPC_SHM_ORPHANS: ("shmid 4 1.00 MiB",)} if at % 5 == 0 else {}
        detector.feed(replace(machine.scrape(at), largest=largest))
        if at % 5 == 4:
            evaluation = detector.evaluate(START_MS + at * 1000)
    assert evaluation is not None
    (found,) = evaluation.findings
    assert (found.metric, found.kind, found.name) == (
        metrics.IPC_SHM_ORPHANS, FindingKind.KERNEL, "orphaned System V shared memory",
    )  # fmt: skip
    assert found.assessment.verdict is Verdict.LEAK
    assert text(found.notes) == "largest: shmid 4 1.00 MiB"


def test_segments_and_what_they_hold_name_each_other() -> None:
    machine = Machine(host={metrics.IPC_SHM_ORPHANS: leak(base=0)})
    evaluation = watch(machine, {(metrics.IPC_SHM_SEGMENTS, HOST): rising()})
    memory, segments = about(evaluation, metrics.IPC_SHM_ORPHANS), about(evaluation, metrics.IPC_SHM_SEGMENTS)
    assert (memory.assessment.verdict, segments.assessment.verdict) == (Verdict.LEAK, Verdict.LEAK)
    assert text(segments.notes) == f"their memory grows, too: {memory.id}"


def test_semaphores_are_counted_against_what_the_kernel_allows() -> None:
    key = metrics.IPC_SEM_SETS, HOST
    found = about(watch(Machine({ONE: 50 * MIB}), {key: rising()}, every=5, seconds=600), metrics.IPC_SEM_SETS)
    assert found.assessment.unit == "count"
    assert found.kind is FindingKind.KERNEL
    assert found.limit_total == 1024
