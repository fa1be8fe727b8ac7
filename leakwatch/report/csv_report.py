"""The report as CSV, one line a finding (RFC 4180), bytes as integers, times in RFC 3339."""

from __future__ import annotations

import csv
import io
from typing import Any

from leakwatch.report import json_report
from leakwatch.report.build import Report
from leakwatch.text.escape import csv_cell

COLUMNS = (
    "id", "kind", "name", "pid", "service", "user", "metric", "verdict", "slope_bytes_per_hour", "slope_low",
    "slope_high", "since", "grown_bytes", "current_bytes", "limit_bytes", "exhaustion_at", "ended_at", "confidence",
    "reason", "incident", "incident_state", "acknowledged_by", "silenced_until", "slope_count_per_hour", "grown_count",
    "current_count", "left_count", "limit_count",
)  # fmt: skip


def render(report: Report) -> str:
    """Return the findings as CSV with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        one = json_report.finding(row, report.generated_ms)
        one |= _incident(one["incident"])
        writer.writerow([csv_cell(one.get(column)) for column in COLUMNS])
    return out.getvalue()


def _incident(one: dict[str, Any] | None) -> dict[str, Any]:
    """Return the columns about an incident, empty without one."""
    one = one or {"id": None, "state": None, "acknowledged": None, "silenced": None}
    return {
        "incident": one["id"],
        "incident_state": one["state"],
        "acknowledged_by": (one["acknowledged"] or {}).get("by"),
        "silenced_until": (one["silenced"] or {}).get("until"),
    }
