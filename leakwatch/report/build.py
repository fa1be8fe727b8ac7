"""Selects, orders and words what a report says. Pure: values in, a ``Report`` out, the renderers only write it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from leakwatch import metrics
from leakwatch.errors import UsageError
from leakwatch.model.incident import Incident
from leakwatch.model.memory_class import Growth
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import SEVERITY, SUSPECT, Finding, FindingKind, Verdict
from leakwatch.report.conclusion import NOTHING, Outcome, Tally, conclude, tally
from leakwatch.report.ownership import Kills, Ownership
from leakwatch.units import format_duration

STALE_INTERVALS = 3
"""A last scrape older than this many intervals means that nobody samples."""
DEFAULT_VERDICTS = SUSPECT
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show; every field narrows, None or empty does not."""

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    pid: int | None = None
    verdicts: frozenset[Verdict] = DEFAULT_VERDICTS
    window_s: int | None = None
    """Judge by this window alone."""
    ended_since_ms: int | None = None
    """Leaks that have ended count from then on; None: for a day."""

    @property
    def narrow(self) -> bool:
        """Whether some of what is judged is left out."""
        return bool(self.names or self.units or self.users or self.pid is not None)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One finding of a report."""

    finding: Finding
    ended_ms: int | None = None
    """When its process ended, None while it runs."""
    incident: Incident | None = None
    """The newest of this finding."""
    estimated: bool = False
    """Whether its newest value was estimated rather than read."""
    too_large: bool = False
    """Whether that is because a full read would make its process wait for too long."""
    growth: Growth | None = None
    """What part of it grows, where its mappings were looked into."""
    whose: Ownership | None = None
    """What is known of its control groups; None of the kernel's own memory and of what has ended."""
    next_step: str = ""
    """The command to try first, empty where there is none."""

    def silenced(self, now_ms: int) -> bool:
        """Return whether somebody has silenced it, for now."""
        return self.incident is not None and self.incident.silenced(now_ms) is not None


@dataclass(frozen=True, slots=True)
class Host:
    """What the last scrape saw, and how regular the scrapes are."""

    last_scrape_ms: int
    interval_s: float
    values: Mapping[str, int]
    """Host metrics by name, bytes."""
    targets_read: Mapping[str, int]
    """By collector."""
    absences: Mapping[AbsenceReason, int]
    notes: Mapping[str, Sequence[str]]
    """Examples of absences, or the error, by collector."""
    scrapes: int = 0
    missed: int = 0
    suspended_ms: int = 0
    clock_stepped_ms: int = 0
    """The four over the time the report looks back."""
    horizon_s: float = 0.0
    windows_s: tuple[int, ...] = ()
    store_notes: Sequence[Mapping[str, Any]] = ()
    """What happened to the store lately, oldest first, see ``store.outage`` and ``keeping``."""
    every_s: float = 0.0
    """Between two evaluations, 0 where it is not known."""
    reading_since_ms: int | None = None
    """Since when the daemon reads its history back; None when it does not."""
    hung: tuple[tuple[int, str, int], ...] = ()
    """Pid and name of the processes that do not answer, and since when."""
    hidepid: str = ""
    """How /proc is mounted where that hides other users' processes from the daemon."""


