"""The report for programs: one JSON object, schema 1, plain integer bytes, times in RFC 3339."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from leakwatch.clock import rfc3339
from leakwatch.metrics import KERNEL_UNACCOUNTED
from leakwatch.report import incident_words

if TYPE_CHECKING:
    from leakwatch.model import Criterion, Trend
    from leakwatch.report.build import Report, Row

SCHEMA = 1


def render(report: Report) -> str:
    """Return the object as indented JSON."""
    return json.dumps(as_object(report), indent=1, allow_nan=False) + "\n"


def as_object(report: Report) -> dict[str, Any]:
    """Return the object."""
    return {
        "schema": SCHEMA,
        "generated_at": rfc3339(report.generated_ms),
        "evaluated_at": _time(report.evaluated_ms),
        "sampling": report.stale_s is None,
        "host": _host(report),
        "counts": dict(report.counts),
        "findings": [finding(row, report.generated_ms) for row in report.rows],
        "absences": {str(reason): count for reason, count in sorted(report.host.absences.items())},
        "absence_examples": {name: list(notes) for name, notes in report.host.notes.items()},
    }


def _host(report: Report) -> dict[str, Any]:
    host = report.host
    read = host.targets_read
    return {
        "last_scrape_at": rfc3339(host.last_scrape_ms),
        "interval_s": host.interval_s,
        "windows_s": list(host.windows_s),
        "processes_read": read.get("processes", 0),
        "slab_caches_read": read.get("slab", 0),
        "vmalloc_callers_read": read.get("vmalloc", 0),
        "meminfo_fields_read": read.get("meminfo", 0),
        "mem_total_bytes": host.values.get("kernel.mem_total_bytes"),
        "mem_available_bytes": host.values.get("kernel.mem_available_bytes"),
        "unaccounted_bytes": host.values.get(KERNEL_UNACCOUNTED),
        "scrapes": host.scrapes,
        "scrapes_missed": host.missed,
        "suspended_s": host.suspended_ms / 1000,
        "clock_stepped_s": host.clock_stepped_ms / 1000,
    }


def finding(row: Row, now_ms: int) -> dict[str, Any]:
    """Return one finding, with its newest incident or None."""
    one, found = row.finding, row.finding.assessment
    return {
        "id": one.id,
        "kind": str(one.kind),
        "name": one.name,
        "pid": one.pid,
        "service": one.service,
        "user": one.user,
        "metric": one.metric,
        "verdict": str(found.verdict),
        "slope_bytes_per_hour": _integer(found.slope_bytes_per_hour),
        "slope_low": _integer(found.slope_low),
        "slope_high": _integer(found.slope_high),
        "since": _time(found.since_ms),
        "grown_bytes": found.grown_bytes,
        "current_bytes": found.current_bytes,
        "limit_bytes": one.limit_bytes,
        "limit": one.limit_name or None,
        "exhaustion_at": _time(one.exhaustion_at_ms),
        "ended_at": _time(row.ended_ms),
        "evaluated_at": _time(one.evaluated_at_ms),
        "confidence": _finite(found.confidence),
        "reason": found.reason,
        "note": one.note,
        "incident": row.incident and incident_words.as_object(row.incident, now_ms),
        "windows": [_window(trend) for trend in found.windows],
        "evidence": [_criterion(criterion) for criterion in found.evidence],
    }


def _window(trend: Trend) -> dict[str, Any]:
    return {
        "window_s": trend.window_s,
        "covered_s": trend.covered_s,
        "blocks": trend.blocks,
        "slope_bytes_per_hour": _integer(trend.slope_bytes_per_hour),
        "slope_low": _integer(trend.slope_low),
        "slope_high": _integer(trend.slope_high),
        "verdict": str(trend.verdict),
        "shape": trend.shape,
    }


def _criterion(criterion: Criterion) -> dict[str, Any]:
    whole = criterion.unit.startswith("bytes")
    return {
        "criterion": criterion.criterion,
        "measured": _integer(criterion.measured) if whole else _finite(criterion.measured),
        "threshold": _integer(criterion.threshold) if whole else _finite(criterion.threshold),
        "passed": bool(criterion.passed),
        "unit": criterion.unit,
        "window_s": criterion.window_s,
    }


def _integer(value: float | None) -> int | None:
    return None if value is None or not isfinite(value) else round(value)


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else value


def _time(ts_ms: int | None) -> str | None:
    return None if ts_ms is None else rfc3339(ts_ms)
