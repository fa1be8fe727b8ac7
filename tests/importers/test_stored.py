"""Stored history as captures: the values the daemon judged, under the names files use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import array_of
from leakwatch.analysis.findings.process_table import ProcessTable
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.series.derived import judged_values
from leakwatch.config import IgnoreConfig
from leakwatch.importers.store import stored_captures
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape, Tick
from leakwatch.store.files.open import open_writer
from leakwatch.store.read.reader import Reader
from tests.importers.csv_files import Series, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leakwatch.analysis.replay.capture import Capture

START_MS = 1_790_000_000_000
MINUTE_MS = 60_000
WEB = Service(ServiceKind.UNIT, "web.service")
IGNORE = IgnoreConfig(processes=("hidden",), kernel=("quiet-*",))


def process(pid: int, name: str, service: Service | None = WEB, ticks: int = 7) -> ProcessInfo:
    return ProcessInfo(ProcessIdentity("boot", pid, ticks), name, f"/usr/bin/{name}", 0, service)


MASTER, WORKER, ANONYMOUS = process(1, "nginx"), process(2, "nginx"), process(3, "secret", None)
ODD, HIDDEN, AGAIN = process(4, "\udcff\x1b"), process(5, "hidden", None), process(2, "nginx", ticks=9)


def at(minute: int) -> Scrape:
    """Return the scrape of a minute: a worker that lives from 2 to 5, and a later one with its pid and name."""
    there = [MASTER, ANONYMOUS, ODD, HIDDEN]
    there += [WORKER] if 2 <= minute < 6 else []
    there += [AGAIN] if minute >= 8 else []
    samples = [Sample(m, HOST, (minute + 1) << 20) for m in ("kernel.mem_available_bytes", metrics.KERNEL_SUNRECLAIM)]
    samples += [Sample("kernel.mem_total_bytes", HOST, 1 << 30), Sample("kernel.cached_bytes", HOST, 5)]
    samples += [
        Sample(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "dentry"), minute),
        Sample(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "quiet-1"), minute),
        Sample(metrics.SLAB_PAGES, Target(TargetKind.SLAB, "dentry"), minute + 1),
        Sample(metrics.SLAB_RECLAIMABLE, Target(TargetKind.SLAB, "dentry"), 1),
        Sample(metrics.SLAB_OBJECT, Target(TargetKind.SLAB, "dentry"), 192),
        Sample(metrics.SLAB_OBJECTS, Target(TargetKind.SLAB, "dentry"), 21),
        Sample(metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, "alloc+0x1"), 3 * minute),
    ]
    for info in there:
        metric = metrics.PROCESS_ANON if info is ANONYMOUS else metrics.PROCESS_USS
        if (info, minute) != (WORKER, 3):  # once it could not be read: then the service has no sum
            samples.append(Sample(metric, info.identity.target, 100 * info.identity.pid + minute))
        samples.append(Sample(metrics.PROCESS_SWAP, info.identity.target, 10_000))
        samples.append(Sample(metrics.PROCESS_RSS, info.identity.target, 1))
        if info is not WORKER and minute % 5 == 0:
            samples.append(Sample(metrics.PROCESS_FDS, info.identity.target, 10 + minute))
    samples += [Sample(metrics.IPC_MSG_QUEUES, HOST, 3), Sample(metrics.TMPFS_ORPHANS, HOST, 4096)]
    tick = Tick(START_MS + minute * MINUTE_MS, "boot")
    return Scrape(tick, tuple(samples), tuple(there), (CollectorOutcome("processes", 1, len(there)),))


SCRAPES = [at(minute) for minute in range(12)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "leakwatch.db"
    writer = open_writer(path, START_MS)
    for scrape in SCRAPES:
        writer.write_scrape(scrape)
    writer.close()
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    reader = Reader(path)
    yield reader
    reader.close()


@pytest.fixture
def found(reader: Reader) -> dict[str, Capture]:
    return {one.name: one for one in stored_captures(reader, IGNORE)}


def judged_live() -> list[Series]:
    """Return what the daemon feeds its detector with, series by series."""
    process_table, out = ProcessTable(IGNORE), defaultdict(list)
    for scrape in SCRAPES:
        process_table.update(scrape.processes)
        values = {(sample.metric, sample.target): sample.value for sample in scrape.samples}
        there = {HOST, *(target for target, _ in process_table.services())}
        counts = {key: value for key, value in values.items() if key[0] in metrics.COUNTS and key[1] in there}
        for key, value in (judged_values(values, process_table.services()) | counts).items():
            if key[1].key != "quiet-1":
                out[key].append((scrape.tick.ts_ms, float(value)))
    return list(out.values())


def test_the_values_are_those_that_were_judged_live(found: dict[str, Capture]) -> None:
    assert sorted(series(list(found.values())).values()) == sorted(judged_live())


def test_names_are_those_of_files(found: dict[str, Capture]) -> None:
    assert set(found) == {
        "proc/nginx[1]", "proc/nginx[2]", "proc/nginx[2]#2", "proc/secret[3]/anon", "proc/\udcff\x1b[4]",
        "group/web.service", "slab/dentry", "vmalloc/alloc+0x1", "kernel/SUnreclaim", "kernel/unavailable",
        "proc/nginx[1]/fds", "proc/nginx[2]/fds", "proc/secret[3]/fds", "proc/\udcff\x1b[4]/fds",
        "kernel/ipc.msg_queues", "kernel/tmpfs.orphan_bytes",
    }  # fmt: skip


def test_subjects_know_the_service_that_the_name_does_not_tell(found: dict[str, Capture]) -> None:
    assert found["proc/nginx[2]#2"].subject.service == found["proc/nginx[1]"].subject.service == "proc/web.service"
    assert found["proc/nginx[2]#2"].subject.lifetime == 2
    assert found["proc/secret[3]/anon"].subject.service == "proc/secret/anon"
    assert found["group/web.service"].subject.kind is SubjectKind.GROUP
    assert found["slab/dentry"].subject.reclaimable is True


def test_what_the_kernel_notes_of_reclaimable_objects_is_known(found: dict[str, Capture]) -> None:
    assert found["slab/dentry"].array == array_of(21, 192)
    assert found["vmalloc/alloc+0x1"].array is None


def test_counts_are_known_as_such(found: dict[str, Capture]) -> None:
    files, queues = found["proc/nginx[1]/fds"].subject, found["kernel/ipc.msg_queues"].subject
    assert (files.count, files.service, files.owner) == (metrics.PROCESS_FDS, "proc/web.service/fds", "web.service")
    assert queues.count == metrics.IPC_MSG_QUEUES
    assert found["proc/nginx[1]"].subject.count == ""


def test_a_sum_is_left_out_when_one_could_not_be_read(found: dict[str, Capture]) -> None:
    minutes = (found["group/web.service"].times_ms - START_MS) // MINUTE_MS
    assert minutes.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert found["proc/nginx[2]"].values.tolist() == [10202, 10204, 10205]


def test_only_the_time_asked_for(reader: Reader) -> None:
    since, until = START_MS + 6 * MINUTE_MS, START_MS + 8 * MINUTE_MS
    names = {one.name: one for one in stored_captures(reader, IGNORE, since, until)}
    assert names["slab/dentry"].values.tolist() == [6.0, 7.0]
    assert "proc/nginx[2]" not in names
    assert stored_captures(reader, IGNORE, until_ms=START_MS) == []


def test_what_is_not_judged_is_read_when_it_is_not_ignored(reader: Reader) -> None:
    names = {one.name for one in stored_captures(reader, IgnoreConfig())}
    assert {"slab/quiet-1", "proc/hidden[5]"} <= names
    assert not any("cached" in name.lower() for name in names)


def test_the_order_is_that_of_sampling_when_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = open_writer(path, START_MS)
    for minute, shown in enumerate((0, 1, 2, 1, 1, 3)):
        tick = Tick(START_MS + shown * MINUTE_MS, "boot", clock_step_ms=-MINUTE_MS * (minute == 3))
        writer.write_scrape(replace(at(minute), tick=tick))
    writer.close()
    reader = Reader(path)
    one = next(one for one in stored_captures(reader, IGNORE) if one.name == "slab/dentry")
    reader.close()
    assert ((one.times_ms - START_MS) // MINUTE_MS).tolist() == [0, 1, 2, 1, 3]
    assert one.values.tolist() == [0, 1, 2, 4, 5]
