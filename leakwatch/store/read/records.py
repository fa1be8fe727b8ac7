"""What a reader of the store hands out, where the model has no word for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leakwatch.model.identity import ProcessIdentity, ProcessInfo, Service, ServiceKind
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import Finding
from leakwatch.store.maintenance.column_checks import none_or, text, whole


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding with what became of it."""

    finding: Finding
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a store held when a daemon opened it; what that daemon has stored since lies beyond it."""

    last_id: int
    """The newest scrape, 0 where there is none."""
    first_ms: int
    last_ms: int
    living: frozenset[int]
    """The numbers of the targets that were not known to have ended."""


@dataclass(frozen=True, slots=True)
class ScrapeHead:
    """A scrape without its samples."""

    id: int
    ts_ms: int
    boot: int
    suspended_ms: int
    clock_step_ms: int
    duration_us: int
    notes: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Irregularities:
    """What was irregular about the scrapes of a time."""

    scrapes: int
    missed: int
    suspended_ms: int
    clock_stepped_ms: int
    latest_ms: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A process with the time it was there."""

    info: ProcessInfo
    first_ms: int
    last_ms: int | None
    """The first scrape it was missing from, None while it lives."""


@dataclass(frozen=True, slots=True)
class CollectorReport:
    """How one collector fared in one scrape."""

    up: bool
    duration_us: int
    targets_read: int
    absences: dict[AbsenceReason, int]


STORE_NOTES = "store_notes"
"""The key of the store's state that holds what happened to it: outages, a store that was lost or set aside."""


def collector_report(values: dict[str, int]) -> CollectorReport:
    """Return a collector's outcome from its samples."""
    absences = {
        reason: values[f"collector.absent.{reason}"]
        for reason in AbsenceReason
        if values.get(f"collector.absent.{reason}")
    }
    return CollectorReport(
        up=bool(values.get("collector.up")),
        duration_us=values.get("collector.duration_us", 0),
        targets_read=values.get("collector.targets_read", 0),
        absences=absences,
    )


def process_info(row: Any) -> ProcessInfo:
    """Return the process of a row. Raises PayloadError or ValueError where it makes no sense."""
    service = Service(ServiceKind(row.service_kind), row.service_name) if row.service_kind else None
    identity = ProcessIdentity(text(row.boot_id), whole(row.pid), whole(row.start_ticks))
    return ProcessInfo(identity, text(row.name), text(row.command), none_or(row.uid), service)
