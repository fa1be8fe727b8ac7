"""Shapes of memory over time, and a series that is fed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.rules.evaluate import answer
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.model.verdict import Assessment

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HOUR, DAY = 3600, 86400
START_MS = 1_700_000_000_000 // (DAY * 1000) * DAY * 1000
"""A midnight: every block of every window used here begins then."""
MINUTES = (60, 120)
HALF_MINUTES = (30, 60)
THREE_MINUTES = (180,)
DEFAULT = (HOUR, 4 * HOUR, 16 * HOUR, 64 * HOUR, 10 * DAY)
BASE = 50.0 * MIB
CRITERIA = LeakCriteria()
NO_ROOM_KNOWN = None

Looks = list[tuple[float, "Assessment"]]


def seconds(duration_s: float, interval_s: float = 1.0) -> np.ndarray:
    return np.arange(0.0, duration_s, interval_s)


def settle(state: SeriesState, headroom_bytes: float | None = None) -> Assessment:
    """Judge what is to be judged in this process; return the verdict."""
    questions = state.questions()
    state.settle(dict(zip(questions, answer(questions), strict=True)), headroom_bytes)
    assert state.assessment is not None
    return state.assessment


def checkpoints(
    values: Sequence[float] | np.ndarray,
    windows_s: tuple[int, ...] = MINUTES,
    *,
    interval_s: float = 1.0,
    every_s: float = 5.0,
    criteria: LeakCriteria | None = None,
    start_ms: int = START_MS,
    headroom_bytes: float | None = NO_ROOM_KNOWN,
) -> Looks:
    """Feed the values, NaN meaning no sample, and look every so often; return (seconds since the start, verdict)."""
    state = SeriesState(plan_of(windows_s, interval_s), criteria or CRITERIA)
    seen: Looks = []
    next_s = every_s
    for at, value in zip(np.arange(len(values)) * interval_s, values, strict=True):
        if np.isnan(value):
            continue
        state.feed(start_ms + round(at * 1000), float(value))
        if at >= next_s:
            seen.append((at, settle(state, headroom_bytes)))
            next_s += every_s
    return seen


def verdicts(seen: Looks) -> list[str]:
    """Return the verdicts in the order in which they came, each once as long as it lasted."""
    names = [str(assessment.verdict) for _, assessment in seen]
    return [name for at, name in enumerate(names) if not at or names[at - 1] != name]


def first_leak(seen: Looks) -> tuple[float, Assessment] | None:
    return next(((at, one) for at, one in seen if one.verdict == "leak"), None)
