"""What a report comes to: the order of the outcomes, and what decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakwatch.model.incident import Incident, IncidentState, Resolution
from leakwatch.model.verdict import FindingKind, Verdict
from leakwatch.report import renderers, summary
from leakwatch.report.build import Filters, Own, Report, ReportRow, build
from leakwatch.report.conclusion import Outcome, Tally, conclude, tally
from tests.report.report_findings import ALL, HOST, HOUR_MS, NOW_MS, finding, report

OK, LEARNING, LEAK, WATCH = Verdict.OK, Verdict.LEARNING, Verdict.LEAK, Verdict.WATCH
DAY_MS = 24 * HOUR_MS


def program(verdict: Verdict, name: str = "web", **changes: object) -> ReportRow:
    return replace(ReportRow(finding(name, name, verdict)), **changes)


def cache(verdict: Verdict) -> ReportRow:
    return ReportRow(finding("dentry", "dentry", verdict, kind=FindingKind.KERNEL, metric="slab.active_bytes"))


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([program(OK), cache(OK)], Outcome.OK),
        ([program(WATCH), cache(OK)], Outcome.OK),
        ([program(OK), program(LEARNING, "new"), cache(OK)], Outcome.OK),
        ([program(LEARNING), cache(OK)], Outcome.UNDECIDED),
        ([program(OK), cache(LEARNING)], Outcome.UNDECIDED),
        ([cache(OK)], Outcome.UNDECIDED),  # no process could be read
        ([], Outcome.UNDECIDED),
        ([program(LEAK), cache(LEARNING)], Outcome.LEAK),
        ([program(LEAK, ended_ms=NOW_MS - HOUR_MS)], Outcome.LEAK),
        ([program(LEAK, ended_ms=NOW_MS - 2 * DAY_MS), program(OK, "calm")], Outcome.OK),
        ([program(LEAK, ended_ms=NOW_MS - 2 * DAY_MS)], Outcome.UNDECIDED),
    ],
)
def test_what_decides(rows: list[ReportRow], outcome: Outcome) -> None:
    assert report(tuple(rows)).outcome is outcome
    late = report(tuple(rows), host=replace(HOST, last_scrape_ms=NOW_MS - HOUR_MS))
    assert late.outcome is (outcome if outcome is Outcome.LEAK else Outcome.NOT_SAMPLED)
    assert summary.reason(late)
    assert bool(summary.reason(report(tuple(rows)))) is (outcome is not Outcome.OK)


def test_verdicts_that_are_not_renewed_decide_nothing() -> None:
    old = replace(report((program(OK), cache(OK))), evaluated_ms=NOW_MS - HOUR_MS)
    assert old.outcome is Outcome.UNDECIDED
    assert "No verdicts for 60 min" in summary.reason(old)


def test_counts_and_our_own_daemon_decide_nothing() -> None:
    files = ReportRow(finding("fds", "web", OK, metric="process.fds"))
    own = program(OK, "leakwatch")
    rows = (program(LEARNING), files, own)
    assert report(rows[:2]).outcome is Outcome.UNDECIDED
    assert _of(rows, Filters(), own).outcome is Outcome.UNDECIDED
    assert _of(rows, Filters(names=("leakwatch",)), own).outcome is Outcome.OK


def _of(rows: tuple[ReportRow, ...], filters: Filters, own: ReportRow) -> Report:
    ours = Own(own.finding, None)
    return build(rows, HOST, {}, filters, generated_ms=NOW_MS, evaluated_ms=NOW_MS, own=ours)


def test_a_leak_that_a_restart_ended_counts_for_a_day() -> None:
    incident = Incident(
        "i1", "web", FindingKind.PROCESS, "web", IncidentState.RESOLVED, NOW_MS - 9 * HOUR_MS, NOW_MS - 8 * HOUR_MS,
        resolved_ms=NOW_MS - HOUR_MS, resolution=Resolution.CLEAN, restarted_ms=NOW_MS - 3 * HOUR_MS,
    )  # fmt: skip
    restarted = report((program(OK, incident=incident),))
    assert restarted.outcome is Outcome.LEAK
    assert "web leaked until it was restarted at 2023-11-14T19:13:20Z." in renderers.render_terminal(restarted)
    later = replace(ALL, ended_since_ms=NOW_MS - HOUR_MS)
    assert report((program(OK, incident=incident),), later).outcome is Outcome.OK
    never = replace(incident, confirmed_ms=None)
    assert report((program(OK, incident=never),)).outcome is Outcome.OK


def test_where_nothing_is_decided_nothing_is_called_fine() -> None:
    assert renderers.render_terminal(report((program(LEARNING), cache(LEARNING)), Filters())).startswith(
        "Nothing decided yet "
    )


def test_each_group_has_to_have_a_verdict() -> None:
    assert tally([]) == Tally(0, 0, group_open=True)
    assert tally([("a", OK), ("a", LEARNING)]) == Tally(1, 1, group_open=False)
    assert tally([("a", OK), ("b", LEARNING)]) == Tally(1, 1, group_open=True)
    assert tally([("a", OK)], ["b"]).group_open


def test_the_order_of_the_outcomes_and_their_codes() -> None:
    undecided = Tally()
    assert conclude(undecided, leaks=True, sampled=False).exit_code == 1
    assert conclude(undecided, leaks=False, sampled=False).exit_code == 4
    assert conclude(undecided, leaks=False).exit_code == 3
    assert conclude(tally([("a", OK)]), leaks=False).exit_code == 0


def test_a_service_that_is_not_read_whole_is_named_as_undecided() -> None:
    # GIVEN two findings that learn, one of them because processes of it are not read
    row = program(Verdict.LEARNING, "orphans")
    partly = replace(row, finding=replace(row.finding, processes=60, processes_read=1))
    found = report((partly, program(Verdict.LEARNING, "young")), Filters())
    found = replace(found, counts={"learning": 2})
    # THEN it is named although rows that learn are not shown, and is not said to want more time
    lines = summary.remarks(found)
    assert "Undecided, as not all of their processes are read: orphans (--verdict learning; leakwatch doctor)." in lines
    assert any(line.startswith("1 still learning") for line in lines)
    assert not any("Not all" in line for line in summary.remarks(report((program(Verdict.LEARNING),), Filters())))
