"""How an incident goes on with each look at its finding: a state machine over frozen values, without a clock.

    (none) -> open        a forecast was frozen: it looks like a leak, new data are to decide
    open -> confirmed     verdict leak
    open -> resolved      no suspicion any more for the shortest window; nobody was told
    confirmed -> resolved back in its old range; or no leak for as long as it grew; or clean after a restart for longer
                          than it took to show; or not there any more
    resolved -> confirmed verdict leak within the reopening span: reopened, the same incident

A verdict that drops from leak to watch or ok and comes back changes nothing: whoever was told is not told again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2s

from leakwatch.alerting.resolution import IncidentTimings, is_back, why_over
from leakwatch.model.incident import EventKind, Incident, IncidentEvent, IncidentState, Progress, Resolution
from leakwatch.model.verdict import Finding, FindingKind, Phrase, Verdict


@dataclass(frozen=True, slots=True)
class Observation:
    """What one evaluation saw of one finding."""

    now_ms: int
    finding: Finding | None
    """None when it is no longer there."""
    suspected: bool = False
    """Whether a frozen forecast waits for new data."""
    life: str = ""
    """Who its oldest process is: another one after a restart, the same when a worker is replaced."""

    @property
    def leaks(self) -> bool:
        """Whether the verdict is leak."""
        return self.finding is not None and self.finding.assessment.verdict is Verdict.LEAK


class Message(StrEnum):
    """What an operator is told of."""

    FOUND = "found"
    REOPENED = "reopened"
    REMINDED = "reminded"
    """A silence is over and it still leaks."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Transition:
    """The incident after a look, and what came of it."""

    incident: Incident | None
    events: tuple[IncidentEvent, ...] = ()
    message: Message | None = None


def step(incident: Incident | None, look: Observation, pace: IncidentTimings) -> Transition:
    """Return what becomes of a finding's newest incident, None where there is none, by one look at the finding."""
    events: list[IncidentEvent] = []
    if incident is None or incident.state is IncidentState.RESOLVED:
        if look.finding is None or not (look.leaks or look.suspected):
            return Transition(incident)
        if incident is None or is_history(incident, look.now_ms, pace):
            incident = _opened(look, look.finding, events)
        elif look.leaks or incident.confirmed_ms is None:
            incident = _reopened(incident, look, look.finding, events)
        else:
            return Transition(incident)  # a suspicion alone does not bring a leak back
    incident = _seen(incident, look, pace, events)
    incident, message = _tell(incident, look, events)
    return Transition(incident, tuple(events), message)


def incident_id(finding_id: str, opened_ms: int) -> str:
    """Return a short name that no other incident has and that stays over restarts and reopenings."""
    return f"i{blake2s(f'{finding_id}:{opened_ms}'.encode(), digest_size=4).hexdigest()}"


def is_history(incident: Incident, now_ms: int, pace: IncidentTimings) -> bool:
    """Return whether it was resolved so long ago that what leaks now is another incident."""
    return (
        incident.state is IncidentState.RESOLVED
        and incident.resolved_ms is not None
        and now_ms - incident.resolved_ms > pace.reopen_ms
    )


def _opened(look: Observation, finding: Finding, events: list[IncidentEvent]) -> Incident:
    now_ms = look.now_ms
    id_ = incident_id(finding.id, now_ms)
    reasons = finding.assessment.reasons
    events.append(IncidentEvent(id_, now_ms, EventKind.OPENED, reasons))
    progress = Progress(looked_ms=now_ms, pid=finding.pid, life=look.life)
    return Incident(
        id_, finding.id, finding.kind, finding.name, IncidentState.OPEN, now_ms, reasons=reasons, progress=progress
    )


def _reopened(incident: Incident, look: Observation, finding: Finding, events: list[IncidentEvent]) -> Incident:
    now_ms = look.now_ms
    ago_s = max(0, now_ms - (incident.resolved_ms or now_ms)) / 1000
    # Its silence stays in force, its acknowledgement does not: see Acknowledgement.round.
    again = replace(
        incident,
        state=IncidentState.OPEN,
        resolved_ms=None,
        resolution=None,
        restarted_ms=None,
        progress=Progress(looked_ms=now_ms, pid=finding.pid, life=look.life),
    )
    if incident.confirmed_ms is None:  # a suspicion that comes back: nobody knew of it
        reasons = finding.assessment.reasons
        events.append(IncidentEvent(incident.id, now_ms, EventKind.OPENED, reasons))
        return replace(again, reasons=reasons)
    reasons = (Phrase("leaks_again", (ago_s,)),)
    events.append(IncidentEvent(incident.id, now_ms, EventKind.REOPENED, reasons))
    return replace(again, reopened=incident.reopened + 1, reopened_ms=now_ms, reasons=reasons)


