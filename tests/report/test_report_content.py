"""What a report contains: keys, filters, order, and names that would rather be something else."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.clock import rfc3339
from leakwatch.errors import UsageError
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import Criterion, Verdict
from leakwatch.report import json_report, renderers, summary, words
from leakwatch.report.build import Filters, Own, Report, ReportRow
from leakwatch.report.conclusion import Outcome
from leakwatch.report.growth_words import minute
from leakwatch.text.escape import printable
from tests.report.report_findings import ALL, HOST, HOUR_MS, MIB, NOW_MS, ROWS, finding, of_one, report

HOSTILE = [
    "two\nlines", "two\r\nlines", "\x1b[2J\x1b]0;title\x07", "<script>alert(1)</script>", "<img src=x onerror=a()>",
    "=1+1", "@SUM(A1)", "+1", "-1+cmd|' /C calc'!A0", "a|b||c", "`code`", "**bold** _it_ ~~no~~ [a](http://x)",
    "\\xff\\xfe", "\udcff\udcfe", "user\u202egpj.exe", "zero\u200bwidth", "www.evil.example http://evil.example @all",
    '"quoted", and comma', "tab\there", "nul\0byte", "\ud800", "名前が長い", "é\u0301", "x" * 400, " ", "&lt;b&gt;",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=30))


def strict(text: str) -> dict[str, object]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def test_what_is_too_large_to_be_read_is_said_to_be_estimated() -> None:
    for estimated in (True, False):
        built = report((replace(ROWS[0], estimated=True, too_large=estimated),))
        for text in (renderers.render_terminal(built), renderers.render_markdown(built)):
            assert ("now (estimated: too large to read)" in text) is estimated


def test_programs_are_told_of_every_estimate() -> None:
    for estimated in (True, False):
        built = report((replace(ROWS[0], estimated=estimated),))
        assert strict(json_report.render(built))["findings"][0]["estimated"] is estimated  # type: ignore[index]


def test_it_watches_itself() -> None:
    own = replace(ROWS[0].finding, pid=4711)
    built = replace(report(ROWS[:1]), own=Own(own, 0.0012))
    for text in (renderers.render_terminal(built), renderers.render_markdown(built)):
        (line,) = [line for line in text.splitlines() if "leakwatch itself uses" in line]
        assert "0.12 % of a core; its own verdict: leak, " in line
    found = strict(json_report.render(built))["self"]
    assert isinstance(found, dict)
    assert (found["pid"], found["verdict"], found["cpu_share"]) == (4711, "leak", 0.0012)
    assert strict(json_report.render(report(ROWS[:1])))["self"] is None


# JSON

FINDING_KEYS = {
    "id", "kind", "name", "pid", "service", "user", "metric", "verdict", "slope_bytes_per_hour", "slope_low",
    "slope_high", "since", "grown_bytes", "current_bytes", "estimated",
    "lower_bound", "processes", "processes_read", "limit_bytes", "limit", "exhaustion_at",
    "ended_at", "evaluated_at", "confidence", "reason", "note", "growing", "whose", "incident", "windows",
    "evidence", "unit", "next_step",
}  # fmt: skip


def test_verdicts_that_are_not_renewed_are_said_to_be_old() -> None:
    # GIVEN a daemon that samples and has judged two hours ago, once because it reads its history back
    failing = report(host=replace(HOST, every_s=300.0), evaluated_ms=NOW_MS - 7_200_000)
    reading = replace(failing, host=replace(HOST, every_s=300.0, reading_since_ms=NOW_MS - 10_000))
    for found, why in ((failing, "journalctl -u leakwatch"), (reading, "The daemon reads its history back")):
        # THEN the report begins with that, and a program is told
        assert "No verdicts for 2 h" in renderers.render_terminal(found).splitlines()[1]
        assert why in renderers.render_terminal(found)
        assert strict(json_report.render(found))["judging"] is False
    # AND an evaluation that is due is no failure
    due = report(host=replace(HOST, every_s=300.0), evaluated_ms=NOW_MS - 400_000)
    assert "No verdicts" not in renderers.render_terminal(due)
    assert strict(json_report.render(due))["judging"] is True


def test_the_keys_are_those_of_the_contract() -> None:
    found = strict(json_report.render(report()))
    assert set(found) == {
        "schema", "generated_at", "evaluated_at", "sampling", "host", "self", "counts", "findings", "oom_kills",
        "absences", "absence_examples", "store_notes", "judging", "reading_back_since", "outcome", "decided",
        "undecided",
    }  # fmt: skip
    assert found["schema"] == 2
    assert set(found["host"]) == {
        "last_scrape_at", "interval_s", "windows_s", "processes_read", "slab_caches_read", "vmalloc_callers_read",
        "meminfo_fields_read", "mem_total_bytes", "mem_available_bytes", "unaccounted_bytes", "scrapes",
        "scrapes_missed", "suspended_s", "clock_stepped_s", "not_answering", "hidepid",
    }  # fmt: skip
    assert found["absences"] == {"denied": 3, "no_address_space": 101, "unsupported": 1}
    for one in found["findings"]:
        assert set(one) == FINDING_KEYS
        for window in one["windows"]:
            assert set(window) == {
                "window_s", "covered_s", "blocks", "slope_bytes_per_hour", "slope_low", "slope_high", "verdict",
                "shape",
            }  # fmt: skip
        for criterion in one["evidence"]:
            assert set(criterion) == {"criterion", "measured", "threshold", "passed", "unit", "window_s"}
            assert type(criterion["passed"]) is bool


def test_bytes_are_integers_and_times_rfc_3339() -> None:
    found = strict(json_report.render(report()))
    time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert time.fullmatch(found["generated_at"])
    for one in found["findings"]:
        assert one["kind"] in ("process", "service", "kernel")
        assert one["verdict"] in ("ok", "learning", "watch", "leak")
        for key in ("slope_bytes_per_hour", "slope_low", "slope_high", "grown_bytes", "current_bytes", "limit_bytes"):
            assert one[key] is None or type(one[key]) is int, key
        for key in ("since", "exhaustion_at", "ended_at", "evaluated_at"):
            assert one[key] is None or time.fullmatch(one[key]), key


def test_numbers_json_does_not_have_are_null() -> None:
    nan, inf = float("nan"), float("inf")
    one = finding("x", "x")
    evidence = (Criterion("a", nan, inf, False, "ratio"), Criterion("b", -inf, nan, False, "bytes"))
    broken = replace(one.assessment, evidence=evidence, slope_high=inf, confidence=nan)
    found = strict(json_report.render(report((ReportRow(replace(one, assessment=broken)),))))
    (only,) = found["findings"]
    assert [(c["measured"], c["threshold"]) for c in only["evidence"]] == [(None, None), (None, None)]
    assert (only["slope_high"], only["confidence"]) == (None, None)


@given(TEXT)
def test_json_carries_any_name_unchanged(name: str) -> None:
    text = json_report.render(of_one(name))
    assert text.isascii()
    assert strict(text)["findings"][0]["name"] == name


# Hostile names


@given(TEXT)
def test_nothing_in_a_table_drives_the_terminal_or_forges_a_line(name: str) -> None:
    text = renderers.render_terminal(of_one(name))
    assert len(text.splitlines()) == len(renderers.render_terminal(of_one("plain")).splitlines())
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()


@given(TEXT)
def test_the_pid_stays_visible_behind_any_name(name: str) -> None:
    assert "(pid 4242)" in renderers.render_terminal(of_one(name, pid=4242))


@given(TEXT)
def test_a_csv_has_one_line_a_finding_and_no_formula(name: str) -> None:
    text = renderers.render_csv(of_one(name))
    text.encode()
    head, row = csv.reader(io.StringIO(text, newline=""))
    assert len(row) == len(head) == len(renderers.COLUMNS)
    for cell in row:
        assert cell.isprintable()
        assert not cell.startswith(("=", "@", "+")) and (not cell.startswith("-") or re.fullmatch(r"-\d+", cell))  # noqa: PT018
    assert row[head.index("name")] in (printable(name), f"'{printable(name)}")


@given(TEXT)
def test_markdown_is_one_row_a_finding_without_markup_from_the_name(name: str) -> None:
    text = renderers.render_markdown(of_one(name))
    text.encode()
    rows = [line for line in text.split("\n") if line.startswith("| leak")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[0])) == 8, "seven cells"
    assert all(line.isprintable() for line in text.split("\n"))
    # Every character markup is made of has a backslash before it.
    bare = re.sub(r"\\.", "", rows[0])
    assert not set(bare) & set("`*_[]<>#~!&@{}")


def test_markdown_makes_no_link_by_itself() -> None:
    text = renderers.render_markdown(of_one("www.evil.example http://evil.example @all"))
    assert "http://" not in text
    assert "www." not in text
    assert " @" not in text


def test_wide_characters_do_not_shift_the_columns() -> None:
    rows = (ReportRow(finding("a", "名前")), ReportRow(finding("b", "plain")))
    lines = [line for line in renderers.render_terminal(report(rows)).splitlines() if line.startswith("leak")]
    assert lines[0].index("+12.0") + 2 == lines[1].index("+12.0")  # two characters take a column more each


# Filters


def ids(**filters: object) -> list[str]:
    return [row.finding.id for row in report(filters=replace(ALL, **filters)).rows]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["s01", "k02", "p04", "p03", "p06", "p05"]),
        ({"names": ("shop",)}, ["s01"]),
        ({"names": ("kmalloc-*",)}, ["k02"]),
        ({"names": ("malloc",)}, ["k02"]),
        ({"names": ("malloc*",)}, []),
        ({"names": ("p03", "p04")}, ["p04", "p03"]),
        ({"names": ("importer.jar",)}, ["p04"]),
        ({"names": ("SHOP",)}, []),
        ({"units": ("shop",)}, ["s01"]),
        ({"units": ("java*",)}, ["p04"]),
        ({"units": ("kmalloc",)}, []),
        ({"users": ("root",)}, ["p03"]),
        ({"pid": 812}, ["s01"]),
        ({"pid": 81}, []),
        ({"verdicts": frozenset({Verdict.WATCH, Verdict.OK})}, ["p03", "p05"]),
        ({"names": ("shop",), "users": ("root",)}, []),
    ],
)
def test_filters_narrow(filters: dict[str, object], expected: list[str]) -> None:
    assert ids(**filters) == expected


def test_without_options_only_suspects_are_shown() -> None:
    assert {row.finding.assessment.verdict for row in report(filters=Filters()).rows} == {Verdict.LEAK, Verdict.WATCH}


def test_one_window_s_verdict_takes_the_place_of_all() -> None:
    one = finding("x", "x")
    hour, four = one.assessment.windows
    mixed = replace(one.assessment, windows=(replace(hour, verdict=Verdict.OK, slope_bytes_per_hour=5.0), four))
    row = ReportRow(replace(one, assessment=mixed))
    (seen,) = report((row,), replace(ALL, window_s=3600)).rows
    assert (seen.finding.assessment.verdict, seen.finding.assessment.slope_bytes_per_hour) == (Verdict.OK, 5.0)
    assert not report((row,), replace(ALL, window_s=3600)).leaking
    assert report((row,), replace(ALL, window_s=4 * 3600)).leaking


def test_a_window_that_has_not_judged_yet_is_learning_unless_all_is_ok() -> None:
    def seen(verdict: Verdict) -> Verdict:
        one = finding("x", "x", verdict)
        row = ReportRow(replace(one, assessment=replace(one.assessment, windows=())))
        return report((row,), replace(ALL, window_s=3600)).rows[0].finding.assessment.verdict

    assert seen(Verdict.LEAK) is Verdict.LEARNING
    assert seen(Verdict.OK) is Verdict.OK


def test_a_window_that_is_not_evaluated_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"--window: 2 h is not evaluated; there are 60 min, 4 h"):
        report(filters=Filters(window_s=7200))
    with pytest.raises(UsageError, match="there are none yet"):
        report(filters=Filters(window_s=7200), host=replace(HOST, windows_s=()))


# Order


def test_what_is_surer_nearer_its_end_and_faster_comes_first() -> None:
    wanted = [
        ReportRow(finding("near", "a", lasts_h=5.0)),
        ReportRow(finding("later", "a", lasts_h=50.0)),
        ReportRow(finding("far", "a", rate=900.0 * MIB, lasts_h=24 * 40.0)),  # beyond the horizon of 30 days
        ReportRow(finding("fast", "a", rate=90.0 * MIB)),
        ReportRow(finding("unsure", "a", rate=90.0 * MIB, confidence=0.2)),
        ReportRow(finding("slow", "a", rate=1.0 * MIB)),
        ReportRow(finding("ended", "a", rate=900.0 * MIB, lasts_h=1.0), NOW_MS - HOUR_MS),
        ReportRow(finding("watch", "a", Verdict.WATCH, rate=900.0 * MIB, lasts_h=1.0)),
        ReportRow(finding("learning", "a", Verdict.LEARNING, rate=None)),
        ReportRow(finding("ok", "a", Verdict.OK, rate=0.0)),
    ]
    for order in (wanted, wanted[::-1]):
        assert [row.finding.id for row in report(tuple(order)).rows] == [row.finding.id for row in wanted]


def test_only_what_runs_and_leaks_is_leaking() -> None:
    assert report().leaking
    assert not report(tuple(row for row in ROWS if row.finding.assessment.verdict is not Verdict.LEAK)).leaking
    assert not report(tuple(replace(row, ended_ms=NOW_MS) for row in ROWS)).leaking
    assert not report(()).leaking


def test_what_happened_to_the_store_is_said_for_a_day() -> None:
    # GIVEN an outage, and a store that was lost, one of them longer ago than a day
    found = report()
    at_ms = found.generated_ms - 3_600_000
    outage = {"what": "outage", "at_ms": at_ms, "lasted_s": 1200.4, "kept": 1195, "dropped": 5, "why": "disk full"}
    lost = {"what": "lost", "at_ms": at_ms, "why": "/x.db was deleted under the daemon"}
    notes = ({**lost, "at_ms": at_ms - 86_400_000}, outage, lost)
    # WHEN a report is made THEN it says both that are of this day
    found = replace(found, host=replace(found.host, store_notes=notes))
    said = [line for line in summary.remarks(found) if "store" in line or "deleted" in line]
    at = rfc3339(at_ms)
    outlasted = (
        f"{at}: the store could not be written for 20 min; 1,195 scrapes waited in memory and were stored later, "
        "5 were lost (disk full)."
    )
    assert said == [
        outlasted,
        f"{at}: /x.db was deleted under the daemon. This store does not hold what was stored before.",
    ]
    assert strict(json_report.render(found))["store_notes"][1] == {
        "at": at, "what": "outage", "lasted_s": 1200.4, "kept": 1195, "dropped": 5, "why": "disk full",
    }  # fmt: skip


def unseen(**more: Any) -> Report:
    return replace(report(), host=replace(HOST, **more))


def test_processes_that_do_not_answer_are_said_first_with_their_names_and_since_when() -> None:
    hung = tuple((pid, f"db\x1b{pid}", NOW_MS - HOUR_MS) for pid in range(800, 807))
    found = unseen(hung=hung, absences={AbsenceReason.NO_ANSWER: 9})
    text = renderers.render_terminal(found)
    since = minute(NOW_MS - HOUR_MS)
    assert f"9 processes do not answer: 800 db\\x1b800 since {since}, 801 " in text
    assert "sudo cat /proc/800/task/*/stack" in text
    assert strict(json_report.render(found))["host"]["not_answering"][0] == {  # type: ignore[index]
        "pid": 800, "name": "db\x1b800", "since": rfc3339(NOW_MS - HOUR_MS),
    }  # fmt: skip


def test_one_that_does_not_answer_is_no_value_that_was_not_read() -> None:
    text = renderers.render_terminal(unseen(absences={AbsenceReason.NO_ANSWER: 1}))
    assert "1 process does not answer." in text
    assert "Not read" not in text


def test_hidden_processes_are_part_of_the_headline() -> None:
    found = unseen(hidepid="invisible")
    text = renderers.render_terminal(found)
    assert text.splitlines()[0].endswith("; other users' processes are hidden.")
    assert "hidepid=invisible" in text
    assert "CAP_SYS_PTRACE" in text
    assert strict(json_report.render(found))["host"]["hidepid"] == "invisible"  # type: ignore[index]


def test_a_size_that_is_an_hour_old_is_told_with_its_time() -> None:
    # What is no suspect is stored anew once an hour only, and nothing is while the daemon stands still.
    row = ReportRow(replace(finding("s9", "steady", Verdict.OK), evaluated_at_ms=NOW_MS - HOUR_MS))
    assert f"812 MiB at {minute(NOW_MS - HOUR_MS)} · " in words.where(row, NOW_MS)
    assert "812 MiB now · " in words.where(row, NOW_MS - HOUR_MS + 60_000)


def test_where_nothing_is_judged_yet_the_reason_is_not_the_options() -> None:
    found = report(rows=(), evaluated_ms=None)
    assert found.outcome is Outcome.UNDECIDED
    assert summary.reason(found) == "not decided: nothing is judged yet; ask again later"
