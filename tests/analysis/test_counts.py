"""Which counts are judged, in which units and by which floors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import metrics
from leakwatch.analysis.findings.counts import CountScreen, Sorts, count_target, counted
from leakwatch.analysis.replay.capture import Capture, Settings, prepared
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.settings import criteria_of
from leakwatch.analysis.thresholds import COUNT_RATIO
from leakwatch.config import Config, Thresholds
from leakwatch.model.identity import Service, ServiceKind, Target, TargetKind
from leakwatch.model.verdict import Assessment, Criterion, Phrase, Sort, Verdict
from leakwatch.report.phrases import text

ONE, OTHER = Target(TargetKind.PROCESS, "b/1/1"), Target(TargetKind.PROCESS, "b/2/1")
FDS = (metrics.PROCESS_FDS, ONE)


def risen(screen: CountScreen, value: int, judged: dict[object, object] | None = None) -> bool:
    return bool(screen.risen({FDS: value}, judged or {}, lambda _: 16.0))  # type: ignore[arg-type]


def test_a_count_is_judged_once_it_has_risen_by_half_of_what_matters() -> None:
    screen = CountScreen()
    assert [risen(screen, value) for value in (10, 12, 17, 10, 17)] == [False] * 5
    assert risen(screen, 18)


def test_it_rises_from_the_lowest_it_has_been() -> None:
    screen = CountScreen()
    assert not risen(screen, 40)
    assert not risen(screen, 20)
    assert risen(screen, 28)


def test_a_large_count_must_rise_by_a_share_of_itself() -> None:
    screen = CountScreen()
    assert not risen(screen, 10_000)
    assert not risen(screen, 10_000 + round(0.5 * COUNT_RATIO * 10_000) - 1)
    assert risen(screen, 10_000 + round(0.5 * COUNT_RATIO * 10_000))


@given(st.lists(st.integers(0, 400), max_size=40), st.sampled_from([0.0, 4.0, 16.0]))
def test_a_replay_begins_where_the_daemon_would(values: list[int], least: float) -> None:
    screen = CountScreen()
    live = [bool(screen.risen({FDS: value}, {}, lambda _: least)) for value in values]
    first = live.index(True) if True in live else len(values)
    criteria = replace(criteria_of(Thresholds(), counted=True), min_growth_bytes=least)
    times_ms = np.arange(len(values), dtype=np.int64) * 60_000
    capture = Capture("proc/x[1]/fds", subject_of("proc/x[1]/fds"), times_ms, np.array(values, dtype=np.float64))
    (one,) = prepared([capture], Settings(Config().analysis.windows_s, lambda _: criteria))
    assert one.capture.values.tolist() == values[first:]
    assert one.capture.times_ms.tolist() == times_ms[first:].tolist()


def test_a_count_without_samples_or_that_never_rose_has_an_outcome() -> None:
    subject = subject_of("proc/x[1]/fds")
    nothing = Capture("proc/x[1]/fds", subject, np.empty(0, np.int64), np.empty(0))
    flat = Capture("proc/x[1]/fds", subject, np.arange(100, dtype=np.int64) * 60_000, np.full(100, 12.0))
    settings = Settings(Config().analysis.windows_s, lambda _: criteria_of(Thresholds(), counted=True))
    empty, quiet = (replay([one], settings)[0].assessment for one in (nothing, flat))
    assert (empty.verdict, empty.unit) == (Verdict.LEARNING, "count")
    assert (quiet.verdict, quiet.unit, quiet.current_bytes) == (Verdict.OK, "count", 12)
    assert text(quiet.reasons) == "has never risen by 50% of what is worth telling"


def test_the_interval_of_a_count_is_that_of_what_is_sampled_beside_it() -> None:
    seldom = Capture("a", subject_of("proc/x[1]/fds"), np.arange(9, dtype=np.int64) * 300_000, np.arange(9) * 20.0)
    every = Capture("b", subject_of("proc/x[1]"), np.arange(9, dtype=np.int64) * 60_000, np.full(9, 1e6))
    settings = Settings(Config().analysis.windows_s, lambda _: criteria_of(Thresholds()))
    assert [one.interval_s for one in prepared([seldom, every], settings)] == [60.0, 60.0]
    assert [one.interval_s for one in prepared([seldom], settings)] == [300.0]


def test_what_is_judged_stays_so_and_memory_is_no_count() -> None:
    screen = CountScreen()
    assert risen(screen, 3, {FDS: object()})
    assert not screen.risen({(metrics.PROCESS_USS, ONE): 1 << 40}, {}, lambda _: 0.0)


def test_processes_that_are_gone_are_forgotten() -> None:
    screen = CountScreen()
    screen.risen({FDS: 1, (metrics.PROCESS_FDS, OTHER): 1}, {}, lambda _: 16.0)
    screen.keep([OTHER])
    assert list(screen._lowest) == [(metrics.PROCESS_FDS, OTHER)]


def test_floors_of_counts_are_numbers() -> None:
    criteria = criteria_of(Thresholds(), counted=True)
    assert (criteria.min_rate_bytes_per_hour, criteria.min_growth_bytes) == (1.0, 16.0)
    assert criteria.min_growth_ratio == COUNT_RATIO
    assert criteria_of(Thresholds(min_growth_ratio=0.2), counted=True).min_growth_ratio == 0.2


def test_a_verdict_on_a_count_speaks_of_numbers() -> None:
    evidence = tuple(Criterion(unit, 1.0, 2.0, passed=True, unit=unit) for unit in ("bytes", "bytes/h", "s"))
    found = Assessment(Verdict.LEAK, 120, evidence, reasons=(Phrase("confirmed_by_exhaustion", (43200.0,)),))
    told = counted(found)
    assert [test.unit for test in told.evidence] == ["count", "count/h", "s"]
    assert (told.unit, found.unit) == ("count", "")
    assert text(told.reasons) == "a rise over 12 h; the limit would be reached before it could be confirmed"
    gone = Assessment(Verdict.OK, 1, reasons=(Phrase("memory_given_back"),))
    assert (text(gone.reasons), text(counted(gone).reasons)) == (
        "the memory was given back", "most of them are gone again",
    )  # fmt: skip


def test_each_count_of_a_service_has_an_id_of_its_own() -> None:
    service = Service(ServiceKind.UNIT, "a.service").target
    targets = {count_target(service, metric) for metric in metrics.APART} | {service}
    assert len(targets) == len(metrics.APART) + 1


def test_sorts_are_told_by_what_grew_since_they_were_first_seen() -> None:
    sorts = Sorts()
    of = {name: (f"{metrics.PROCESS_FDS_OF}{name}", ONE) for name in ("socket", "file", "pipe")}
    sorts.note(1000, {of["socket"]: 10, of["file"]: 50})
    sorts.note(2000, {FDS: 70})  # a tick at which they were not told apart
    sorts.note(3000, {of["socket"]: 40, of["file"]: 49, of["pipe"]: 2})
    expected = (Sort("socket", 40, 30), Sort("pipe", 2, 2), Sort("file", 49, -1))
    assert sorts.of(FDS) == (expected, 1000)
    assert sorts.of((metrics.PROCESS_FDS, OTHER)) == ((), None)
    again = Sorts()
    ((metric, key, since_ms, first),) = sorts.to_values()
    assert (metric, key, since_ms) == (metrics.PROCESS_FDS, ONE.key, 1000)
    again.restore({FDS: (1000, first)})  # type: ignore[dict-item]
    assert again.of(FDS) == ((), None), "nothing is known of now"
    again.note(4000, {of["socket"]: 41})
    assert again.of(FDS)[0][0] == Sort("socket", 41, 31)
    sorts.keep([OTHER])
    assert sorts.of(FDS) == ((), None)
