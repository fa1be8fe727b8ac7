"""What the writer is given is what a reader gets."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreWriteError
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import AbsenceReason, Block, CollectorOutcome, Sample, Scrape, SealedBlock, Tick
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Trend, Verdict, said
from tests.store.storetools import BASE_MS, MINUTE_MS, RSS, SERVICE, USS, block, change, process, rows, scrape

if TYPE_CHECKING:
    from pathlib import Path

    from leakwatch.store.read.reader import Reader
    from leakwatch.store.writer import Writer

ONE = process(1).identity.target


def finding(id_: str = "unit:a", verdict: Verdict = Verdict.LEAK) -> Finding:
    assessment = Assessment(
        verdict,
        123,
        evidence=(Criterion("rate", 5.5, 1.0, passed=True, unit="bytes/h", window_s=3600),),
        windows=(Trend(3600, 3500, 12, 5.5, 5.0, 6.0, verdict, "ramp"),),
        slope_bytes_per_hour=5.5,
        since_ms=BASE_MS,
        confidence=0.9,
        reasons=said("grows «steadily»"),
    )
    return Finding(id_, FindingKind.PROCESS, "näme\udcff", USS, assessment, pid=7, service="a", evaluated_at_ms=BASE_MS)


def test_scrapes_come_back_with_their_samples_in_order(writer: Writer, reader: Reader) -> None:
    # GIVEN scrapes of several processes and the host
    for number in (1, 2, 3):
        writer.write_scrape(scrape(number))
    # WHEN they are read
    heads = reader.scrapes_since(BASE_MS + 2 * MINUTE_MS)
    got = {head.ts_ms: values for head, values in reader.samples_of(heads)}
    # THEN every sample is there, at its time, and the early scrape is left out
    assert list(got) == [BASE_MS + 2 * MINUTE_MS, BASE_MS + 3 * MINUTE_MS]
    assert got[BASE_MS + 3 * MINUTE_MS] == {(s.metric, s.target): s.value for s in scrape(3).samples}
    assert reader.samples(RSS, ONE) == [(BASE_MS + n * MINUTE_MS, -n) for n in (1, 2, 3)]
    first, last = reader.first_scrape(), reader.last_scrape()
    assert first is not None
    assert last is not None
    assert (first.id, last.id, last.duration_us) == (1, 3, 5)


def test_what_was_irregular_comes_back(writer: Writer, reader: Reader) -> None:
    outcome = CollectorOutcome("slab", 10, 0, {AbsenceReason.DENIED: 2}, examples=("/proc/slabinfo: EACCES",), error="")
    tick = Tick(BASE_MS, "boot-a", late_ms=3, missed=2, suspended_ms=1000, clock_step_ms=-500)
    writer.write_scrape(Scrape(tick, (), (), (outcome, CollectorOutcome("vmalloc", 1, 0, error="boom"))))
    irregular = reader.irregularities(0)
    last = reader.last_scrape()
    assert last is not None
    assert (irregular.missed, irregular.suspended_ms, irregular.clock_stepped_ms, irregular.latest_ms) == (
        2,
        1000,
        500,
        3,
    )
    assert last.notes == {"slab": ["/proc/slabinfo: EACCES"], "vmalloc": ["boom"]}
    assert last.clock_step_ms == -500


def test_an_empty_store_answers_every_question(writer: Writer, reader: Reader) -> None:
    assert reader.last_scrape() is None
    assert reader.first_scrape() is None
    assert reader.findings() == []
    assert reader.findings([]) == []
    assert reader.finding_counts() == {}
    assert reader.states() == {}
    assert reader.incidents() == []
    assert reader.incident_events("i1") == []
    assert reader.suspicions() == {}
    assert reader.processes() == []
    assert list(reader.blocks(300, 0)) == []
    assert reader.irregularities(0).scrapes == 0
    assert list(reader.samples_of([])) == []


def test_a_block_that_is_completed_replaces_its_first_half(writer: Writer, reader: Reader) -> None:
    writer.write_scrape(scrape(1), [block(1, BASE_MS), block(1, BASE_MS + 300_000), block(1, BASE_MS, span_s=1200)])
    whole = replace(block(1, BASE_MS), block=Block(BASE_MS, 9, 0.5, 2.5, 9.0, 8.5))
    writer.write_blocks([whole], BASE_MS)
    assert list(reader.blocks(300, 0)) == [whole, block(1, BASE_MS + 300_000)]
    assert list(reader.blocks(300, BASE_MS + 1)) == [block(1, BASE_MS + 300_000)]


def test_findings_suspicions_and_states_are_replaced_and_dropped(writer: Writer, reader: Reader) -> None:
    # GIVEN what an evaluation says
    key = (USS, ONE)
    writer.write_scrape(scrape(1))
    writer.write_evaluation([(finding(), None), (finding("b"), 6)], {key: "{}"}, {"daemon": {"pid": 1}}, BASE_MS)
    stored = {one.finding.id: one for one in reader.findings()}
    assert stored["unit:a"].finding == finding()
    assert (stored["unit:a"].ended_ms, stored["b"].ended_ms) == (None, 6)
    assert reader.finding_counts() == {"leak": 1}
    assert reader.suspicions() == {key: "{}"}
    # WHEN the next one says otherwise
    writer.write_evaluation([(finding(verdict=Verdict.OK), None)], {key: None}, {"daemon": {"pid": 2}}, BASE_MS)
    writer.drop_findings(["b"])
    # THEN only the new is there
    assert [one.finding.assessment.verdict for one in reader.findings()] == [Verdict.OK]
    assert reader.findings(["leak"]) == []
    assert reader.suspicions() == {}
    assert reader.states() == {"daemon": {"pid": 2}}


def test_thousands_of_suspicions_and_findings_are_dropped_at_once(writer: Writer, reader: Reader) -> None:
    # GIVEN more than a statement takes parameters
    targets = [process(pid).identity.target for pid in range(3000)]
    writer.write_evaluation([(finding(str(n)), None) for n in range(3000)], {}, {}, BASE_MS)
    writer.write_evaluation([], {(USS, target): "{}" for target in targets}, {}, BASE_MS)
    assert len(reader.suspicions()) == len(reader.findings()) == 3000
    writer.write_evaluation([], {(USS, target): None for target in targets}, {}, BASE_MS)
    writer.drop_findings([str(n) for n in range(3000)])
    assert reader.suspicions() == {}
    assert reader.findings() == []


def test_a_finding_that_cannot_be_read_is_left_out(
    writer: Writer, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    writer.write_evaluation([(finding(str(n)), None) for n in range(4)], {}, {"a": 1, "b": 2}, BASE_MS)
    change(
        writer.path,
        "UPDATE finding SET payload = 'x{' WHERE id = '0'",
        """UPDATE finding SET payload = json_set(payload, '$.new_field', 1) WHERE id = '1'""",
        """UPDATE finding SET payload = '[]' WHERE id = '2'""",
        "UPDATE state SET value = 'x{' WHERE key = 'a'",
    )
    assert [one.finding.id for one in reader.findings()] == ["3"]
    assert reader.states() == {"b": 2}
    assert caplog.text.count("is left out") == 4


def test_names_that_are_not_utf8_come_back(writer: Writer, reader: Reader) -> None:
    # GIVEN names as the kernel may give them (a process writes what it likes to /proc/self/comm)
    info = ProcessInfo(
        ProcessIdentity("boot-a", 9, 9),
        "a\udcff\x00\n'\"",
        "arg\udc80 ü 火",
        None,
        Service(ServiceKind.CGROUP, "/x\udcfe"),
    )
    slab = Target(TargetKind.SLAB, "cache\udcff")
    outcome = CollectorOutcome("processes", 1, 1, examples=("\udcff",))
    samples = (Sample(USS, info.identity.target, 1), Sample("kernel.slab", slab, 2))
    # WHEN they are stored twice, the second time by a writer that must find them
    for ts_ms in (BASE_MS, BASE_MS + 1):
        writer.write_scrape(Scrape(Tick(ts_ms, "boot-a"), samples, (info,), (outcome,)))
        writer._catalog = None
    # THEN they are the same and one
    assert reader.processes() == [info]
    assert reader.samples("kernel.slab", slab) == [(BASE_MS, 2), (BASE_MS + 1, 2)]
    assert len(rows(writer.path, "SELECT 1 FROM target WHERE kind = 'slab'")) == 1


def test_a_counter_beyond_what_sqlite_holds_is_left_out(writer: Writer, reader: Reader) -> None:
    values = (2**63 - 1, -(2**63 - 1), 2**63, 2**64 - 1)
    targets = [Target(TargetKind.SLAB, str(value)) for value in values]
    samples = tuple(Sample("kernel.slab", target, value) for target, value in zip(targets, values, strict=True))
    writer.write_scrape(Scrape(Tick(BASE_MS, "boot-a"), (*samples, Sample("m", HOST, 1)), (), ()))
    stored = [reader.samples("kernel.slab", target) for target in targets]
    assert stored == [[(BASE_MS, values[0])], [(BASE_MS, values[1])], [], []]
    assert reader.samples("m", HOST) == [(BASE_MS, 1)]


def test_unchanged_processes_are_not_written_again(writer: Writer, reader: Reader) -> None:
    # GIVEN a scrape stored
    writer.write_scrape(scrape(1))
    driver = writer._connection.driver
    assert driver is not None
    before = driver.total_changes
    # WHEN the same processes come again
    writer.write_scrape(scrape(2))
    # THEN only the scrape and its samples are written, a row each
    assert driver.total_changes - before == 2
    # AND an exec, which keeps the identity, is
    renamed = replace(scrape(3), processes=(process(1, name="sh", command="/bin/sh"), *scrape(3).processes[1:]))
    writer.write_scrape(renamed)
    assert {info.name for info in reader.processes()} == {"sh", "p2", "p3", "p4", "p5"}


def test_targets_end_and_services_come_back(writer: Writer, reader: Reader) -> None:
    # GIVEN processes 1..5 and a block of a service
    sealed = SealedBlock("service.uss_swap_bytes", SERVICE, 300, BASE_MS, block(1, BASE_MS).block)
    writer.write_scrape(scrape(1), [sealed])
    # WHEN only process 3, of another service, is left
    writer.write_scrape(scrape(2, range(3, 4)))
    # THEN the others have ended at that time, with their services
    ended = rows(writer.path, "SELECT kind, key, last_ms FROM target WHERE last_ms IS NOT NULL ORDER BY kind, id")
    assert [row[0] for row in ended] == ["process"] * 4 + ["service"]
    assert {row[2] for row in ended} == {BASE_MS + 2 * MINUTE_MS}
    assert [info.identity.pid for info in reader.processes()] == [3]
    assert list(reader.blocks(300, 0)) == []
    # AND when the service is there again, it is the one it was
    again = replace(sealed, block=replace(sealed.block, start_ms=BASE_MS + 300_000))
    writer.write_scrape(scrape(3, range(4, 5)), [again])
    assert list(reader.blocks(300, 0)) == [sealed, again]
    assert rows(writer.path, "SELECT count(*) FROM target WHERE kind = 'service'") == [(1,)]


def test_nobody_ends_while_the_list_of_processes_cannot_be_read(writer: Writer, reader: Reader) -> None:
    writer.write_scrape(scrape(1))
    failed = (CollectorOutcome("processes", 1, 0, error="cannot list /proc"),)
    writer.write_scrape(replace(scrape(2), processes=(), outcomes=failed))
    assert len(reader.processes()) == 5


def test_a_new_boot_ends_every_process_of_the_old(writer: Writer, reader: Reader) -> None:
    writer.write_scrape(scrape(1))
    writer.write_scrape(scrape(2, boot="boot-b"))
    assert {info.identity.boot_id for info in reader.processes()} == {"boot-b"}
    assert rows(writer.path, "SELECT boot_id FROM boot ORDER BY id") == [("boot-a",), ("boot-b",)]
    heads = reader.scrapes_since(0)
    assert [head.boot for head in heads] == [1, 2]
    assert reader.samples(USS, ONE) == [(BASE_MS + MINUTE_MS, 1001)]


def test_the_store_is_its_owner_s_alone(tmp_path: Path) -> None:
    from leakwatch.store.files.lock import StoreLock
    from leakwatch.store.files.open import open_writer

    # GIVEN no directory yet
    path = tmp_path / "deep" / "state" / "leakwatch.db"
    with pytest.raises(StoreWriteError, match="cannot be created"):
        open_writer(path, BASE_MS)
    # WHEN a daemon makes it
    lock = StoreLock(path)
    writer = open_writer(path, BASE_MS)
    writer.write_scrape(scrape(1))
    # THEN nobody else may look into any file of it
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (path.parent, *path.parent.iterdir())}
    writer.close()
    lock.release()
    names = ("leakwatch.db", "leakwatch.db-shm", "leakwatch.db-wal", "leakwatch.db.lock")
    assert modes == {"state": 0o700, **dict.fromkeys(names, 0o600)}
