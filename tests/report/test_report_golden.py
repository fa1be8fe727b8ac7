"""The four formats of one report, as files. LEAKWATCH_GOLDEN=write writes them anew: look at the difference then."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from report_findings import HOST, NOW_MS, report

from leakwatch.report import csv_report, json_report, markdown, table
from leakwatch.report.build import Filters, Host, Report

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"
EMPTY_HOST = Host(NOW_MS - 500_000, 60.0, {}, {"processes": 1}, {}, {})

CASES: dict[str, Callable[[], str]] = {
    "all.txt": lambda: table.render(report()),
    "all.md": lambda: markdown.render(report()),
    "all.json": lambda: json_report.render(report()),
    "all.csv": lambda: csv_report.render(report()),
    "suspects.txt": lambda: table.render(report(filters=Filters())),
    "one-window.txt": lambda: table.render(report(filters=Filters(window_s=3600))),
    "one-name.txt": lambda: table.render(report(filters=Filters(names=("indexer",)))),
    "nothing.txt": lambda: table.render(_nothing()),
    "nothing.md": lambda: markdown.render(_nothing()),
    "nothing.json": lambda: json_report.render(_nothing()),
    "colour.txt": lambda: table.render(report(filters=Filters()), colour=True),
}


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
    lines = table.render(report()).splitlines()
    assert lines == [line.rstrip() for line in lines]
    head, *rows = [line for line in lines if line.startswith(("verdict", "leak ", "watch ", "ok ", "learning "))]
    starts = [head.index(title) for title in ("what", "rate", "per day", "grown", "lasts")]
    for start in starts:
        cells = [row[:start] for row in (head, *rows) if len(row) > start]
        assert all(cell.endswith("  ") for cell in cells)
        assert any(not cell.endswith("   ") for cell in cells)


def test_singular_and_plural() -> None:
    from leakwatch.model import AbsenceReason

    host = replace(HOST, targets_read={"processes": 1, "slab": 1}, absences={AbsenceReason.DENIED: 1}, missed=1)
    text = table.render(report((), host=host))
    assert "Nothing found that leaks among 1 process and 1 slab cache." in text
    assert "Not read: 1 value refused by the kernel (such as /proc/7/smaps_rollup: EACCES)." in text
    assert "1 of 1437 scrapes was missed" in text


def test_a_stopped_daemon_is_told_before_the_list() -> None:
    late = report(host=replace(HOST, last_scrape_ms=NOW_MS - 3 * 3_600_000))
    assert table.render(late).splitlines()[1].startswith("Nobody samples: the last scrape is 3 h old.")
    assert "Nobody samples" in markdown.render(late).splitlines()[2]
    assert json_report.as_object(late)["sampling"] is False
    assert json_report.as_object(report())["sampling"] is True
