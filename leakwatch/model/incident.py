"""A verdict's life over time, as frozen values: what was found, told, acknowledged, silenced and resolved.

``alerting.lifecycle`` moves an incident along, the store keeps it, reports show it. One incident stands for one finding
(a service, never one of its workers) from its first suspicion until it is resolved; what leaks again soon after that
goes on with the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from leakwatch.model.verdict import FindingKind, Phrases, Verdict


class IncidentState(StrEnum):
    """How far it has come."""

    OPEN = "open"
    """Suspected: it looks like a leak, and data not yet seen are to decide."""
    CONFIRMED = "confirmed"
    """The verdict was leak, and has not been anything else for long enough since."""
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """Why an incident is over."""

    UNCONFIRMED = "unconfirmed"
    """A suspicion that new data did not bear out; nobody was told of it."""
    BACK = "back"
    """Memory fell back into the range it had before it grew."""
    FLAT = "flat"
    """No leak for as long as it had grown."""
    CLEAN = "clean"
    """After a restart, no leak for longer than it had taken to show."""
    ENDED = "ended"
    """The process or service ended and did not come back."""
    GONE = "gone"
    """The kernel cache or caller is no longer there."""


class EventKind(StrEnum):
    """What can happen to an incident."""

    OPENED = "opened"
    CONFIRMED = "confirmed"
    RESTARTED = "restarted"
    """The process that leaked was replaced by one that is learning."""
    CONTINUED = "continued"
    """What was restarted leaks again."""
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    UNSILENCED = "unsilenced"
    EXPIRED = "expired"
    """A silence came to its end."""


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """One line of an incident's history."""

    incident_id: str
    at_ms: int
    kind: EventKind
    reasons: Phrases = ()
    by: str = ""
    """The user who did it, empty for what leakwatch did."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody knows: no more is announced until the incident is resolved."""

    at_ms: int
    by: str
    reason: str = ""
    round: int = 0
    """``Incident.reopened`` at that time: who acknowledged a leak has not acknowledged that it came back."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is announced until a time, whatever happens."""

    since_ms: int
    until_ms: int
    by: str
    reason: str = ""

    def at(self, now_ms: int) -> Silence | None:
        """Return the silence as it holds at a time, None once it is over.

        A clock set back to before its beginning must not prolong it by that much: it then lasts its length from now.
        """
        if now_ms >= self.until_ms:
            return None
        if now_ms >= self.since_ms:
            return self
        return replace(self, since_ms=now_ms, until_ms=now_ms + self.until_ms - self.since_ms)


Marks = tuple[Acknowledgement | None, Silence | None]
"""What people have noted of one incident."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the lifecycle remembers between two looks.

    Spans are summed up look by look, each step bounded: so neither a pause of the daemon nor a clock that is set counts
    as time in which something was seen.
    """

    looked_ms: int = 0
    """When it was last looked at."""
    verdict: Verdict = Verdict.LEARNING
    """At that look."""
    metric: str = ""
    """Of the last leak look, as everything below in bytes."""
    pid: int | None = None
    """Of the process named at the last look that saw a leak or a restart."""
    life: str = ""
    """The oldest process at that look."""
    base_bytes: int | None = None
    """The level at which the growth began."""
    peak_bytes: int = 0
    grew_ms: int = 0
    """For how long it had grown at the last leak look."""
    took_ms: int = 0
    """From the beginning of the growth to the verdict leak."""
    quiet_ms: int = 0
    """For how long it has been no leak."""
    back_ms: int = 0
    """For how long it has been back in its old range."""
    gone_ms: int | None = None
    """For how long it has been missing, None while it is there."""
    judged: bool = False
    """Whether the present life has had a verdict beyond learning."""
    told: bool = False
    """Whether the log was told of the leak since it was opened or reopened."""
    muted: bool = False
    """Whether a silence has kept the log from being told, or reminded, of a leak."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One finding's trouble from its first suspicion to its resolution, over restarts and reopenings."""

    id: str
    finding_id: str
    kind: FindingKind
    name: str
    state: IncidentState
    opened_ms: int
    confirmed_ms: int | None = None
    """When the verdict first was leak, None if it never was."""
    since_ms: int | None = None
    """When the growth began."""
    resolved_ms: int | None = None
    resolution: Resolution | None = None
    reasons: Phrases = ()
    """Of the last change of state."""
    reopened: int = 0
    """How often it came back after it was resolved."""
    reopened_ms: int | None = None
    restarted_ms: int | None = None
    """When what leaked was restarted, None once the new process has been found to leak as well."""
    progress: Progress = Progress()
    acknowledgement: Acknowledgement | None = None
    silence: Silence | None = None

    @property
    def acknowledged(self) -> Acknowledgement | None:
        """The acknowledgement that is in force, if any."""
        given = self.acknowledgement
        return given if given and given.round == self.reopened and self.state is not IncidentState.RESOLVED else None

    def silenced(self, now_ms: int) -> Silence | None:
        """Return the silence that is in force at a time, if any."""
        return self.silence.at(now_ms) if self.silence else None
