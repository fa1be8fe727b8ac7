"""One report with everything in it."""

from __future__ import annotations

from dataclasses import replace

from leakwatch.model.incident import Acknowledgement, Incident, IncidentState, Resolution, Silence
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Trend, Verdict, said
from leakwatch.report.build import Filters, Host, Report, build
from leakwatch.report.build import ReportRow as Row

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
NOW_MS = 1_700_000_000_000
"""2023-11-14T22:13:20Z"""
HOUR_MS = 3_600_000
HOUR, DAY = 3600, 86_400
ALL = Filters(verdicts=frozenset(Verdict))


def finding(
    id_: str,
    name: str,
    verdict: Verdict = Verdict.LEAK,
    rate: float | None = 12.0 * MIB,
    *,
    kind: FindingKind = FindingKind.PROCESS,
    metric: str = "process.uss_swap_bytes",
    pid: int | None = None,
    service: str | None = None,
    user: str | None = None,
    confidence: float = 0.9,
    lasts_h: float | None = None,
    reason: str = "a straight rise in 2 of 2 windows, the longest 4 h",
    note: str = "",
) -> Finding:
    suspect = verdict in (Verdict.LEAK, Verdict.WATCH)
    assessment = Assessment(
        verdict=verdict,
        current_bytes=812 * MIB,
        evidence=(
            Criterion("min_rate", rate, 64.0 * KIB, True, "bytes/h", 4 * HOUR),
            Criterion("rises_at_end", 0.987654, 0.4, True, "ratio", 4 * HOUR),
        ),
        windows=tuple(
            Trend(window_s, window_s, 12, rate or 0.0, 0.9 * (rate or 0), 1.1 * (rate or 0), verdict, "ramp")
            for window_s in (HOUR, 4 * HOUR)
        ),
        slope_bytes_per_hour=rate,
        slope_low=None if rate is None else 0.9 * rate,
        slope_high=None if rate is None else 1.1 * rate,
        since_ms=NOW_MS - 30 * HOUR_MS if suspect else None,
        grown_bytes=355 * MIB if suspect else None,
        confidence=confidence,
        reasons=said(reason),
    )
    at_ms = None if lasts_h is None else NOW_MS + round(lasts_h * HOUR_MS)
    return Finding(
        id_, kind, name, metric, assessment, pid, service, user,
        limit_bytes=None if at_ms is None else 700 * MIB,
        limit_name="" if at_ms is None else "memory limit of /system.slice/shop.service",
        exhaustion_at_ms=at_ms,
        evaluated_at_ms=NOW_MS - 60_000,
        notes=said(note),
    )  # fmt: skip


HOST = Host(
    last_scrape_ms=NOW_MS - 20_000,
    interval_s=60.0,
    values={
        "kernel.mem_total_bytes": 16 * GIB, "kernel.mem_available_bytes": 3 * GIB, "kernel.unaccounted_bytes": 90 * MIB,
    },
    targets_read={"processes": 214, "slab": 97, "vmalloc": 61, "meminfo": 26},
    absences={AbsenceReason.DENIED: 3, AbsenceReason.NO_ADDRESS_SPACE: 101, AbsenceReason.UNSUPPORTED: 1},
    notes={
        "processes": ["denied: /proc/7/smaps_rollup: EACCES"],
        "meminfo": ["unsupported: meminfo Balloon: this kernel does not tell"],
    },
    scrapes=1436,
    missed=4,
    suspended_ms=3_600_000,
    horizon_s=30.0 * DAY,
    windows_s=(HOUR, 4 * HOUR),
)  # fmt: skip

