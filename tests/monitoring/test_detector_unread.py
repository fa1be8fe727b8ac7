"""A service not all of whose processes are read: a lower bound with estimates, said so, and never ok."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakwatch import metrics
from leakwatch.analysis.series.derived import judged_values, unread
from leakwatch.model.identity import ProcessInfo, Service, ServiceKind
from leakwatch.model.sample import Sample, Scrape
from leakwatch.model.verdict import FindingKind, Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.estimate_guard import WAITS
from leakwatch.report import json_report, words
from leakwatch.report.build import ReportRow
from leakwatch.report.phrases import text
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, NoLimits, leak, names, process, unit

POOL = unit("pool.service")
ORPHANS = [process(pid, "orphan", POOL) for pid in range(1, 61)]
UNREAD = {info.identity.target for info in ORPHANS[1:]}


def waiting(scrape: Scrape, those: set[object], instead: str = metrics.PROCESS_UNREAD) -> Scrape:
    """The scrape with the processes not read fully: an estimate stands for each."""
    samples = tuple(
        Sample(instead, one.target, one.value, estimated=True)
        if one.target in those and one.metric == metrics.PROCESS_USS
        else one
        for one in scrape.samples
    )
    return replace(scrape, samples=samples)


def watched(machine: Machine, those: set[object], seconds: int = 180, instead: str = metrics.PROCESS_UNREAD):
    detector = Detector(MINUTES, NoLimits())
    for at in range(seconds):
        detector.feed(waiting(machine.scrape(at), those, instead))
        if at % 5 == 4:
            evaluation = detector.evaluate(START_MS + at * 1000)
    return evaluation


@pytest.mark.parametrize("instead", [metrics.PROCESS_UNREAD, metrics.PROCESS_ANON])
def test_sixty_orphans_of_which_one_is_read_are_not_ok(instead: str) -> None:
    # GIVEN a service of 60 processes of 264 MiB, of which one, of 4 MiB, is read; the others wait, or refuse it
    machine = Machine({info: (4 if at == 0 else 264) * MIB for at, info in enumerate(ORPHANS)})
    (finding,) = watched(machine, UNREAD, instead=instead).findings
    # THEN it is told by the sum, which is said to be the least it can be
    assert finding.assessment.verdict is Verdict.LEARNING
    assert finding.assessment.current_bytes == (4 + 59 * 264) * MIB
    assert text(finding.assessment.reasons) == (
        "at least 15.2 GiB: 1 of 60 processes is read, the others count by an estimate"
    )
    row = ReportRow(finding)
    assert words.where(row, finding.evaluated_at_ms).startswith("USS + swap of all processes: at least 15.2 GiB now")
    told = json_report.finding(row, START_MS)
    assert (told["lower_bound"], told["processes"], told["processes_read"]) == (True, 60, 1)


def test_it_is_ok_once_all_are_read() -> None:
    machine = Machine(dict.fromkeys(ORPHANS, 264 * MIB))
    (finding,) = watched(machine, set()).findings
    assert (finding.assessment.verdict, finding.assessment.current_bytes) == (Verdict.OK, 60 * 264 * MIB)
    assert not finding.is_lower_bound


def test_a_service_none_of_whose_processes_is_read_is_told_of() -> None:
    machine = Machine(dict.fromkeys(ORPHANS, 264 * MIB))
    (finding,) = watched(machine, {info.identity.target for info in ORPHANS}).findings
    assert (finding.kind, finding.name, finding.pid) == (FindingKind.SERVICE, "pool.service", None)
    assert (finding.assessment.verdict, finding.processes, finding.processes_read) == (Verdict.LEARNING, 60, 0)


def test_growth_of_those_not_read_is_found_and_called_a_leak_only_once_they_are() -> None:
    # GIVEN processes that are never read and grow together, each too slowly to be told apart
    machine = Machine({info: leak(MIB // 8) if at else 4 * MIB for at, info in enumerate(ORPHANS[:20])})
    evaluation = watched(machine, UNREAD)
    (finding,) = evaluation.findings
    assert finding.assessment.verdict is Verdict.WATCH
    assert finding.assessment.reasons[0] == WAITS
    # THEN they are asked for
    assert {info.identity.target for info in ORPHANS[1:20]} <= evaluation.suspects


def test_a_process_that_refuses_alone_in_its_service_is_judged_by_its_anonymous_memory() -> None:
    alone = process(1, "daemon")
    evaluation = watched(Machine({alone: 30 * MIB}), {alone.identity.target}, instead=metrics.PROCESS_ANON)
    assert names(evaluation) == {"daemon": "ok"}
    assert [finding.metric for finding in evaluation.findings] == [metrics.PROCESS_ANON_SWAP]


def test_a_sum_is_the_same_whoever_derives_it() -> None:
    # GIVEN the samples of a scrape as a store gives them back
    one, other, gone = (process(pid, "w", Service(ServiceKind.PROGRAM, "w")) for pid in (1, 2, 3))
    values = {
        (metrics.PROCESS_USS, one.identity.target): 10,
        (metrics.PROCESS_UNREAD, other.identity.target): 20,
        (metrics.PROCESS_SWAP, other.identity.target): 5,
    }

    def services(*infos: ProcessInfo) -> list[tuple[object, Service | None]]:
        return [(info.identity.target, info.service) for info in infos]

    key = metrics.SERVICE_USS_SWAP, one.service.target if one.service else None
    assert judged_values(values, services(one, other))[key] == 35
    assert unread(values, services(one, other)) == {other.identity.target}
    # AND where nothing at all is known of one, there is no sum
    assert key not in judged_values(values, services(one, other, gone))
