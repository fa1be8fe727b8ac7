"""Series of classes of memory in the store: they end with their process, expire with it, and are read at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.model.memory_class import class_target
from leakwatch.model.sample import Sample, Scrape
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Verdict
from leakwatch.queries.report import growths
from leakwatch.store.maintenance import sealing
from leakwatch.store.maintenance.retention import RetentionLimits, purge
from leakwatch.store.maintenance.sealing import merge, seal
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, DAY_MS, MINUTE_MS, USS, nameless, process, rows, scrape

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
LOOK_EVERY = 5
NO_LIMIT = 1 << 40


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten scrapes make a seal and four seals a merged one."""
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)


def looked(number: int, pids: range = range(1, 4), *, ts_ms: int | None = None) -> Scrape:
    """Return a scrape; in every fifth process 1 was looked into, whose heap grows by 1 MiB a scrape."""
    made = scrape(number, pids, ts_ms=ts_ms)
    if number % LOOK_EVERY or 1 not in pids:
        return made
    target = process(1).identity.target
    values = {"heap": (10 + number) * MIB, "stack": 8192} | ({"memfd:late": 7} if number > 50 else {})
    samples = [
        Sample(metric, class_target(target, key), value)
        for key, held in values.items()
        for metric, value in ((metrics.CLASS_HELD, held), (metrics.CLASS_MAPPINGS, 1))
    ]
    return replace(made, samples=(*made.samples, *samples))


def fill(writer: Writer, first: int, last: int) -> None:
    for number in range(first, last):
        writer.write_scrape(looked(number))


def finding(pid: int | None, service: str = "s1.service", verdict: Verdict = Verdict.LEAK) -> Finding:
    assessment = Assessment(verdict, 1)
    return Finding(f"s{pid}", FindingKind.SERVICE, service, "m", assessment, pid=pid, service=service)


def living(store: Path) -> list[tuple[object, ...]]:
    return rows(store, "SELECT key, last_ms FROM target WHERE kind = 'class' ORDER BY key")


def test_they_end_with_their_process(writer: Writer) -> None:
    fill(writer, 0, 6)
    key = process(1).identity.target.key
    assert living(writer.path) == [(f"{key}|heap", None), (f"{key}|stack", None)]
    writer.write_scrape(scrape(6, range(2, 4)))
    ended_ms = BASE_MS + 6 * MINUTE_MS
    assert living(writer.path) == [(f"{key}|heap", ended_ms), (f"{key}|stack", ended_ms)]


def test_they_live_on_over_a_restart_of_the_writer(store: Path) -> None:
    for first in (0, 6):
        writer = Writer(store)
        fill(writer, first, first + 6)
        writer.close()
    assert [last_ms for _, last_ms in living(store)] == [None, None]
    reader = Reader(store)
    found = reader.samples(metrics.CLASS_HELD, class_target(process(1).identity.target, "heap"))
    assert found == [(BASE_MS + n * MINUTE_MS, (10 + n) * MIB) for n in (0, 5, 10)]
    reader.close()


def test_they_expire_with_their_process(writer: Writer) -> None:
    for day in range(40):
        made = looked(day * LOOK_EVERY, range(1, 3) if day < 5 else range(2, 4), ts_ms=BASE_MS + day * DAY_MS)
        writer.write_scrape(made)
    assert len(living(writer.path)) == 2
    limits = RetentionLimits(14 * 86_400, 90 * 86_400, NO_LIMIT, NO_LIMIT, NO_LIMIT)
    purge(writer, limits, now_ms=BASE_MS + 40 * DAY_MS, interval_s=86_400.0)
    assert living(writer.path) == []
    assert nameless(writer.path) == set()


@pytest.mark.parametrize("sealed", [False, True])
def test_several_are_read_at_once_as_one_by_one(writer: Writer, *, sealed: bool) -> None:
    fill(writer, 0, 57)
    if sealed:
        seal(writer)
        while merge(writer, NO_LIMIT):
            pass
        fill(writer, 57, 63)
    reader = Reader(writer.path)
    series = reader.all_series()
    at_once = reader.pasts(series.keys())
    assert at_once.keys() == series.keys()
    for number, (metric, target) in series.items():
        past = reader.past(metric, target)
        assert past is not None
        assert (at_once[number].times_ms, at_once[number].values) == (past.times_ms, past.values), metric
    assert len(at_once[next(n for n, (metric, _) in series.items() if metric == USS)].values) > 50
    assert reader.pasts([]) == {}
    reader.close()


def test_what_grows_is_told_from_the_store(writer: Writer) -> None:
    fill(writer, 0, 61)
    reader = Reader(writer.path)
    found = growths(reader, [finding(1), finding(2), finding(1, verdict=Verdict.OK), finding(None)])
    assert found.keys() == {"s1", "sNone"}
    heap, *others = found["s1"].classes
    assert heap.key == "heap"
    assert heap.slope_bytes_per_hour == pytest.approx(60 * MIB)
    assert heap.share == pytest.approx(1.0)
    assert heap.held_bytes == 70 * MIB
    assert {one.key for one in others} == {"stack", "memfd:late"}
    assert found["s1"].reads == 13
    assert found["sNone"] == found["s1"], "the one process of the service that was looked into"
    reader.close()


def test_what_grew_is_told_of_one_that_has_ended(writer: Writer) -> None:
    fill(writer, 0, 11)
    writer.write_scrape(scrape(11, range(2, 4)))
    reader = Reader(writer.path)
    assert growths(reader, [finding(1)])["s1"].classes[0].key == "heap"
    reader.close()


def test_nothing_was_looked_into(writer: Writer) -> None:
    writer.write_scrape(scrape(1))
    reader = Reader(writer.path)
    assert growths(reader, [finding(1)]) == {}
    assert growths(reader, []) == {}
    reader.close()
