"""Who a service's finding names."""

from __future__ import annotations

from leakwatch import metrics
from leakwatch.analysis.findings.services_and_kernel import Member, finding_id, service_finding
from leakwatch.model.identity import ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.verdict import AssessedSeries, Assessment, FindingKind, Verdict
from leakwatch.report.phrases import text

PROGRAM = Service(ServiceKind.PROGRAM, "python3 worker.py")


def member(pid: int, verdict: Verdict, slope: float) -> Member:
    info = ProcessInfo(ProcessIdentity("boot", pid, 1), f"worker-{pid}", "python3 worker.py", 0, PROGRAM)
    return Member(info, AssessedSeries(metrics.PROCESS_USS_SWAP, info.identity.target, judged(verdict, slope)))


def judged(verdict: Verdict, slope: float) -> Assessment:
    return Assessment(verdict, 10**8, slope_bytes_per_hour=slope)


def total(verdict: Verdict, slope: float) -> AssessedSeries:
    return AssessedSeries(metrics.SERVICE_USS_SWAP, PROGRAM.target, judged(verdict, slope))


def test_one_leak_among_the_watched_is_named_with_its_own_rate() -> None:
    # GIVEN a program run twice, once leaking and once filling up
    members = [member(1, Verdict.LEAK, 7e8), member(2, Verdict.WATCH, 2e8), member(3, Verdict.OK, 0.0)]
    # WHEN their sum leaks as well, faster than the leak
    finding = service_finding(PROGRAM, members, total(Verdict.LEAK, 9e8))
    # THEN the finding is the process's, with the rate that is its
    assert (finding.kind, finding.pid, finding.assessment.slope_bytes_per_hour) == (FindingKind.PROCESS, 1, 7e8)
    assert "2 of 3 processes grow" in text(finding.notes)


def test_workers_that_leak_together_are_one_service() -> None:
    members = [member(1, Verdict.LEAK, 1e8), member(2, Verdict.LEAK, 2e8)]
    finding = service_finding(PROGRAM, members, total(Verdict.LEAK, 3e8))
    assert (finding.kind, finding.pid, finding.assessment.slope_bytes_per_hour) == (FindingKind.SERVICE, 2, 3e8)


def test_a_pool_whose_sum_alone_grows_names_no_process() -> None:
    members = [member(1, Verdict.OK, 1e3), member(2, Verdict.OK, 1e3)]
    finding = service_finding(PROGRAM, members, total(Verdict.LEAK, 3e8))
    assert (finding.kind, finding.pid) == (FindingKind.SERVICE, None)


def test_a_finding_of_any_name_has_an_id() -> None:
    """Stores of before have names with bytes that were not UTF-8; spelled out they are the same finding."""
    raw, spelled = Target(TargetKind.SLAB, "caf\udce9"), Target(TargetKind.SLAB, "caf\\xe9")
    assert finding_id(raw) == finding_id(spelled) != finding_id(Target(TargetKind.SLAB, "caf\ud8e9"))