ROWS = (
    Row(finding("s01", "shop.service", kind=FindingKind.SERVICE, pid=812, service="shop.service", user="www-data",
                lasts_h=58.3, note="1 of 8 processes grow: pid 812 +12.0 MiB/h")),
    Row(finding("k02", "kmalloc-4k", rate=700.0 * KIB, kind=FindingKind.KERNEL, metric="slab.active_bytes",
                note="unreclaimable slab cache", confidence=0.7)),
    Row(finding("p03", "indexer", Verdict.WATCH, rate=3.0 * MIB, pid=99, service="python3 indexer.py", user="root",
                reason="grew within 4 h, but is slowing: it may be bounded")),
    Row(finding("p04", "importer", rate=90.0 * MIB, pid=77, service="java -jar importer.jar"), NOW_MS - 5 * HOUR_MS),
    Row(finding("p05", "sshd", Verdict.OK, 0.0, pid=1, service="sshd", reason="no growth within 4 h", confidence=0.0)),
    Row(finding("p06", "vim", Verdict.LEARNING, None, pid=2, service="vim", confidence=0.0,
                reason="5 min of data, 30 min needed for a first verdict")),
)  # fmt: skip
_CONFIRMED = Incident(
    "i0a", "s01", FindingKind.SERVICE, "shop.service", IncidentState.CONFIRMED, NOW_MS - 9 * HOUR_MS,
    NOW_MS - 8 * HOUR_MS, NOW_MS - 30 * HOUR_MS, reasons=said("a straight rise"),
    acknowledgement=Acknowledgement(NOW_MS - HOUR_MS, "anna", "fixed in 2.3"),
)  # fmt: skip
INCIDENTS = {
    "s01": _CONFIRMED,
    "k02": replace(
        _CONFIRMED, id="i0b", finding_id="k02", kind=FindingKind.KERNEL, name="kmalloc-4k", reopened=2,
        reopened_ms=NOW_MS - 2 * HOUR_MS, acknowledgement=None,
        silence=Silence(NOW_MS - HOUR_MS, NOW_MS + 71 * HOUR_MS, "bert", "known, kernel 6.19 mends it"),
    ),
    "p03": replace(
        _CONFIRMED, id="i0c", finding_id="p03", kind=FindingKind.PROCESS, name="indexer", state=IncidentState.OPEN,
        confirmed_ms=None, since_ms=None, acknowledgement=None,
    ),
    "p04": replace(
        _CONFIRMED, id="i0d", finding_id="p04", name="importer", restarted_ms=NOW_MS - HOUR_MS, acknowledgement=None
    ),
    "p05": replace(
        _CONFIRMED, id="i0e", finding_id="p05", name="sshd", state=IncidentState.RESOLVED,
        resolved_ms=NOW_MS - HOUR_MS, resolution=Resolution.FLAT, reasons=said("no leak for 8 h; it had grown for 7 h"),
    ),
}  # fmt: skip
WITH_INCIDENTS = tuple(replace(row, incident=INCIDENTS.get(row.finding.id)) for row in ROWS)
COUNTS = {"leak": 2, "watch": 1, "ok": 1, "learning": 1}


def report(rows: tuple[Row, ...] = ROWS, filters: Filters = ALL, host: Host = HOST, **changes: object) -> Report:
    built = build(rows, host, COUNTS, filters, generated_ms=NOW_MS, evaluated_ms=NOW_MS - 60_000)
    return replace(built, **changes)


def of_one(name: str, **changes: object) -> Report:
    """A report of one finding that is named, belongs to is noted, and acknowledged by and as ``name``."""
    one = replace(
        finding("x", name),
        service=name,
        user=name,
        notes=said(name),
        limit_name=name,
        exhaustion_at_ms=NOW_MS + HOUR_MS,
    )
    one = replace(one, assessment=replace(one.assessment, reasons=said(name)), **changes)
    notes = {"processes": [f"denied: {name}"]}
    incident = replace(
        INCIDENTS["k02"],
        name=name,
        reasons=said(name),
        silence=None,
        acknowledgement=Acknowledgement(NOW_MS, name, name, 2),
    )
    return report((Row(one, incident=incident),), host=replace(HOST, notes=notes))
