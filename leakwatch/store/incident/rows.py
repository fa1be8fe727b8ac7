"""Incidents as rows and back.

Two write them: the daemon moves an incident along and writes its history; commands note who knows of it and until when
it is silenced. Each writes its own columns, so neither undoes the other.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leakwatch.model.incident import (
    Acknowledgement,
    Incident,
    IncidentEvent,
    IncidentState,
    Marks,
    Progress,
    Resolution,
    Silence,
)
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import FindingKind, Verdict
from leakwatch.store.encoding.codec import decode_phrases, encode_phrases
from leakwatch.store.files.driver import PlainConnection
from leakwatch.store.maintenance.column_checks import text, whole
from leakwatch.store.sql import daemon as texts

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
    return {
        "incident_id": event.incident_id,
        "at_ms": event.at_ms,
        "kind": event.kind,
        "reason": encode_phrases(event.reasons),
        "by": event.by,
    }


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
    row = {name: getattr(incident, name) for name in texts.PROGRESS if name not in ("payload", "reason")}
    payload = json.dumps(dataclasses.asdict(incident.progress), separators=(",", ":"))
    return (
        row
        | {"id": incident.id, "payload": payload, "reason": encode_phrases(incident.reasons)}
        | acknowledgement_values(incident.acknowledgement)
        | silence_values(incident.silence)
    )


def incident_of(row: Any) -> Incident:
    """Return the incident of a row. Raises PayloadError or ValueError where it makes no sense.

    What is not needed to know which it is, and how far it has come, may be damaged: an incident is not made anew.
    """
    return Incident(
        id=text(row.id),
        finding_id=text(row.finding_id),
        kind=FindingKind(row.kind),
        name=text(row.name),
        state=IncidentState(row.state),
        opened_ms=whole(row.opened_ms),
        confirmed_ms=_time(row.confirmed_ms),
        since_ms=_time(row.since_ms),
        resolved_ms=_time(row.resolved_ms),
        resolution=Resolution(row.resolution) if row.resolution in frozenset(Resolution) else None,
        reasons=decode_phrases(str(row.reason)),
        reopened=_time(row.reopened) or 0,
        reopened_ms=_time(row.reopened_ms),
        restarted_ms=_time(row.restarted_ms),
        progress=_progress(row.payload),
        acknowledgement=_acknowledgement(row),
        silence=_silence(row),
    )


def shown(incident: Incident, stamps: Stamps) -> Incident:
    """Return an incident in the time of day; what the lifecycle remembers is the daemon's alone."""
    given, silence = incident.acknowledgement, incident.silence
    return dataclasses.replace(
        stamps.shown(incident), acknowledgement=given and stamps.shown(given), silence=silence and stamps.shown(silence)
    )


def _time(value: object) -> int | None:
    return value if isinstance(value, int) else None


def progress_of(told: str) -> Progress:
    """Return the lifecycle's memory. Raises ValueError, TypeError or AttributeError where the text is none."""
    known = {field.name for field in dataclasses.fields(Progress)}
    raw = {name: value for name, value in json.loads(told).items() if name in known}
    return Progress(**{**raw, "verdict": Verdict(raw.get("verdict", Verdict.LEARNING))})


def _progress(told: str) -> Progress:
    """Return the lifecycle's memory; what cannot be read begins anew, so that the incident itself is not lost."""
    try:
        return progress_of(told)
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("the course of a stored incident cannot be read and begins anew: %s", error)
        return Progress(told=True)


def _acknowledgement(row: Any) -> Acknowledgement | None:
    at_ms = _time(row.acknowledged_ms)
    if at_ms is None:
        return None
    by, reason = (str(told or "") for told in (row.acknowledged_by, row.acknowledged_reason))
    return Acknowledgement(at_ms, by, reason, _time(row.acknowledged_round) or 0)


def _silence(row: Any) -> Silence | None:
    since_ms, until_ms = _time(row.silenced_ms), _time(row.silenced_until_ms)
    if since_ms is None or until_ms is None:
        return None
    return Silence(since_ms, until_ms, str(row.silenced_by or ""), str(row.silenced_reason or ""))
