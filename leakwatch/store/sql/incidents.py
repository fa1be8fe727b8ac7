"""The SQL of incidents and what people note of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import schema as s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Select, Update
    from sqlalchemy.dialects.sqlite import Insert

ADD_INCIDENT_EVENTS = insert(s.incident_event)


def put_incident(progress: Iterable[str]) -> Insert:
    """Add an incident, or renew the named columns of one that is there: what people have noted stays as it is."""
    statement = insert(s.incident)
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in progress}
    )


def incidents() -> Select[Any]:
    """Every incident, oldest first."""
    return select(s.incident).order_by(s.incident.c.opened_ms, s.incident.c.id)


def marked_incidents() -> Select[Any]:
    """Incidents that are or were acknowledged or silenced."""
    c = s.incident.c
    return select(s.incident).where(or_(c.acknowledged_ms.is_not(None), c.silenced_ms.is_not(None)))


def incident_events(incident_id: str) -> Select[Any]:
    """One incident's history as it was written, which is its order even when the clock was set back."""
    return select(s.incident_event).where(s.incident_event.c.incident_id == incident_id).order_by(s.incident_event.c.id)


def mark_incident(incident_id: str, values: Mapping[str, object]) -> Update:
    """Note what somebody says of an incident."""
    return update(s.incident).where(s.incident.c.id == incident_id).values(values)


def move_silence(incident_id: str, since_ms: int, until_ms: int, values: Mapping[str, object]) -> Update:
    """Change a silence, unless somebody has changed it meanwhile."""
    c = s.incident.c
    return (
        update(s.incident)
        .where(c.id == incident_id, c.silenced_ms == since_ms, c.silenced_until_ms == until_ms)
        .values(values)
    )
