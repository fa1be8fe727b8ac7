"""The report for programs: one JSON object, schema 1, plain integer bytes, times in RFC 3339."""

from __future__ import annotations

from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.metrics import KERNEL_UNACCOUNTED
from leakwatch.model.verdict import Finding
from leakwatch.report import growth_words, ownership, phrases, words
from leakwatch.report.build import Report, ReportRow
from leakwatch.report.json_values import criterion, finite, growth, time, window
from leakwatch.text.escape import json_text

SCHEMA = 2


def render(report: Report) -> str:
    """Return the object as indented JSON."""
    return json_text(as_object(report), indent=1)


def as_object(report: Report) -> dict[str, Any]:
    """Return the object."""
    return {
        "schema": SCHEMA,
        "generated_at": rfc3339(report.generated_ms),
        "evaluated_at": time(report.evaluated_ms),
        "sampling": report.stale_s is None,
        "judging": report.stale_s is None and report.unjudged_s is None and report.evaluated_ms is not None,
        "reading_back_since": time(report.host.reading_since_ms),
        "host": _host(report),
        "self": _own(report),
        "counts": dict(report.counts),
        "outcome": str(report.outcome),
        "decided": report.tally.decided,
        "undecided": report.tally.undecided,
        "findings": [finding(row, report.generated_ms) for row in report.rows],
        "oom_kills": [
            {"service": name or None, **(ownership.kills_object(kills) or {})} for name, kills in report.kills.items()
        ],
        "absences": {str(reason): count for reason, count in sorted(report.host.absences.items())},
        "absence_examples": {name: list(notes) for name, notes in report.host.notes.items()},
        "store_notes": [
            {"at": rfc3339(note["at_ms"]), **{name: value for name, value in note.items() if name != "at_ms"}}
            for note in report.host.store_notes
        ],
    }


def _own(report: Report) -> dict[str, Any] | None:
    own = report.own
    if own is None:
        return None
    found = own.finding.assessment
    return {
        "pid": own.finding.pid,
        "verdict": str(found.verdict),
        "current_bytes": found.current_bytes,
        "cpu_share": own.cpu_share,
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
        "not_answering": [{"pid": pid, "name": name, "since": time(since_ms)} for pid, name, since_ms in host.hung],
        "hidepid": host.hidepid or None,
    }


def finding(row: ReportRow, now_ms: int) -> dict[str, Any]:
    """Return one finding, with its newest incident or None."""
    one, found = row.finding, row.finding.assessment
    number = found.unit == "count"

    def size(value: int | None) -> int | None:
        return None if number else value

    return {
        "id": one.id,
        "kind": str(one.kind),
        "name": one.name,
        "pid": one.pid,
        "service": one.service,
        "user": one.user,
        "metric": one.metric,
        "verdict": str(found.verdict),
        "unit": found.unit or "bytes",
        **growth(found, found.unit),
        "since": time(found.since_ms),
        "grown_bytes": size(found.grown_bytes),
        "current_bytes": size(found.current_bytes),
        "estimated": row.estimated,
        "lower_bound": one.is_lower_bound,
        "processes": one.processes,
        "processes_read": one.processes_read,
        "limit_bytes": size(one.limit_bytes),
        "limit": one.limit_name or None,
        "exhaustion_at": time(one.exhaustion_at_ms),
        "ended_at": time(row.ended_ms),
        "evaluated_at": time(one.evaluated_at_ms),
        "confidence": finite(found.confidence),
        "reason": words.reason_of(found),
        "note": phrases.text(one.notes),
        "growing": growth_words.growth_object(row.growth),
        "whose": ownership.as_object(row.whose),
        "incident": row.incident and growth_words.incident_object(row.incident, now_ms),
        "next_step": row.next_step or None,
        "windows": [window(trend, found.unit) for trend in found.windows],
        "evidence": [criterion(test) for test in found.evidence],
        **(_count(one) if number else {}),
    }


def _count(one: Finding) -> dict[str, Any]:
    """Return what a finding about a count has in place of bytes."""
    found = one.assessment
    return {
        "grown_count": found.grown_bytes,
        "current_count": found.current_bytes,
        "left_count": one.limit_bytes,
        "limit_count": one.limit_total,
        "sorts": {sort.name: {"now": sort.now, "grown": sort.grown} for sort in one.sorts},
        "sorts_since": time(one.sorted_since_ms),
    }
