"""The report as CSV, one line a finding (RFC 4180), bytes as integers, times in RFC 3339."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from leakwatch.escape import printable
from leakwatch.report import json_report

if TYPE_CHECKING:
    from leakwatch.report.build import Report

COLUMNS = (
    "id", "kind", "name", "pid", "service", "user", "metric", "verdict", "slope_bytes_per_hour", "slope_low",
    "slope_high", "since", "grown_bytes", "current_bytes", "limit_bytes", "exhaustion_at", "ended_at", "confidence",
    "reason",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")
"""A cell that begins so is a formula to a spreadsheet, and a process may be named ``=HYPERLINK(…)`` (OWASP)."""


def render(report: Report) -> str:
    """Return the findings as CSV with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        one = json_report.finding(row)
        writer.writerow([_cell(one[column]) for column in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
