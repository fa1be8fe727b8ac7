"""Findings about counts in every format: numbers where memory has bytes, which is named, what it is made of."""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.alerting.announce import Announcement, announce
from leakwatch.alerting.lifecycle import Message
from leakwatch.config import Config
from leakwatch.explain.outlook import purpose, sentence
from leakwatch.explain.stored import case_of, find
from leakwatch.explain.text import next_steps
from leakwatch.model.incident import Incident, IncidentState
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import Criterion, Finding, FindingKind, Sort, Verdict
from leakwatch.nextsteps import counts
from leakwatch.report import incidents, json_report, renderers
from leakwatch.report.build import Report, ReportRow, build
from leakwatch.store.encoding.codec import decode_finding, encode_finding
from tests.report.report_findings import ALL, GIB, HOST, NOW_MS, finding

if TYPE_CHECKING:
    import pytest

HOSTILE = "ev\x1b[31mil"


def of_files(verdict: Verdict = Verdict.LEAK, *, rate: float = 120.0) -> Finding:
    one = finding("s9", "shop", verdict, rate, metric="process.fds", pid=812, service="shop.service", lasts_h=7.0)
    found = replace(
        one.assessment,
        unit="count",
        current_bytes=184,
        grown_bytes=120,
        evidence=(
            Criterion("min_rate", 120.0, 1.0, passed=True, unit="count/h", window_s=14400),
            Criterion("min_growth", 96.0, 16.0, passed=True, unit="count", window_s=14400),
        ),
    )
    return replace(
        one,
        assessment=found,
        limit_bytes=840,
        limit_total=1024,
        limit_name="its limit on open files",
        sorts=(Sort("socket", 150, 104), Sort(HOSTILE, 30, 16), Sort("file", 4, 0)),
        sorted_since_ms=NOW_MS - 3_600_000,
    )


def report(*rows: ReportRow) -> Report:
    rows = rows or (ReportRow(of_files()),)
    return build(rows, HOST, {"leak": len(rows)}, ALL, generated_ms=NOW_MS, evaluated_ms=NOW_MS)


def test_a_table_says_which_count_grows_how_fast_of_what_and_until_when() -> None:
    text = renderers.render_terminal(report())
    (row,) = [line for line in text.splitlines() if line.startswith("leak ")]
    assert "shop (pid 812): open files" in row
    assert "+120/h (108 to 132)" in row
    assert "+2880/d" in row
    assert "120 since" in row
    assert row.endswith("7 h")
    assert "840 left of 1024 (its limit on open files)" in text
    assert (
        "open files: 184 now · 150 socket, 30 ev\\x1b[31mil, 4 file; since 2023-11-14 21:13Z +104 socket, +16 ev"
        in text
    )
    assert "\x1b" not in text
    assert "iB" not in row
    assert "open files" in renderers.render_markdown(report())


def test_programs_get_numbers_under_names_of_their_own() -> None:
    (one,) = json.loads(json_report.render(report()))["findings"]
    assert (one["unit"], one["slope_count_per_hour"], one["slope_low"], one["slope_high"]) == (
        "count",
        120.0,
        108.0,
        132.0,
    )
    assert (one["grown_count"], one["current_count"], one["left_count"], one["limit_count"]) == (120, 184, 840, 1024)
    assert one["sorts"]["socket"] == {"now": 150, "grown": 104}
    assert one["sorts_since"] == "2023-11-14T21:13:20Z"
    for name in ("slope_bytes_per_hour", "grown_bytes", "current_bytes", "limit_bytes"):
        assert one[name] is None
    assert {window["slope_count_per_hour"] for window in one["windows"]} == {120.0}
    (row,) = csv.DictReader(io.StringIO(renderers.render_csv(report()), newline=""))
    assert (row["slope_bytes_per_hour"], row["current_bytes"], row["current_count"]) == ("", "", "184")
    assert row["slope_count_per_hour"] == "120.0"


def test_a_count_ranks_by_what_it_costs_beside_memory() -> None:
    files = replace(of_files(), exhaustion_at_ms=None)
    small, large = (finding(f"s{i}", "m", rate=rate) for i, rate in enumerate((64.0 * 1024, float(GIB))))
    ordered = [row.finding.id for row in report(ReportRow(small), ReportRow(files), ReportRow(large)).rows]
    assert ordered == [large.id, files.id, small.id]


def test_it_is_stored_and_read_back_whole() -> None:
    assert decode_finding(encode_finding(of_files())) == of_files()
    plain = finding("s1", "m")
    assert decode_finding(encode_finding(plain)) == plain
    assert "sorts" not in encode_finding(plain)


def test_an_incident_says_which_count_it_is_about() -> None:
    one = Incident("i1", "s9", FindingKind.PROCESS, "shop", IncidentState.CONFIRMED, NOW_MS)
    entry = incidents.IncidentEntry(one, of_files())
    text = incidents.table([entry], NOW_MS, resolved=0)
    assert "shop (pid 812): open files  +120/h" in text
    told = incidents.as_object(entry, NOW_MS)
    assert (told["slope_bytes_per_hour"], told["slope_count_per_hour"]) == (None, 120.0)


def test_the_log_tells_of_it_in_numbers(caplog: pytest.LogCaptureFixture) -> None:
    one = Incident("i1", "s9", FindingKind.PROCESS, "shop", IncidentState.CONFIRMED, NOW_MS)
    with caplog.at_level(logging.WARNING):
        announce(Announcement(Message.FOUND, one, of_files()), Stamps())
    (record,) = caplog.records
    text = record.getMessage()
    assert "shop (pid 812, shop.service): open files grow +120/h (+108/h to +132/h), 120 since" in text
    assert "most of them socket" in text
    fields = record.leakwatch  # type: ignore[attr-defined]
    assert fields["slope_count_per_hour"] == 120
    assert "slope_bytes_per_hour" not in fields


# Explained


def test_sentences_about_counts_name_their_own_thresholds() -> None:
    rate, growth = of_files().assessment.evidence
    assert sentence(rate) == "It grows at +120/h; +1/h is worth waking for."
    assert "min_count_rate" in purpose(rate)
    assert sentence(growth) == "It grew by 96 within 4 h; 16 is enough to matter."
    assert "min_count_growth" in purpose(growth)
    assert "min_growth " in purpose(replace(growth, unit="bytes"))


def test_steps_have_the_pid_and_go_by_what_grows() -> None:
    case = case_of(ReportRow(of_files()), Config(), HOST, suspicions={}, processes=[], every_s=60.0)
    assert case.title == "shop (pid 812): open files"
    steps = "\n".join(step.line for step in next_steps(case))
    assert "/proc/812/fd" in steps
    assert "ss -tunap" in steps
    assert "{pid}" not in steps
    assert "smaps" not in steps


def test_whatever_is_not_memory_of_a_service_has_a_step_that_names_its_source_at_least() -> None:
    assert counts.STEPS.keys() <= metrics.METRICS.keys()
    assert all(counts.of_count(metric, "812", ()) for metric in counts.TOLD)


def test_of_a_service_the_worst_is_explained_and_its_memory_where_nothing_grows() -> None:
    quiet = finding("s1", "shop", Verdict.OK, pid=812, service="shop.service")
    assert find([ReportRow(quiet), ReportRow(of_files())], "shop.service").finding.id == "s9"
    assert find([ReportRow(of_files(Verdict.OK)), ReportRow(quiet)], "shop.service").finding.id == "s1"
    assert find([ReportRow(quiet), ReportRow(of_files())], "s1").finding.id == "s1"
