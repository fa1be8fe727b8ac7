"""An incident in an operator's words, and as JSON."""

from __future__ import annotations

from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.model.incident import Incident, IncidentState
from leakwatch.text.escape import printable


def minute(ts_ms: int) -> str:
    """Return a time to the minute, UTC."""
    return rfc3339(ts_ms).replace("T", " ")[:16] + "Z"


def course(incident: Incident) -> str:
    """Return how far it has come and since when: ``confirmed 2026-11-25 08:00Z, reopened 2 times``."""
    if incident.state is IncidentState.RESOLVED:
        return f"resolved {minute(incident.resolved_ms or incident.opened_ms)}: {printable(incident.reason)}"
    if incident.state is IncidentState.OPEN:
        return f"suspected {minute(incident.opened_ms)}, not confirmed yet"
    parts = [f"confirmed {minute(incident.confirmed_ms or incident.opened_ms)}"]
    if incident.reopened_ms is not None:
        often = f", {incident.reopened} times in all" if incident.reopened > 1 else ""
        parts.append(f"reopened {minute(incident.reopened_ms)}{often}")
    if incident.restarted_ms is not None:
        parts.append(f"restarted {minute(incident.restarted_ms)} and no leak since")
    return ", ".join(parts)


def marks(incident: Incident, now_ms: int) -> str:
    """Return who has acknowledged or silenced it, until when and why; empty when nobody has."""
    parts = []
    if given := incident.acknowledged:
        parts.append(f"acknowledged by {printable(given.by)} {minute(given.at_ms)}{_because(given.reason)}")
    if silence := incident.silenced(now_ms):
        parts.append(f"silenced by {printable(silence.by)} until {minute(silence.until_ms)}{_because(silence.reason)}")
    return "; ".join(parts)


def line(incident: Incident, now_ms: int) -> str:
    """Return all of it in one line."""
    noted = marks(incident, now_ms)
    return f"incident {incident.id}: {course(incident)}{f'; {noted}' if noted else ''}"


def _because(reason: str) -> str:
    return f" ({printable(reason)})" if reason else ""


def as_object(incident: Incident, now_ms: int) -> dict[str, Any]:
    """Return it for programs: times in RFC 3339, None for what does not apply."""
    given, silence = incident.acknowledged, incident.silenced(now_ms)
    return {
        "id": incident.id,
        "state": str(incident.state),
        "opened_at": rfc3339(incident.opened_ms),
        "confirmed_at": _time(incident.confirmed_ms),
        "resolved_at": _time(incident.resolved_ms),
        "resolution": None if incident.resolution is None else str(incident.resolution),
        "reason": incident.reason,
        "reopened": incident.reopened,
        "reopened_at": _time(incident.reopened_ms),
        "restarted_at": _time(incident.restarted_ms),
        "acknowledged": given and {"at": rfc3339(given.at_ms), "by": given.by, "reason": given.reason},
        "silenced": silence
        and {
            "since": rfc3339(silence.since_ms),
            "until": rfc3339(silence.until_ms),
            "by": silence.by,
            "reason": silence.reason,
        },
    }


def _time(ts_ms: int | None) -> str | None:
    return None if ts_ms is None else rfc3339(ts_ms)
