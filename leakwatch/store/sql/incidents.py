"""The SQL of incidents and what people note of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import tables as s

if TYPE_CHECKING:
    from sqlalchemy import Select, Update

ADD_INCIDENT_EVENT = insert(s.incident_event)


def incidents() -> Select[Any]:
    """Every incident, oldest first."""
    return select(s.incident).order_by(s.incident.c.opened_ms, s.incident.c.id)


def incident_events(incident_id: str) -> Select[Any]:
    """One incident's history as it was written, which is its order even when the clock was set back."""
    return select(s.incident_event).where(s.incident_event.c.incident_id == incident_id).order_by(s.incident_event.c.id)


def mark_incident(incident_id: str, values: Mapping[str, object]) -> Update:
    """Note what somebody says of an incident."""
    return update(s.incident).where(s.incident.c.id == incident_id).values(values)
