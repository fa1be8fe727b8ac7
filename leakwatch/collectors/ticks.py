"""What was irregular about the time of a scrape: late, missed, slept through, or the clock was set."""

from __future__ import annotations

from leakwatch.model.sample import Tick
from leakwatch.model.timeline import Moment

LATE_TOLERANCE_MS = 100
"""A tick this late is on time: schedulers wake threads some milliseconds late."""
SUSPEND_TOLERANCE_MS = 50
"""The two monotonic clocks are read one after the other."""


class TickClock:
    """Compares each scrape's time with the one before."""

    def __init__(self, interval_s: float, boot_id: str) -> None:
        self._interval_ms = round(interval_s * 1000)
        self._boot_id = boot_id
        self._previous: Moment | None = None

    def tick(self, now: Moment) -> Tick:
        """Return the tick taken at ``now``."""
        previous, self._previous = self._previous, now
        if previous is None:
            return Tick(now.ts_ms, self._boot_id)
        slept = (now.boottime_ms - previous.boottime_ms) - (now.monotonic_ms - previous.monotonic_ms)
        awake = now.monotonic_ms - previous.monotonic_ms
        missed = max(0, (awake + self._interval_ms // 2) // self._interval_ms - 1)
        late = awake - (missed + 1) * self._interval_ms
        return Tick(
            ts_ms=now.ts_ms,
            boot_id=self._boot_id,
            late_ms=late if late > LATE_TOLERANCE_MS else 0,
            missed=missed,
            suspended_ms=slept if slept > SUSPEND_TOLERANCE_MS else 0,
            clock_step_ms=now.offset_ms - previous.offset_ms,
        )
