"""Incidents as rows and back.

Two write them: the daemon moves an incident along and writes its history; commands note who knows of it and until when
it is silenced. Each writes its own columns, so neither undoes the other.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leakwatch.incident import (
    Acknowledgement,
    EventKind,
    Incident,
    IncidentEvent,
    IncidentState,
    Progress,
    Resolution,
    Silence,
)
from leakwatch.model import FindingKind, Verdict
from leakwatch.store.sql import incidents as statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from leakwatch.incident import Marks

log = logging.getLogger(__name__)

_PROGRESS = (
    "finding_id", "kind", "name", "state", "opened_ms", "confirmed_ms", "since_ms", "resolved_ms", "resolution",
    "reason", "reopened", "reopened_ms", "restarted_ms", "payload",
)  # fmt: skip
"""The daemon's columns."""


@dataclass(frozen=True, slots=True)
class ChangedIncidents:
    """What an evaluation changed of incidents."""

    incidents: Sequence[Incident] = ()
    events: Sequence[IncidentEvent] = ()
    silences: Sequence[tuple[Silence, Incident]] = ()
    """Silences as they were, each with its incident, which has the present one or none."""


NO_INCIDENTS = ChangedIncidents()


def put(connection: Connection, changed: ChangedIncidents) -> None:
    """Store what changed."""
    if changed.incidents:
        connection.execute(statements.put_incident(_PROGRESS), [_row(one) for one in changed.incidents])
    for was, incident in changed.silences:
        values = silence_values(incident.silence)
        connection.execute(statements.move_silence(incident.id, was.since_ms, was.until_ms, values))
    put_events(connection, changed.events)


def put_events(connection: Connection, events: Sequence[IncidentEvent]) -> None:
    """Append to the history."""
    if events:
        connection.execute(statements.ADD_INCIDENT_EVENTS, [dataclasses.asdict(event) for event in events])


def read(connection: Connection) -> list[Incident]:
    """Return all incidents, oldest first; one whose row makes no sense is left out with a line in the log."""
    rows = connection.execute(statements.incidents()).all()
    return [incident for row in rows if (incident := _incident(row)) is not None]


def read_events(connection: Connection, incident_id: str) -> list[IncidentEvent]:
    """Return an incident's history, oldest first."""
    rows = connection.execute(statements.incident_events(incident_id)).all()
    kinds = frozenset(EventKind)
    return [
        IncidentEvent(row.incident_id, row.at_ms, EventKind(row.kind), row.reason, row.by)
        for row in rows
        if row.kind in kinds
    ]


def marks(connection: Connection) -> dict[str, Marks]:
    """Return what people have noted, by incident id; those of which nothing is noted are left out."""
    rows = connection.execute(statements.marked_incidents()).all()
    return {row.id: (_acknowledgement(row), _silence(row)) for row in rows}


def acknowledgement_values(given: Acknowledgement | None) -> dict[str, object]:
    """Return the columns of an acknowledgement, NULLs where there is none."""
    return {
        "acknowledged_ms": given.at_ms if given else None,
        "acknowledged_by": given.by if given else None,
        "acknowledged_reason": given.reason if given else None,
        "acknowledged_round": given.round if given else None,
    }


def silence_values(given: Silence | None) -> dict[str, object]:
    """Return the columns of a silence, NULLs where there is none."""
    return {
        "silenced_ms": given.since_ms if given else None,
        "silenced_until_ms": given.until_ms if given else None,
        "silenced_by": given.by if given else None,
        "silenced_reason": given.reason if given else None,
    }


def _row(incident: Incident) -> dict[str, object]:
    row = {name: getattr(incident, name) for name in _PROGRESS if name != "payload"}
    payload = json.dumps(dataclasses.asdict(incident.progress), separators=(",", ":"))
    return (
        row
        | {"id": incident.id, "payload": payload}
        | acknowledgement_values(incident.acknowledgement)
        | silence_values(incident.silence)
    )


def _incident(row: Row[Any]) -> Incident | None:
    try:
        return Incident(
            id=row.id,
            finding_id=row.finding_id,
            kind=FindingKind(row.kind),
            name=row.name,
            state=IncidentState(row.state),
            opened_ms=row.opened_ms,
            confirmed_ms=row.confirmed_ms,
            since_ms=row.since_ms,
            resolved_ms=row.resolved_ms,
            resolution=None if row.resolution is None else Resolution(row.resolution),
            reason=row.reason,
            reopened=row.reopened,
            reopened_ms=row.reopened_ms,
            restarted_ms=row.restarted_ms,
            progress=_progress(row.payload),
            acknowledgement=_acknowledgement(row),
            silence=_silence(row),
        )
    except ValueError as error:
        log.warning("a stored incident cannot be read and is left out: %s", error)
        return None


def _progress(text: str) -> Progress:
    """Return the lifecycle's memory; what cannot be read begins anew, so that the incident itself is not lost."""
    known = {field.name for field in dataclasses.fields(Progress)}
    try:
        raw = {name: value for name, value in json.loads(text).items() if name in known}
        return Progress(**{**raw, "verdict": Verdict(raw.get("verdict", Verdict.LEARNING))})
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("the course of a stored incident cannot be read and begins anew: %s", error)
        return Progress(told=True)


def _acknowledgement(row: Row[Any]) -> Acknowledgement | None:
    if row.acknowledged_ms is None:
        return None
    return Acknowledgement(
        row.acknowledged_ms, row.acknowledged_by or "", row.acknowledged_reason or "", row.acknowledged_round or 0
    )


def _silence(row: Row[Any]) -> Silence | None:
    if row.silenced_ms is None or row.silenced_until_ms is None:
        return None
    return Silence(row.silenced_ms, row.silenced_until_ms, row.silenced_by or "", row.silenced_reason or "")