@dataclass(frozen=True, slots=True)
class Own:
    """What leakwatch says of its own daemon: a watcher that grows is no better than what it watches."""

    finding: Finding
    cpu_share: float | None
    """Of a core since the store was begun, evaluation and storing included; None where it was not kept."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a renderer needs."""

    generated_ms: int
    evaluated_ms: int | None
    host: Host
    rows: tuple[ReportRow, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of all findings about what is there, by verdict, before filtering."""
    window_s: int | None = None
    own: Own | None = None
    kills: Mapping[str, Kills] = field(default_factory=dict)
    """OOM kills by the service's name, empty of those of nobody known."""
    tally: Tally = NOTHING
    """Of what the options ask about, whatever its verdict."""
    leaked: tuple[ReportRow, ...] = ()
    """What leaks, or leaked until it ended or was restarted, within the time that counts."""
    partly_read: tuple[str, ...] = ()
    """Names of services not all of whose processes are read, and of which no more is known; before filtering."""

    @property
    def outcome(self) -> Outcome:
        """What the report comes to."""
        found = self.tally if self.unjudged_s is None else replace(self.tally, group_open=True)
        return conclude(found, leaks=bool(self.leaked), sampled=self.stale_s is None)

    @property
    def loud(self) -> tuple[ReportRow, ...]:
        """The rows that nobody has silenced."""
        return tuple(row for row in self.rows if not row.silenced(self.generated_ms))

    @property
    def silenced(self) -> tuple[ReportRow, ...]:
        """The rows that somebody has silenced: listed apart, never hidden."""
        return tuple(row for row in self.rows if row.silenced(self.generated_ms))

    @property
    def leaking(self) -> bool:
        """Whether something in the report leaks now, silenced or not: a silence is about being told."""
        return any(row.finding.assessment.verdict is Verdict.LEAK and row.ended_ms is None for row in self.rows)

    @property
    def stale_s(self) -> float | None:
        """Seconds since the last scrape when nobody seems to sample any more, else None."""
        age_s = (self.generated_ms - self.host.last_scrape_ms) / 1000
        return age_s if age_s > STALE_INTERVALS * self.host.interval_s else None

    @property
    def unjudged_s(self) -> float | None:
        """Seconds since the last evaluation when what is sampled is not judged any more, else None."""
        if self.evaluated_ms is None or self.stale_s is not None:
            return None
        age_s = (self.generated_ms - self.evaluated_ms) / 1000
        limit_s = STALE_INTERVALS * max(self.host.every_s, self.host.interval_s)
        return age_s if self.host.reading_since_ms is not None or age_s > limit_s > 0 else None


def build(
    rows: Sequence[ReportRow],
    host: Host,
    counts: Mapping[str, int],
    filters: Filters,
    *,
    generated_ms: int,
    evaluated_ms: int | None,
    own: Own | None = None,
    kills: Mapping[str, Kills] | None = None,
) -> Report:
    """Return the report. Raises UsageError for a window that is not evaluated."""
    if filters.window_s is not None:
        rows = [_seen_by(row, filters.window_s, host.windows_s) for row in rows]
    asked = [row for row in rows if _is_asked(row, filters)]
    chosen = [row for row in asked if row.finding.assessment.verdict in filters.verdicts]
    ordered = sorted(chosen, key=lambda row: rank(row, generated_ms, host.horizon_s), reverse=True)
    since_ms = generated_ms - DAY_MS if filters.ended_since_ms is None else filters.ended_since_ms
    leaked = [row for row in asked if _leaked(row, since_ms)] if Verdict.LEAK in filters.verdicts else []
    return Report(
        generated_ms,
        evaluated_ms,
        host,
        tuple(ordered),
        dict(counts),
        filters.window_s,
        own,
        kills or {},
        _tally(asked, filters, own, since_ms),
        tuple(leaked),
        tuple(row.finding.name for row in rows if _is_partly_read(row)),
    )


def _is_partly_read(row: ReportRow) -> bool:
    """Return whether nothing can be said of it but the least it can be."""
    return row.finding.is_lower_bound and row.finding.assessment.verdict is Verdict.LEARNING and row.ended_ms is None


def _leaked(row: ReportRow, since_ms: int) -> bool:
    """Return whether it leaks, or did until it ended or was restarted at or after a time."""
    if row.finding.assessment.verdict is Verdict.LEAK:
        return row.ended_ms is None or row.ended_ms >= since_ms
    known = row.incident
    return known is not None and known.confirmed_ms is not None and (known.restarted_ms or 0) >= since_ms


def _tally(asked: Sequence[ReportRow], filters: Filters, own: Own | None, since_ms: int) -> Tally:
    """Count what is decided: of memory, not our own, of what runs or has ended lately; each sort for itself."""
    judged = [
        (row.finding.kind is FindingKind.KERNEL, row.finding.assessment.verdict)
        for row in asked
        if row.finding.metric not in metrics.SCREENED
        and (filters.narrow or own is None or row.finding.id != own.finding.id)
        and (row.ended_ms is None or row.ended_ms >= since_ms)
    ]
    return tally(
        judged, () if filters.narrow else (False,)
    )  # a machine has processes, whether they could be read or not


def rank(row: ReportRow, now_ms: int, horizon_s: float) -> tuple[float, ...]:
    """Return what rows are ordered by, the most urgent largest: how sure it is, how near its end, how fast.

    What is silenced comes last. Of the rest a leak before what is to be watched, what still runs before what has ended,
    what runs out of memory within the horizon before the rest; then confidence x rate / time to exhaustion.
    """
    found = row.finding.assessment
    each = metrics.row(row.finding.metric).bytes_each
    rate = each * max(0.0, found.slope_bytes_per_hour or 0.0)
    at = row.finding.exhaustion_at_ms
    left_h = max((at - now_ms) / 3_600_000, 0.01) if at is not None else 1e6
    near = at is not None and at - now_ms <= horizon_s * 1000
    return (
        float(not row.silenced(now_ms)),
        SEVERITY[found.verdict],
        float(row.ended_ms is None),
        float(near),
        found.confidence * rate / left_h,
        rate,
        each * found.current_bytes,
    )


def _is_asked(row: ReportRow, filters: Filters) -> bool:
    """Return whether the options are about it, whatever its verdict."""
    finding = row.finding
    if filters.pid is not None and finding.pid != filters.pid:
        return False
    return (
        _matches(
            filters.names, finding.name, finding.id, finding.service or "", row.incident.id if row.incident else ""
        )
        and _matches(filters.units, finding.service or "")
        and _matches(filters.users, finding.user or "")
    )


def _matches(patterns: Sequence[str], *texts: str) -> bool:
    """Return whether any pattern fits any text; a pattern without wildcards may stand anywhere in it."""
    if not patterns:
        return True
    loose = [pattern if any(char in pattern for char in "*?[") else f"*{pattern}*" for pattern in patterns]
    return any(fnmatchcase(text, pattern) for text in texts for pattern in loose)


def _seen_by(row: ReportRow, window_s: int, known: Sequence[int]) -> ReportRow:
    if window_s not in known:
        have = ", ".join(format_duration(one) for one in known) or "none yet"
        raise UsageError(f"--window: {format_duration(window_s)} is not evaluated; there are {have}")
    found = row.finding.assessment
    trend = next((trend for trend in found.windows if trend.window_s == window_s), None)
    verdict = trend.verdict if trend else Verdict.OK if found.verdict is Verdict.OK else Verdict.LEARNING
    assessment = replace(
        found,
        verdict=verdict,
        slope_bytes_per_hour=trend.slope_bytes_per_hour if trend else None,
        slope_low=trend.slope_low if trend else None,
        slope_high=trend.slope_high if trend else None,
    )
    return replace(row, finding=replace(row.finding, assessment=assessment))
