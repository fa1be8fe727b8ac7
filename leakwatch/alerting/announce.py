"""Moves incidents along with the evaluations, and writes to the log: leaks found, come back, still there, and over.

It writes of processes the kernel killed for want of memory, too, and who owned them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leakwatch import metrics
from leakwatch.alerting.lifecycle import Message, Observation, is_history, step
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.clock import rfc3339
from leakwatch.model.incident import Incident, IncidentEvent, Marks, Silence
from leakwatch.model.sample import OomKill
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import Finding
from leakwatch.report import phrases
from leakwatch.system.journal import LEAK_FOUND, LEAK_OVER, LEAK_REMINDED, LEAK_REOPENED, OOM_KILLED
from leakwatch.text.escape import printable
from leakwatch.units import format_amount, format_bytes, format_growth


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


_MESSAGE_IDS = {
    Message.FOUND: LEAK_FOUND,
    Message.REOPENED: LEAK_REOPENED,
    Message.REMINDED: LEAK_REMINDED,
    Message.OVER: LEAK_OVER,
}
_REMARKS = {
    Message.REOPENED: "reopened after it was resolved, ",
    Message.REMINDED: "its silence is over and it still leaks, ",
}

log = logging.getLogger(__name__)


def announce(what: Announcement, stamps: Stamps) -> None:
    """Write it to the log, in the time of day: a leak at warning priority, its end at info."""
    finding, incident = what.finding, what.incident
    extra = {"message_id": _MESSAGE_IDS[what.message], "leakwatch": _fields(finding, incident)}
    if what.message is Message.OVER or finding is None:
        text = (
            f"leak over: {_who(finding, incident)}: {printable(phrases.text(incident.reasons))}; incident {incident.id}"
        )
        log.info("%s", text, extra=extra)
        return
    remark = _REMARKS.get(what.message, "")
    log.warning(
        "%s", f"leak: {_growth(finding, incident, stamps)}; {remark}incident {incident.id}{_see(finding)}", extra=extra
    )


def _growth(finding: Finding, incident: Incident, stamps: Stamps) -> str:
    found = finding.assessment
    slope, low, high = found.slope_bytes_per_hour or 0.0, found.slope_low or 0.0, found.slope_high or 0.0
    since = (
        f", {format_amount(found.grown_bytes, found.unit)} since {rfc3339(stamps.wall(found.since_ms))}"
        if found.since_ms and found.grown_bytes
        else ""
    )
    grow = "grow" if finding.metric in metrics.COUNTS else "grows"
    most = next((sort for sort in finding.sorts if sort.grown > 0), None)
    sorts = f", most of them {printable(most.name)}" if most else ""
    return (
        f"{_who(finding, incident)}: {metrics.title(finding.metric)} {grow} {format_growth(slope, found.unit)} "
        f"({format_growth(low, found.unit)} to {format_growth(high, found.unit)}){since}{sorts}"
    )


def _see(finding: Finding) -> str:
    return f", see: leakwatch report --name {finding.id}"


def _fields(finding: Finding | None, incident: Incident) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": incident.finding_id,
        "incident": incident.id,
        "kind": incident.kind,
        "name": incident.name,
    }
    if finding is None:
        return fields
    slope = "slope_count_per_hour" if finding.metric in metrics.COUNTS else "slope_bytes_per_hour"
    return fields | {
        "pid": finding.pid or "",
        "service": finding.service or "",
        "metric": finding.metric,
        slope: round(finding.assessment.slope_bytes_per_hour or 0.0),
    }


def _who(finding: Finding | None, incident: Incident) -> str:
    if finding is None:
        return printable(incident.name)
    parts = []
    if finding.pid is not None:
        parts.append(f"pid {finding.pid}")
    if finding.service and finding.service != finding.name:
        parts.append(finding.service)
    return printable(f"{finding.name} ({', '.join(parts)})" if parts else finding.name)


def tell(kill: OomKill) -> None:
    """Write it to the log, as a warning with fields."""
    service = kill.service.key.partition(":")[2] if kill.service else ""
    fields = {
        "service": service,
        "count": kill.count,
        "certain": int(kill.certain),
        "cgroup": kill.group,
        "limit_bytes": "" if kill.limit_bytes is None else kill.limit_bytes,
    }
    log.warning("%s", _sentence(kill, service), extra={"message_id": OOM_KILLED, "leakwatch": fields})


def _sentence(kill: OomKill, service: str) -> str:
    killed = "1 process" if kill.count == 1 else f"{kill.count} processes"
    if not service:
        maybe = ", ".join(printable(key.partition(":")[2]) for key in kill.candidates)
        where = f" in {printable(kill.group)}" if kill.group else ""
        return f"out of memory: the kernel killed {killed}{where}; its service is unknown{maybe and f', maybe {maybe}'}"
    limit = "" if kill.limit_bytes is None else f"; its control group's limit is {format_bytes(kill.limit_bytes)}"
    sure = "" if kill.certain else " (inferred: its control group was recreated)"
    return f"out of memory: the kernel killed {killed} of {printable(service)}{sure}{limit}"
