"""Replays captures through the detector as it would have happened: no look ahead, one evaluation every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch.analysis.state import SeriesState
from leakwatch.model import Assessment, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.capture import Capture
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.spans import Window
    from leakwatch.analysis.subject import Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay says of one series."""

    name: str
    assessment: Assessment
    """At the last sample."""
    alerts: tuple[tuple[int, int | None], ...]
    """Times with verdict leak, in UTC milliseconds; the last is open (None) when it still holds at the end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the configuration a replay needs."""

    windows: tuple[Window, ...]
    criteria_for: Callable[[Subject], LeakCriteria]


def replay(captures: Sequence[Capture], settings: Settings, step_s: float | None = None) -> list[Outcome]:
    """Return the outcome of every series of one host, in the order given."""
    step_ms = round((step_s or settings.windows[0].span_s) * 1000)
    return [_replayed(capture, settings, step_ms) for capture in captures]


def _replayed(capture: Capture, settings: Settings, step_ms: int) -> Outcome:
    state = SeriesState(settings.windows)
    criteria = settings.criteria_for(capture.subject)
    alerts: list[tuple[int, int | None]] = []
    due_ms = int(capture.times_ms[0]) + step_ms
    last = len(capture.times_ms) - 1
    for at, (ts_ms, value) in enumerate(zip(capture.times_ms.tolist(), capture.values.tolist(), strict=True)):
        state.feed(ts_ms, value)
        if ts_ms < due_ms - 2 * step_ms or ts_ms >= due_ms or at == last:
            due_ms = ts_ms + step_ms
            leaks = state.assess(criteria, ts_ms, None).verdict is Verdict.LEAK
            is_open = bool(alerts) and alerts[-1][1] is None
            if leaks and not is_open:
                alerts.append((ts_ms, None))
            elif not leaks and is_open:
                alerts[-1] = (alerts[-1][0], ts_ms)
    assert state.assessment is not None
    return Outcome(capture.name, state.assessment, tuple(alerts))
