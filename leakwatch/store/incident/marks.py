"""What people note of incidents, written beside the daemon: who knows of one, until when one is silenced.

Each note is one short transaction that waits for the daemon's, and the daemon sees it at its next evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from leakwatch.errors import IncidentNotFoundError
from leakwatch.model.incident import Acknowledgement, EventKind, IncidentEvent, Silence
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import Phrases, said
from leakwatch.store.files import engine
from leakwatch.store.files.driver import translated
from leakwatch.store.incident import rows
from leakwatch.store.sql import reading as statements


class Marker:
    """Notes things in the store at ``path``; raises the errors of ``engine.connect_marker`` and StoreBusyError."""

    def __init__(self, path: Path, stamps: Stamps) -> None:
        """Open the store, of which a reader tells how its times lie in the time of day."""
        self.path = path
        self._stamps = stamps
        self._connection = engine.connect_marker(path)

    def close(self) -> None:
        """Close the file."""
        with translated(self.path):
            engine.disconnect(self._connection)

    def acknowledge(self, incident_id: str, given: Acknowledgement) -> None:
        """Note that somebody knows. Raises IncidentNotFoundError."""
        given = replace(given, at_ms=self._stamps.timeline(given.at_ms))
        event = IncidentEvent(incident_id, given.at_ms, EventKind.ACKNOWLEDGED, said(given.reason), given.by)
        self._mark(rows.acknowledgement_values(given), event)

    def silence(self, incident_id: str, given: Silence, told: Phrases) -> None:
        """Note a silence in place of the one there may be; ``told`` is what the history says. The same errors."""
        lasts_ms = given.until_ms - given.since_ms
        since_ms = self._stamps.timeline(given.since_ms)
        given = replace(given, since_ms=since_ms, until_ms=since_ms + lasts_ms)
        event = IncidentEvent(incident_id, given.since_ms, EventKind.SILENCED, told, given.by)
        self._mark(rows.silence_values(given), event)

    def unsilence(self, incident_id: str, at_ms: int, by: str) -> None:
        """Take a silence back. The same errors."""
        event = IncidentEvent(incident_id, self._stamps.timeline(at_ms), EventKind.UNSILENCED, by=by)
        self._mark(rows.silence_values(None), event)

    def _mark(self, values: Mapping[str, object], event: IncidentEvent) -> None:
        with translated(self.path):
            try:
                found = self._connection.execute(statements.mark_incident(event.incident_id, values)).rowcount
                if found:
                    self._connection.execute(statements.ADD_INCIDENT_EVENT, rows.event_values(event))
                self._connection.commit()
            except BaseException:
                engine.roll_back(self._connection)
                raise
        if not found:  # its time was over between the look at it and this
            raise IncidentNotFoundError(f"incident {event.incident_id} is no longer kept")
