"""Findings of a given verdict, and a day of looks at them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from leakwatch.alerting.lifecycle import Message, Observation, step
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Verdict, said

if TYPE_CHECKING:
    from leakwatch.model.incident import Incident, IncidentEvent

MIB = 1 << 20
START_MS = 1_790_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
PACE = IncidentTimings(HOUR_MS, 10 * 24 * HOUR_MS)
"""The default windows: from an hour to ten days."""
EVERY_MS = 5 * MINUTE_MS
LEAK, WATCH, OK, LEARNING = Verdict.LEAK, Verdict.WATCH, Verdict.OK, Verdict.LEARNING
BASE, RATE = 50 * MIB, 6 * MIB


def finding(
    verdict: Verdict = LEAK,
    *,
    id_: str = "s1",
    pid: int | None = 7,
    kind: FindingKind = FindingKind.SERVICE,
    since_ms: int | None = START_MS,
    level: int = 100 * MIB,
    grown: int | None = 50 * MIB,
    metric: str = "process.uss_swap_bytes",
) -> Finding:
    suspect = verdict in (LEAK, WATCH)
    assessment = Assessment(
        verdict, level, slope_bytes_per_hour=3.0 * MIB, slope_low=2.0 * MIB, slope_high=4.0 * MIB,
        since_ms=since_ms if suspect else None, grown_bytes=grown if suspect else None, reasons=said("a straight rise"),
    )  # fmt: skip
    return Finding(id_, kind, "web.service", metric, assessment, pid, "web.service")


@dataclass
class Course:
    """One finding looked at again and again; ``scale`` stretches all spans, the windows' among them."""

    scale: float = 1.0
    kind: FindingKind = FindingKind.SERVICE
    now_ms: int = START_MS
    incident: Incident | None = None
    events: list[IncidentEvent] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    life: str = "boot/7/70"
    pid: int = 7
    metric: str = "process.uss_swap_bytes"
    began_ms: int = START_MS

    @property
    def pace(self) -> IncidentTimings:
        return IncidentTimings(round(PACE.shortest_ms * self.scale), round(PACE.longest_ms * self.scale))

    def look(self, verdict: Verdict | None, *, suspected: bool = False, level: int = 100 * MIB) -> None:
        """Look once, None: it is not there."""
        found = (
            None
            if verdict is None
            else finding(verdict, pid=self.pid, kind=self.kind, since_ms=self.began_ms, level=level, metric=self.metric)
        )
        taken = step(self.incident, Observation(self.now_ms, found, suspected, self.life), self.pace)
        self.incident = taken.incident
        self.events += taken.events
        self.told += [taken.message] if taken.message else []

    def go(
        self, verdict: Verdict | None, hours: float = 0.0, *, suspected: bool = False, level: int = 100 * MIB
    ) -> Course:
        """Look every five minutes for as long, at least once."""
        every_ms = round(EVERY_MS * self.scale)
        for _ in range(max(1, round(hours * HOUR_MS / EVERY_MS))):
            self.now_ms += every_ms
            self.look(verdict, suspected=suspected, level=level)
        return self

    def restart(self, pid: int) -> Course:
        self.pid, self.life = pid, f"boot/{pid}/{pid * 10}"
        self.began_ms = self.now_ms
        return self

    def set_clock(self, by_ms: int) -> Course:
        self.now_ms += by_ms
        return self

    def note(self, **marks: object) -> Course:
        assert self.incident is not None
        self.incident = replace(self.incident, **marks)  # type: ignore[arg-type]
        return self

    @property
    def state(self) -> str:
        return str(self.incident.state) if self.incident else "none"

    @property
    def kinds(self) -> list[str]:
        return [str(event.kind) for event in self.events]
