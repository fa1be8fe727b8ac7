"""What the store keeps of findings, evaluation by evaluation."""

from __future__ import annotations

from dataclasses import replace

from leakwatch import metrics
from leakwatch.alerting.findings_log import ENDED_KEPT, REFRESH_MS, Changes, FindingsLog, LoggedFinding
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Verdict, said
from tests.monitoring.scrapes import MIB, START_MS

LEAK, WATCH, OK, LEARNING = Verdict.LEAK, Verdict.WATCH, Verdict.OK, Verdict.LEARNING
MINUTE_MS = 60_000


def finding(
    verdict: Verdict, *, id_: str = "s1", pid: int | None = 7, at: int = 0, kind: FindingKind = FindingKind.SERVICE
) -> Finding:
    assessment = Assessment(
        verdict, 100 * MIB, slope_bytes_per_hour=3.0 * MIB, slope_low=2.0 * MIB, slope_high=4.0 * MIB,
        since_ms=START_MS, grown_bytes=9 * MIB, reasons=said("why not"),
    )  # fmt: skip
    return Finding(
        id_, kind, "web.service", "process.uss_swap_bytes", assessment, pid, "web.service",
        evaluated_at_ms=START_MS + at * MINUTE_MS,
    )  # fmt: skip


def step(ledger: FindingsLog, at: int, *findings: Finding) -> Changes:
    return ledger.update(findings, START_MS + at * MINUTE_MS)


def test_suspects_are_written_at_every_look_and_the_others_once_an_hour() -> None:
    ledger, hour = FindingsLog(), REFRESH_MS // MINUTE_MS
    writes = {"s1": [], "s2": []}
    for at in range(hour + 2):
        for entry in step(ledger, at, finding(WATCH, at=at), finding(OK, id_="s2", at=at)).write:
            writes[entry.finding.id].append(at)
    assert writes["s1"] == list(range(hour + 2))
    assert writes["s2"] == [0, hour]


def test_a_changed_verdict_or_process_is_written_at_once() -> None:
    ledger = FindingsLog()
    step(ledger, 0, finding(OK))
    assert step(ledger, 1, finding(OK, at=1)).write == ()
    assert len(step(ledger, 2, finding(LEARNING, at=2)).write) == 1
    assert len(step(ledger, 3, finding(LEARNING, pid=8, at=3)).write) == 1


def test_what_ended_as_a_suspect_is_kept_with_the_time_and_the_rest_is_dropped() -> None:
    ledger = FindingsLog()
    step(ledger, 0, finding(LEAK), finding(OK, id_="s2"), finding(WATCH, id_="s3"), finding(LEARNING, id_="s4"))
    changes = step(ledger, 5)
    assert sorted(changes.drop) == ["s2", "s4"]
    assert {(e.finding.id, e.ended_ms) for e in changes.write} == {
        ("s1", START_MS + 5 * MINUTE_MS),
        ("s3", START_MS + 5 * MINUTE_MS),
    }
    assert step(ledger, 6) == Changes()


def test_a_total_that_its_parts_explain_has_not_ended() -> None:
    ledger = FindingsLog()
    total = replace(finding(LEAK, id_="h1", pid=None, kind=FindingKind.KERNEL), metric=metrics.KERNEL_SUNRECLAIM)
    cache = replace(finding(LEAK, id_="s2", pid=None, kind=FindingKind.KERNEL), metric="slab.active_bytes")
    step(ledger, 0, total)
    changes = step(ledger, 1, cache)
    assert [entry.finding.id for entry in changes.write] == ["s2"]
    assert changes.drop == ("h1",)
    assert step(ledger, 2).write[0].ended_ms is not None, "a cache that is missing has ended"


def test_a_leak_survives_the_restart_of_its_service_until_the_new_life_is_judged() -> None:
    # GIVEN a leaking service
    ledger = FindingsLog()
    step(ledger, 0, finding(LEAK, pid=7))
    # WHEN it is restarted and learns anew
    (kept,) = step(ledger, 1, finding(LEARNING, pid=8, at=1)).write
    # THEN the old finding stays, as one that ended, and stays so
    assert (kept.finding.assessment.verdict, kept.finding.pid, kept.ended_ms) == (LEAK, 7, START_MS + MINUTE_MS)
    assert step(ledger, 2, finding(LEARNING, pid=8, at=2)).write == ()
    # and the verdict on the new life takes its place
    changes = step(ledger, 3, finding(OK, pid=8, at=3))
    (new,) = changes.write
    assert (new.finding.pid, new.ended_ms) == (8, None)


def test_a_process_that_runs_on_and_learns_anew_has_not_ended() -> None:
    # As after the clock was set, or when it gave back what had grown.
    ledger = FindingsLog()
    step(ledger, 0, finding(LEAK, pid=7))
    (entry,) = step(ledger, 1, finding(LEARNING, pid=7, at=1)).write
    assert (entry.finding.assessment.verdict, entry.ended_ms) == (LEARNING, None)