def _seen(incident: Incident, look: Observation, pace: IncidentTimings, events: list[IncidentEvent]) -> Incident:
    """Take the look at what is not resolved."""
    if look.finding is None:
        after = _missing(incident, look.now_ms, pace, events)
    else:
        incident = replace(incident, name=look.finding.name, kind=look.finding.kind)
        life = incident.progress.life or look.life  # unknown of what was announced before there were incidents
        incident = replace(incident, progress=replace(incident.progress, gone_ms=None, life=life))
        if look.leaks:
            after = _leaking(incident, look, look.finding, events)
        else:
            if _is_restart(incident.progress, look, look.finding):
                incident = _restarted(incident, look, look.finding, events)
            after = _quiet(incident, look, look.finding, pace, events)
        verdict = look.finding.assessment.verdict
        judged = after.progress.judged or verdict is not Verdict.LEARNING
        after = replace(after, progress=replace(after.progress, verdict=verdict, judged=judged))
    return replace(after, progress=replace(after.progress, looked_ms=look.now_ms))


def _missing(incident: Incident, now_ms: int, pace: IncidentTimings, events: list[IncidentEvent]) -> Incident:
    """A service that is being restarted is missing for a moment, one that was stopped stays so."""
    before = incident.progress
    gone_ms = 0 if before.gone_ms is None else before.gone_ms + pace.passed_ms(before, now_ms)
    incident = replace(incident, progress=replace(before, gone_ms=gone_ms, verdict=Verdict.LEARNING))
    if gone_ms < pace.shortest_ms:
        return incident
    if incident.kind is FindingKind.KERNEL:
        return _resolved(incident, Resolution.GONE, Phrase("kernel_gone"), now_ms, events)
    return _resolved(incident, Resolution.ENDED, Phrase("process_gone"), now_ms, events)


def _is_restart(before: Progress, look: Observation, finding: Finding) -> bool:
    """Return whether another process than the one that leaked is there.

    The pid alone tells that only of what is learning: among workers the one that is named changes as their rates do.
    """
    if finding.kind is FindingKind.KERNEL:
        return False
    learning = finding.assessment.verdict is Verdict.LEARNING
    return bool(before.life and before.life != look.life) or (learning and before.pid != finding.pid)


def _restarted(incident: Incident, look: Observation, finding: Finding, events: list[IncidentEvent]) -> Incident:
    before = incident.progress
    learning = finding.assessment.verdict is Verdict.LEARNING
    if incident.restarted_ms is None or (before.judged and learning):  # of one that always restarts, once is enough
        what = Phrase("restarted")
        if before.pid and finding.pid and before.pid != finding.pid:
            what = Phrase("restarted_as", (before.pid, finding.pid))
        reasons = (what, Phrase("learns_anew")) if learning else (what,)
        events.append(IncidentEvent(incident.id, look.now_ms, EventKind.RESTARTED, reasons))
    progress = replace(
        before,
        pid=finding.pid,
        life=look.life,
        base_bytes=None,  # what the new process holds says nothing about the old one's range
        back_ms=0,
        # Clean lives add up: else what is restarted every night would never be resolved.
        quiet_ms=0 if incident.restarted_ms is None else before.quiet_ms,
        judged=False,
    )
    return replace(incident, restarted_ms=look.now_ms, progress=progress)


