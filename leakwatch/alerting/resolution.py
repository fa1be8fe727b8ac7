"""When what is no leak at present is over, and when it may be a pause.

The time constants of an incident's life.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch import metrics
from leakwatch.model.incident import Incident, IncidentState, Progress, Resolution
from leakwatch.model.verdict import Finding, Phrase


@dataclass(frozen=True, slots=True)
class IncidentTimings:
    """The time constants, all of them from the configured windows: with windows of minutes they are minutes."""

    shortest_ms: int
    """The shortest window."""
    longest_ms: int
    """The longest window."""

    @property
    def gap_ms(self) -> int:
        """The most that one look adds to a span: evaluations come at least a dozen a window."""
        return self.shortest_ms // 2

    @property
    def settle_ms(self) -> int:
        """How long memory must stay in its old range: a first verdict takes as long."""
        return self.shortest_ms // 2

    @property
    def reopen_ms(self) -> int:
        """How long after its resolution an incident is the same when it leaks again: as far as a verdict looks back."""
        return self.longest_ms

    def passed_ms(self, before: Progress, now_ms: int) -> int:
        """Return what the time since the last look adds to a span."""
        return min(max(0, now_ms - before.looked_ms), self.gap_ms)

    def bounded(self, span_ms: int) -> int:
        """Return a span as one to wait for: no shorter than a verdict needs, no longer than one looks back."""
        return max(self.shortest_ms, min(span_ms, self.longest_ms))


BACK_WITHIN = 0.25
"""Of the growth: what has given back three quarters of it is in its old range. Allocators keep some, so not all."""


def is_back(before: Progress, finding: Finding) -> bool:
    """Return whether what leaked holds no more now than before it grew, or little."""
    # What leaked as one process may be named as its whole service when it is quiet, which holds no less than that. Not
    # so another process, nor one in place of all: each worker holds less than all of them did.
    same = finding.metric == before.metric and finding.pid == before.pid
    if before.base_bytes is None or not (same or finding.metric == metrics.SERVICE_USS_SWAP):
        return False
    allowed = BACK_WITHIN * max(0, before.peak_bytes - before.base_bytes)
    return finding.assessment.current_bytes <= before.base_bytes + allowed


def why_over(incident: Incident, pace: IncidentTimings) -> tuple[Resolution, Phrase] | None:
    """Return why what is no leak at present is over, None while it may be a pause."""
    done = incident.progress
    quiet_s = done.quiet_ms / 1000
    if incident.state is IncidentState.OPEN:
        # Nobody was told, so there is nobody who could be told too often.
        over = done.quiet_ms >= pace.shortest_ms
        return (Resolution.UNCONFIRMED, Phrase("not_suspected_again", (quiet_s,))) if over else None
    if done.back_ms >= pace.settle_ms:
        return Resolution.BACK, Phrase("number_back" if done.metric in metrics.COUNTS else "memory_back")
    if incident.restarted_ms is not None:
        over = done.quiet_ms > pace.bounded(done.took_ms)
        spans = (quiet_s, done.took_ms / 1000)
        return (Resolution.CLEAN, Phrase("clean_after_restart", spans)) if over else None
    over = done.quiet_ms >= pace.bounded(done.grew_ms)
    return (Resolution.FLAT, Phrase("flat", (quiet_s, done.grew_ms / 1000))) if over else None
