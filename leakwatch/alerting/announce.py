"""Writes to the log: leaks that were found, came back, still last when their silence is over, and are over.

And processes the kernel killed for want of memory, and whose they were.
"""

from __future__ import annotations

import logging

from leakwatch import metrics
from leakwatch.alerting.incidents import Announcement
from leakwatch.alerting.lifecycle import Message
from leakwatch.clock import rfc3339
from leakwatch.model.incident import Incident
from leakwatch.model.sample import OomKill
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import Finding
from leakwatch.report import phrases
from leakwatch.system.journal import LEAK_FOUND, LEAK_OVER, LEAK_REMINDED, LEAK_REOPENED, OOM_KILLED
from leakwatch.text.escape import printable
from leakwatch.units import format_amount, format_bytes, format_growth

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
