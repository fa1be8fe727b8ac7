"""What is left to grow into: the machine's memory, or less where a process has a limit of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from leakwatch import metrics
from leakwatch.model import SEVERITY, Verdict

if TYPE_CHECKING:
    from leakwatch.model import CountLimit, Finding

FAR_FUTURE_MS = 253_402_300_799_000
"""The end of year 9999, the last RFC 3339 can name."""


class Limits(Protocol):
    """Tells what a process may grow to."""

    def limit_of(self, pid: int) -> tuple[int, str] | None:
        """Return the memory limit that binds this process in bytes, and whose it is; None when there is none."""

    def count_limit_of(self, metric: str, pid: int | None, now: int) -> CountLimit | None:
        """Return the limit that a count which is ``now`` meets first, of a process or the machine; None if unknown."""


class Headroom:
    """Knows what the newest scrape says of the machine."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._host: dict[str, int] = {}

    def frozen(self) -> Headroom:
        """Return a copy that no later sample changes: it reads files, which none does that holds a lock."""
        copy = Headroom(self._limits)
        copy._host = dict(self._host)
        return copy

    def note(self, metric: str, value: int) -> None:
        """Take one of the host's samples."""
        self._host[metric] = value

    def of(self, pid: int | None, current_bytes: float) -> tuple[int | None, str]:
        """Return what a process of this size, or the kernel, has left in bytes, None where unknown; and whose it is."""
        available, name = self._host.get("kernel.mem_available_bytes"), "memory available on this machine"
        left = None if available is None else available + self._host.get("kernel.swap_free_bytes", 0)
        limit = self._limits.limit_of(pid) if pid is not None else None
        if limit is not None:
            own = max(0, limit[0] - round(current_bytes))
            if left is None or own < left:
                return own, limit[1]
        return left, name

    def of_count(self, metric: str, pid: int | None, newest: tuple[int, float] | None) -> int | None:
        """Return how many more there may be of what is counted, None where unknown; ``newest`` is (time, count)."""
        limit = self._limits.count_limit_of(metric, pid, round(newest[1])) if newest else None
        return limit.left if limit else None

    def foretell(self, finding: Finding, now_ms: int) -> Finding:
        """Add when memory runs out, or a limit on a number is reached, for what grows."""
        found = finding.assessment
        finding = replace(finding, evaluated_at_ms=now_ms)
        if SEVERITY[found.verdict] < SEVERITY[Verdict.WATCH] or not (found.slope_bytes_per_hour or 0) > 0:
            return finding
        left: int | None
        if finding.metric in metrics.COUNTS:
            limit = self._limits.count_limit_of(finding.metric, finding.pid, found.current_bytes)
            left, name = (limit.left, limit.name) if limit else (None, "")
            finding = replace(finding, limit_total=limit.total if limit else None)
        else:
            left, name = self.of(finding.pid, found.current_bytes)
        if left is None:
            return finding
        at = now_ms + left / (found.slope_bytes_per_hour or 1.0) * 3_600_000
        return replace(
            finding, limit_bytes=left, limit_name=name, exhaustion_at_ms=int(at) if at < FAR_FUTURE_MS else None
        )
