"""The four formats of one report, as files. LEAKWATCH_GOLDEN=write writes them anew: look at the difference then."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.model.incident import EventKind, IncidentEvent
from leakwatch.model.verdict import said
from leakwatch.report import incidents, json_report, renderers
from leakwatch.report.build import Filters, Host, Report
from tests.report.report_findings import HOST, INCIDENTS, NOW_MS, ROWS, WITH_INCIDENTS, report

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"
EMPTY_HOST = Host(NOW_MS - 500_000, 60.0, {}, {"processes": 1}, {}, {})

CASES: dict[str, Callable[[], str]] = {
    "all.txt": lambda: renderers.render_terminal(report()),
    "all.md": lambda: renderers.render_markdown(report()),
    "all.json": lambda: json_report.render(report()),
    "all.csv": lambda: renderers.render_csv(report()),
    "suspects.txt": lambda: renderers.render_terminal(report(filters=Filters())),
    "one-window.txt": lambda: renderers.render_terminal(report(filters=Filters(window_s=3600))),
    "one-name.txt": lambda: renderers.render_terminal(report(filters=Filters(names=("indexer",)))),
    "incidents.txt": lambda: renderers.render_terminal(report(WITH_INCIDENTS)),
    "incidents.md": lambda: renderers.render_markdown(report(WITH_INCIDENTS)),
    "incidents.json": lambda: json_report.render(report(WITH_INCIDENTS)),
    "incidents.csv": lambda: renderers.render_csv(report(WITH_INCIDENTS)),
    "list.txt": lambda: incidents.table(_listed(everything=False), NOW_MS, resolved=1),
    "list-all.txt": lambda: incidents.table(_listed(everything=True), NOW_MS, resolved=0),
    "list.json": lambda: incidents.as_json(_listed(everything=True), NOW_MS),
    "history.txt": lambda: incidents.history(_listed(everything=False)[0], HISTORY, NOW_MS),
    "history.json": lambda: incidents.history_json(_listed(everything=False)[0], HISTORY, NOW_MS),
    "no-incidents.txt": lambda: incidents.table([], NOW_MS, resolved=0),
    "nothing.txt": lambda: renderers.render_terminal(_nothing()),
    "nothing.md": lambda: renderers.render_markdown(_nothing()),
    "nothing.json": lambda: json_report.render(_nothing()),
    "colour.txt": lambda: renderers.render_terminal(report(filters=Filters()), colour=True),
}


HISTORY = (
    IncidentEvent("i0a", NOW_MS - 9 * 3_600_000, EventKind.OPENED, said("a straight rise")),
    IncidentEvent("i0a", NOW_MS - 8 * 3_600_000, EventKind.CONFIRMED, said("+12.0 MiB/h: a straight rise")),
    IncidentEvent("i0a", NOW_MS - 3_600_000, EventKind.ACKNOWLEDGED, said("fixed in 2.3"), "anna"),
    IncidentEvent("i0a", NOW_MS - 60_000, EventKind.UNSILENCED, by="evil\n\x1b[2J"),
)


def _listed(*, everything: bool) -> list[incidents.IncidentEntry]:
    findings = {row.finding.id: row.finding for row in ROWS[:-2]}
    known = incidents.entries(list(INCIDENTS.values()), findings)
    return incidents.select(known, NOW_MS, everything=everything, names=())


def _nothing() -> Report:
    """Nobody samples, nothing was judged and next to nothing was read."""
    return report((), host=EMPTY_HOST, evaluated_ms=None, counts={})


@pytest.mark.parametrize("name", CASES)
def test_the_output_is_the_golden_one(name: str) -> None:
    found = CASES[name]().encode()
    if os.environ.get("LEAKWATCH_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_bytes(found)
    assert found.decode() == (GOLDEN / name).read_bytes().decode()


def test_no_line_is_padded_at_its_end_and_no_column_is_wider_than_its_widest_cell() -> None:
    lines = renderers.render_terminal(report()).splitlines()
    assert lines == [line.rstrip() for line in lines]
    head, *rows = [line for line in lines if line.startswith(("verdict", "leak ", "watch ", "ok ", "learning "))]
    starts = [head.index(title) for title in ("what", "rate", "per day", "grown", "time to limit")]
    for start in starts:
        cells = [row[:start] for row in (head, *rows) if len(row) > start]
        assert all(cell.endswith("  ") for cell in cells)
        assert any(not cell.endswith("   ") for cell in cells)


def test_singular_and_plural() -> None:
    from leakwatch.model.sample import AbsenceReason

    host = replace(HOST, targets_read={"processes": 1, "slab": 1}, absences={AbsenceReason.DENIED: 1}, missed=1)
    text = renderers.render_terminal(report((), host=host))
    assert "No leaks found among 1 process and 1 slab cache." in text
    assert "Not read: 1 value refused by the kernel (such as /proc/7/smaps_rollup: EACCES)." in text
    assert "1 of 1437 scrapes was missed" in text


def test_a_stopped_daemon_is_told_before_the_list() -> None:
    late = report(host=replace(HOST, last_scrape_ms=NOW_MS - 3 * 3_600_000))
    assert renderers.render_terminal(late).splitlines()[1].startswith("No samples for 3 h.")
    assert "No samples" in renderers.render_markdown(late).splitlines()[2]
    assert json_report.as_object(late)["sampling"] is False
    assert json_report.as_object(report())["sampling"] is True
