"""All incidents in step with the evaluations: what of them is to be written and told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leakwatch.alerting.lifecycle import Message, Observation, is_history, step
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.model.incident import Incident, IncidentEvent, Marks, Silence
from leakwatch.model.verdict import Finding


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the log is to be told, and of what."""

    message: Message
    incident: Incident
    finding: Finding | None
    """None when it is no longer there."""


@dataclass(frozen=True, slots=True)
class IncidentChanges:
    """What an evaluation changed."""

    write: tuple[Incident, ...] = ()
    events: tuple[IncidentEvent, ...] = ()
    silences: tuple[tuple[Silence, Incident], ...] = ()
    """Silences that ended, or hold for another time since the clock was set, each as it was and with its incident."""
    announce: tuple[Announcement, ...] = ()


class Incidents:
    """The newest incident of each finding; starts from what the store holds."""

    def __init__(self, pace: IncidentTimings, incidents: Iterable[Incident] = ()) -> None:
        self._pace = pace
        self._newest: dict[str, Incident] = {}
        for incident in sorted(incidents, key=lambda one: one.opened_ms):
            self._newest[incident.finding_id] = incident
        self._lost = IncidentChanges()
        """What could not be stored at the last evaluation."""

    def update(
        self,
        findings: Sequence[Finding],
        now_ms: int,
        *,
        suspected: frozenset[str] = frozenset(),
        lives: Mapping[str, str] | None = None,
        marks: Mapping[str, Marks] | None = None,
    ) -> IncidentChanges:
        """Return what is to be written and told.

        ``suspected`` holds the ids of findings with a frozen forecast and ``lives`` their oldest processes by id;
        ``marks`` is what people have noted by incident id, None where it could not be read.
        """
        if marks is not None:
            self._take(marks)
        here = {finding.id: finding for finding in findings}
        write = {one.id: one for one in self._lost.write}
        events, silences = list(self._lost.events), list(self._lost.silences)
        announce = []
        for id_ in [*here, *(self._newest.keys() - here.keys())]:
            before = self._newest.get(id_)
            finding = here.get(id_)
            look = Observation(now_ms, finding, id_ in suspected, (lives or {}).get(id_, ""))
            taken = step(before, look, self._pace)
            if taken.incident is None or taken.incident is before:
                if finding is None and before is not None and is_history(before, now_ms, self._pace):
                    del self._newest[id_]  # else they would grow in number with every program that ever ran
                continue
            after = self._newest[id_] = taken.incident
            write[after.id] = after
            events += taken.events
            if before is not None and before.id == after.id and before.silence and after.silence != before.silence:
                silences.append((before.silence, after))
            if taken.message is not None:
                announce.append(Announcement(taken.message, after, finding))
        self._lost = IncidentChanges()
        return IncidentChanges(tuple(write.values()), tuple(events), tuple(silences), tuple(announce))

    def _take(self, marks: Mapping[str, Marks]) -> None:
        """Take what people have noted since; a silence whose end could not be stored stays ended."""
        ended = {(after.id, before) for before, after in self._lost.silences}
        unstored = {incident.id for incident in self._lost.write}
        for finding_id, incident in self._newest.items():
            if incident.id in unstored and incident.id not in marks:
                continue  # a new store does not know yet what the old one did
            acknowledgement, silence = marks.get(incident.id, (None, None))
            if silence is not None and (incident.id, silence) in ended:
                silence = incident.silence
            self._newest[finding_id] = replace(incident, acknowledgement=acknowledgement, silence=silence)

    def forget(self, changes: IncidentChanges) -> None:
        """Take back what could not be stored, so that it is stored, but not told, at the next evaluation."""
        self._lost = replace(changes, announce=())

    def forget_all(self) -> None:
        """Take it that nothing is stored, as in a new store: the next evaluation stores everything."""
        self._lost = replace(self._lost, write=tuple(self._newest.values()))