def test_a_process_that_runs_on_has_not_ended_though_another_of_its_service_learns() -> None:
    # GIVEN a suspect whose growth stops, and a new process of its program
    ledger = FindingsLog()
    step(ledger, 0, finding(WATCH, pid=7))
    # WHEN the new one is what the service's finding tells of
    (entry,) = ledger.update([finding(LEARNING, pid=8, at=1)], START_MS + MINUTE_MS, {7, 8}).write
    # THEN the first is not said to have ended, as it would be were it gone
    assert (entry.finding.pid, entry.ended_ms) == (8, None)
    gone = FindingsLog([LoggedFinding(finding(WATCH, pid=7))])
    (kept,) = gone.update([finding(LEARNING, pid=8, at=1)], START_MS + MINUTE_MS, {8}).write
    assert (kept.finding.pid, kept.ended_ms) == (7, START_MS + MINUTE_MS)


def test_what_learns_is_written_when_there_is_twice_the_data_or_more_of_it_is_needed() -> None:
    # GIVEN a series that rises: the shortest window must be full before it is judged, which is known after 30 min
    ledger, written = FindingsLog(), []
    for at in range(1, 60):
        need_s = 1800.0 if at < 30 else 3600.0
        test = Criterion("enough_data", 60.0 * at, need_s, passed=False, unit="s", window_s=3600)
        one = finding(LEARNING, at=at)
        one = replace(one, assessment=replace(one.assessment, evidence=(test,)))
        # WHEN it is judged every minute
        written += [at] * len(step(ledger, at, one).write)
    # THEN what is stored is never less than half of the data there is, nor names a length that is not enough
    assert written == [1, 2, 4, 8, 16, 30]


def test_a_kernel_cache_that_learns_anew_has_no_old_life() -> None:
    ledger = FindingsLog()
    step(ledger, 0, finding(WATCH, pid=None, kind=FindingKind.KERNEL))
    (entry,) = step(ledger, 1, finding(LEARNING, pid=None, at=1, kind=FindingKind.KERNEL)).write
    assert entry.finding.assessment.verdict is LEARNING


def test_what_could_not_be_stored_is_stored_next_time() -> None:
    # GIVEN an evaluation that writes, ends and drops, and a store that is full
    ledger = FindingsLog()
    step(ledger, 0, finding(LEAK), finding(OK, id_="s2"), finding(OK, id_="s3"))
    lost = step(ledger, 1, finding(OK, id_="s3", at=1))
    assert (len(lost.write), lost.drop) == (1, ("s2",))
    ledger.forget(lost)
    # THEN the next one does it again, with the time of the end it had
    again = step(ledger, 2, finding(OK, id_="s3", at=2))
    assert [(e.finding.id, e.ended_ms) for e in again.write] == [("s1", START_MS + MINUTE_MS)]
    assert again.drop == ("s2",)
    assert step(ledger, 3, finding(OK, id_="s3", at=3)) == Changes()


def test_what_was_to_be_dropped_and_came_back_is_not_dropped() -> None:
    ledger = FindingsLog()
    step(ledger, 0, finding(OK))
    ledger.forget(step(ledger, 1))
    changes = step(ledger, 2, finding(OK, at=2))
    assert changes.drop == ()
    assert [entry.finding.id for entry in changes.write] == ["s1"]


def test_an_ended_finding_in_the_store_is_not_ended_again() -> None:
    entry = LoggedFinding(finding(LEAK), START_MS + 5)
    assert step(FindingsLog([entry]), 9) == Changes()


def test_a_new_store_is_told_everything() -> None:
    # GIVEN findings the store that was set aside knew
    ledger = FindingsLog()
    step(ledger, 0, finding(LEAK), finding(OK, id_="s2"))
    # WHEN another store is begun
    ledger.forget_all()
    changes = step(ledger, 1, finding(LEAK, at=1), finding(OK, id_="s2", at=1))
    # THEN it gets all of them
    assert [entry.finding.id for entry in changes.write] == ["s1", "s2"]


def test_of_suspects_that_ended_the_newest_are_remembered_and_none_is_dropped() -> None:
    # GIVEN a suspect a minute, each gone a minute later
    ledger = FindingsLog()
    for at in range(ENDED_KEPT + 50):
        assert not step(ledger, at, finding(LEAK, id_=f"s{at}", at=at)).drop
    assert len(ledger._entries) <= ENDED_KEPT + 2
    # WHEN one that is remembered, and one that is not, come back to learn
    kept, forgotten = f"s{ENDED_KEPT + 40}", "s3"
    changes = step(ledger, 300, *(finding(LEARNING, id_=id_, pid=9) for id_ in (kept, forgotten)))
    written = {entry.finding.id: entry for entry in changes.write}
    # THEN what the first was is still told, and the second begins anew
    assert kept not in written
    assert (written[forgotten].finding.assessment.verdict, written[forgotten].ended_ms) == (LEARNING, None)


def test_what_ended_and_could_not_be_stored_is_not_forgotten() -> None:
    ledger = FindingsLog()
    for at in range(ENDED_KEPT + 50):
        ledger.forget(step(ledger, at, finding(LEAK, id_=f"s{at}", at=at)))
    assert len(step(ledger, 300).write) == ENDED_KEPT + 50


def test_how_many_processes_are_read_is_written_when_it_changes() -> None:
    ledger = FindingsLog()
    for at, read in enumerate((1, 1, 2, None, None)):
        one = replace(finding(LEARNING, at=10 + at), processes=None if read is None else 9, processes_read=read)
        assert len(step(ledger, 10 + at, one).write) == (at in (0, 2, 3))
