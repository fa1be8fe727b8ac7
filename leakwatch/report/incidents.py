"""The list of incidents, and the history of one: for a terminal and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from leakwatch import metrics
from leakwatch.clock import rfc3339
from leakwatch.errors import IncidentNotFoundError
from leakwatch.model.incident import Incident, IncidentEvent, IncidentState
from leakwatch.model.verdict import Finding
from leakwatch.report import growth_words, phrases
from leakwatch.report.columns import aligned
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_growth

SCHEMA = 1
_HEADINGS = ("incident", "state", "what", "rate", "since")
_RANK = {IncidentState.CONFIRMED: 2, IncidentState.OPEN: 1, IncidentState.RESOLVED: 0}


@dataclass(frozen=True, slots=True)
class IncidentEntry:
    """An incident with what is said of its finding now."""

    incident: Incident
    finding: Finding | None = None
    """None when nothing is kept of it any more."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be asked for by, apart from its own id."""
        found = self.finding
        more = (found.name, found.service or "") if found else ()
        return (self.incident.finding_id, self.incident.name, *more)


def entries(incidents: Sequence[Incident], findings: Mapping[str, Finding]) -> list[IncidentEntry]:
    """Return the incidents with their findings, which are given by id."""
    return [IncidentEntry(incident, findings.get(incident.finding_id)) for incident in incidents]


def find(known: Sequence[IncidentEntry], named: str) -> IncidentEntry:
    """Return the incident of this id, else the newest of this finding or name, rather one that is not resolved.

    Raises IncidentNotFoundError where there is none, or where the name is that of several findings.
    """
    by_id = [entry for entry in known if entry.incident.id == named]
    if by_id:
        return by_id[0]
    fitting = [entry for entry in known if named in entry.names]
    fitting = [entry for entry in fitting if entry.incident.state is not IncidentState.RESOLVED] or fitting
    newest = {entry.incident.finding_id: entry for entry in sorted(fitting, key=lambda one: one.incident.opened_ms)}
    if not newest:
        raise IncidentNotFoundError(f"no incident is called {printable(named)}; see: leakwatch incidents --all")
    if len(newest) > 1:
        ids = ", ".join(sorted(entry.incident.id for entry in newest.values()))
        raise IncidentNotFoundError(f"{printable(named)} names {len(newest)} incidents: {ids}; give the id of one")
    return next(iter(newest.values()))


def select(
    known: Sequence[IncidentEntry], now_ms: int, *, everything: bool, names: Sequence[str]
) -> list[IncidentEntry]:
    """Return what is to be listed: what is not resolved, the resolved behind it only if asked for.

    Confirmed before suspected before resolved, silenced ones behind the others of their state, then the newest first.
    """
    shown = [
        entry
        for entry in known
        if (everything or entry.incident.state is not IncidentState.RESOLVED) and _matches(names, entry)
    ]
    return sorted(shown, key=lambda entry: _order(entry.incident, now_ms), reverse=True)


def _order(incident: Incident, now_ms: int) -> tuple[int, bool, int, str]:
    latest_ms = incident.resolved_ms or incident.reopened_ms or incident.confirmed_ms or incident.opened_ms
    return _RANK[incident.state], incident.silenced(now_ms) is None, latest_ms, incident.id


def _matches(patterns: Sequence[str], entry: IncidentEntry) -> bool:
    """Return whether any pattern fits; one without wildcards may stand anywhere in a name, as in a report."""
    if not patterns:
        return True
    loose = [pattern if any(char in pattern for char in "*?[") else f"*{pattern}*" for pattern in patterns]
    return any(fnmatchcase(text, pattern) for text in (entry.incident.id, *entry.names) for pattern in loose)


def table(shown: Sequence[IncidentEntry], now_ms: int, *, resolved: int) -> str:
    """Return the list for a terminal; ``resolved`` is how many of the kept ones are left out for being resolved."""
    lines = []
    if shown:
        cells = [_HEADINGS, *(_cells(entry) for entry in shown)]
        heading, *rows = aligned(cells)
        lines.append(heading)
        for entry, line in zip(shown, rows, strict=True):
            lines.append(line)
            noted = growth_words.marks(entry.incident, now_ms)
            lines += [f"    {text}" for text in (growth_words.course(entry.incident), noted) if text]
    else:
        lines.append("No incidents.")
    if resolved:
        lines += ["", f"{resolved} resolved not shown: leakwatch incidents --all"]
    return "\n".join(lines) + "\n"


def _cells(entry: IncidentEntry) -> tuple[str, ...]:
    incident, found = entry.incident, entry.finding
    slope = found.assessment.slope_bytes_per_hour if found else None
    unit = found.assessment.unit if found else ""
    what = printable(incident.name)
    if found is not None and found.pid is not None:
        what = f"{what} (pid {found.pid})"
    if found is not None and found.metric in metrics.APART:
        what = f"{what}: {metrics.title(found.metric)}"
    return (
        incident.id,
        str(incident.state),
        what,
        "-" if slope is None or incident.state is IncidentState.RESOLVED else format_growth(slope, unit),
        growth_words.minute(incident.since_ms or incident.opened_ms),
    )


def as_json(shown: Sequence[IncidentEntry], now_ms: int) -> str:
    """Return the list for programs."""
    listed = [as_object(entry, now_ms) for entry in shown]
    return _json({"schema": SCHEMA, "generated_at": rfc3339(now_ms), "incidents": listed})


def as_object(entry: IncidentEntry, now_ms: int) -> dict[str, Any]:
    """Return an incident with whose it is."""
    incident, found = entry.incident, entry.finding
    slope = found.assessment.slope_bytes_per_hour if found else None
    number = found is not None and found.assessment.unit == "count"
    return (
        growth_words.incident_object(incident, now_ms)
        | {
            "finding": incident.finding_id,
            "kind": str(incident.kind),
            "name": incident.name,
            "pid": found.pid if found else None,
            "service": found.service if found else None,
            "verdict": str(found.assessment.verdict) if found else None,
            "since": None if incident.since_ms is None else rfc3339(incident.since_ms),
            "slope_bytes_per_hour": None if slope is None or number else round(slope),
        }
        | ({"slope_count_per_hour": round(slope, 2)} if slope is not None and number else {})
    )


def history(entry: IncidentEntry, events: Sequence[IncidentEvent], now_ms: int) -> str:
    """Return one incident with all that happened to it, for a terminal."""
    incident = entry.incident
    lines = [
        f"{incident.id}: {printable(incident.name)} (finding {incident.finding_id})",
        *filter(None, (growth_words.course(incident), growth_words.marks(incident, now_ms))),
        "",
    ]
    cells = [_happened(event) for event in events]
    if cells:
        lines += aligned(cells)
    return "\n".join(lines).rstrip() + "\n"


def _happened(event: IncidentEvent) -> tuple[str, str, str]:
    by = f"by {printable(event.by)}" if event.by else ""
    return rfc3339(event.at_ms), str(event.kind), ": ".join(filter(None, (by, printable(phrases.text(event.reasons)))))


def history_json(entry: IncidentEntry, events: Sequence[IncidentEvent], now_ms: int) -> str:
    """Return the same for programs."""
    happened = [
        {
            "at": rfc3339(event.at_ms),
            "event": str(event.kind),
            "by": event.by or None,
            "reason": phrases.text(event.reasons),
        }
        for event in events
    ]
    return _json({"schema": SCHEMA, "generated_at": rfc3339(now_ms), **as_object(entry, now_ms), "history": happened})


def _json(value: object) -> str:
    return json_text(value, indent=1)