def _leaking(incident: Incident, look: Observation, finding: Finding, events: list[IncidentEvent]) -> Incident:
    began_ms = finding.assessment.since_ms
    if began_ms is None:
        began_ms = incident.opened_ms
    progress = _at_leak(incident.progress, look, finding, max(0, look.now_ms - began_ms))
    if incident.state is IncidentState.CONFIRMED and incident.restarted_ms is None:
        return replace(incident, progress=progress)
    # The verdict is news: of a suspicion, of a new process, or after the incident was resolved.
    progress = replace(progress, took_ms=progress.grew_ms)
    incident = replace(
        incident, since_ms=began_ms, confirmed_ms=incident.confirmed_ms or look.now_ms, progress=progress
    )
    found = finding.assessment
    rate = (found.slope_bytes_per_hour or 0.0, found.unit)
    kind, reasons = EventKind.CONFIRMED, (Phrase("at_rate", rate), *found.reasons)
    if incident.state is IncidentState.CONFIRMED:
        kind, reasons = EventKind.CONTINUED, (Phrase("leaks_after_restart", rate),)
    elif incident.reopened:
        return replace(incident, state=IncidentState.CONFIRMED)  # told by the event that it was reopened
    events.append(IncidentEvent(incident.id, look.now_ms, kind, reasons))
    return replace(incident, state=IncidentState.CONFIRMED, restarted_ms=None, reasons=reasons)


def _at_leak(before: Progress, look: Observation, finding: Finding, grew_ms: int) -> Progress:
    """Return what a leak look leaves to be remembered."""
    found = finding.assessment
    same = before.metric == finding.metric and before.pid == finding.pid
    base_bytes = None if found.grown_bytes is None else found.current_bytes - found.grown_bytes
    if same and before.base_bytes is not None:
        # The window in which it grows moves on: where it began weeks ago is lower than where that begins.
        base_bytes = before.base_bytes if base_bytes is None else min(before.base_bytes, base_bytes)
    return replace(
        before,
        metric=finding.metric,
        pid=finding.pid,
        life=look.life,
        base_bytes=base_bytes,
        peak_bytes=max(before.peak_bytes, found.current_bytes) if same else found.current_bytes,
        grew_ms=grew_ms,
        quiet_ms=0,
        back_ms=0,
    )


def _quiet(
    incident: Incident, look: Observation, finding: Finding, pace: IncidentTimings, events: list[IncidentEvent]
) -> Incident:
    """Take a look that saw no leak: an end, or a pause."""
    before = incident.progress
    waits = look.suspected and incident.state is IncidentState.OPEN
    counts = before.verdict is not Verdict.LEAK and not waits
    passed_ms = pace.passed_ms(before, look.now_ms)
    progress = replace(
        before,
        quiet_ms=before.quiet_ms + passed_ms if counts else 0,
        back_ms=before.back_ms + passed_ms if counts and is_back(before, finding) else 0,
    )
    incident = replace(incident, progress=progress)
    if look.suspected or finding.assessment.verdict is Verdict.LEARNING:
        return incident  # undecided
    over = why_over(incident, pace)
    return incident if over is None else _resolved(incident, *over, look.now_ms, events)


def _resolved(
    incident: Incident, why: Resolution, reason: Phrase, now_ms: int, events: list[IncidentEvent]
) -> Incident:
    events.append(IncidentEvent(incident.id, now_ms, EventKind.RESOLVED, (reason,)))
    return replace(incident, state=IncidentState.RESOLVED, resolved_ms=now_ms, resolution=why, reasons=(reason,))


def _tell(incident: Incident, look: Observation, events: list[IncidentEvent]) -> tuple[Incident, Message | None]:
    """Return the incident knowing what was told, and what is to be told now."""
    progress = incident.progress
    if incident.state is IncidentState.RESOLVED:
        over = Message.OVER if progress.told else None
        return replace(incident, progress=replace(progress, told=False, muted=False)), over
    silence = incident.silenced(look.now_ms)
    if silence is not None:
        return replace(incident, silence=silence, progress=replace(progress, muted=True)), None
    if incident.silence is not None:
        events.append(IncidentEvent(incident.id, look.now_ms, EventKind.EXPIRED, (Phrase("silence_over"),)))
        incident, progress = replace(incident, silence=None), replace(progress, muted=True)
    if incident.acknowledged:
        return replace(incident, progress=replace(progress, muted=False)), None
    if not look.leaks or (progress.told and not progress.muted):
        return replace(incident, progress=progress), None
    message = Message.REMINDED if progress.told else Message.REOPENED if incident.reopened else Message.FOUND
    return replace(incident, progress=replace(progress, told=True, muted=False)), message
