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
    Incident,
    IncidentEvent,
    IncidentState,
    Progress,
    Resolution,
    Silence,
)
from leakwatch.model import FindingKind, Verdict
from leakwatch.store.sql import daemon as texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.incident import Marks
    from leakwatch.store.plain import PlainConnection
    from leakwatch.timeline import Stamps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChangedIncidents:
    """What an evaluation changed of incidents."""

    incidents: Sequence[Incident] = ()
    events: Sequence[IncidentEvent] = ()
    silences: Sequence[tuple[Silence, Incident]] = ()
    """Silences as they were, each with its incident, which has the present one or none."""


NO_INCIDENTS = ChangedIncidents()


def put(connection: PlainConnection, changed: ChangedIncidents) -> None:
    """Store what changed."""
    if changed.incidents:
        connection.execute_many(texts.PUT_INCIDENT, [_row(one) for one in changed.incidents])
    for was, incident in changed.silences:
        key = {"id": incident.id, "was_since_ms": was.since_ms, "was_until_ms": was.until_ms}
        connection.execute(texts.MOVE_SILENCE, silence_values(incident.silence) | key)
    connection.execute_many(texts.ADD_INCIDENT_EVENT, [event_values(event) for event in changed.events])


def marks(connection: PlainConnection) -> dict[str, Marks]:
    """Return what people have noted, by incident id; those of which nothing is noted are left out."""
    rows = connection.execute(texts.MARKED_INCIDENTS)
    return {row.id: (_acknowledgement(row), _silence(row)) for row in rows}


def event_values(event: IncidentEvent) -> dict[str, object]:
    """Return the columns of an entry of the history."""
    return dataclasses.asdict(event)


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
    row = {name: getattr(incident, name) for name in texts.PROGRESS if name != "payload"}
    payload = json.dumps(dataclasses.asdict(incident.progress), separators=(",", ":"))
    return (
        row
        | {"id": incident.id, "payload": payload}
        | acknowledgement_values(incident.acknowledgement)
        | silence_values(incident.silence)
    )


def incident_of(row: Any) -> Incident | None:
    """Return the incident of a row; None, with a line in the log, for one that makes no sense."""
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


def shown(incident: Incident, stamps: Stamps) -> Incident:
    """Return an incident in the time of day; what the lifecycle remembers is the daemon's alone."""
    given, silence = incident.acknowledgement, incident.silence
    return dataclasses.replace(
        stamps.shown(incident), acknowledgement=given and stamps.shown(given), silence=silence and stamps.shown(silence)
    )


def _progress(text: str) -> Progress:
    """Return the lifecycle's memory; what cannot be read begins anew, so that the incident itself is not lost."""
    known = {field.name for field in dataclasses.fields(Progress)}
    try:
        raw = {name: value for name, value in json.loads(text).items() if name in known}
        return Progress(**{**raw, "verdict": Verdict(raw.get("verdict", Verdict.LEARNING))})
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("the course of a stored incident cannot be read and begins anew: %s", error)
        return Progress(told=True)


def _acknowledgement(row: Any) -> Acknowledgement | None:
    if row.acknowledged_ms is None:
        return None
    return Acknowledgement(
        row.acknowledged_ms, row.acknowledged_by or "", row.acknowledged_reason or "", row.acknowledged_round or 0
    )


def _silence(row: Any) -> Silence | None:
    if row.silenced_ms is None or row.silenced_until_ms is None:
        return None
    return Silence(row.silenced_ms, row.silenced_until_ms, row.silenced_by or "", row.silenced_reason or "")
