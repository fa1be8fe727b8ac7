"""The time constants of an incident's life."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.model.incident import Progress


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
