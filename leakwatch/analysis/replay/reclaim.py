"""What ``reclaim`` says of kmalloc caches that grow along with reclaimable ones, over captures.

The daemon compares slopes at each evaluation; here an alarm is held against what has grown shortly before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.findings.reclaimable import PART_OF_TOTAL, class_named
from leakwatch.analysis.rules.verdict import capped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leakwatch.analysis.replay.capture import Capture
    from leakwatch.analysis.replay.outcome import ReplayOutcome

SPAN_UNITS = 12
"""A first ``leak`` comes after 6 to 8 units of growth (hours, at the default windows): twice that has the growth it is
about, and little from before."""


def by_class(captures: Iterable[Capture]) -> dict[int, list[Capture]]:
    """Return the caches whose objects have an array of a kmalloc class, by the class's size."""
    found: dict[int, list[Capture]] = {}
    for one in captures:
        if one.array is not None:
            found.setdefault(one.array[0], []).append(one)
    return found


def without_alarms_along(
    outcome: ReplayOutcome, capture: Capture, of_class: Mapping[int, Sequence[Capture]], unit_s: float
) -> ReplayOutcome:
    """Return the outcome of a series without the alarms about what goes along with reclaimable caches.

    ``of_class`` is what ``by_class`` returns of the host's series. ``unit_s`` is the plan's: lengths follow the
    configured windows.
    """
    size = class_named(capture.subject.field) if outcome.alerts else None
    caches = of_class.get(size) if size is not None else None
    if not caches:
        return outcome
    span_ms = round(SPAN_UNITS * unit_s * 1000)
    alerts = tuple(alert for alert in outcome.alerts if not _goes_along(capture, caches, alert[0], span_ms))
    goes_on = bool(alerts) and alerts[-1][1] is None
    return replace(outcome, alerts=alerts, assessment=outcome.assessment if goes_on else capped(outcome.assessment))


def _goes_along(capture: Capture, caches: Sequence[Capture], alarmed_ms: int, span_ms: int) -> bool:
    grown = _grown(capture, alarmed_ms, span_ms)
    along = sum(max(0.0, _grown(one, alarmed_ms, span_ms)) * one.array[1] for one in caches if one.array is not None)
    return along >= PART_OF_TOTAL * grown > 0


def _grown(capture: Capture, until_ms: int, span_ms: int) -> float:
    """Return by how much it has grown over the span before a time, or as much of it as there is."""
    newest = np.maximum.accumulate(capture.times_ms)  # in order also where the clock was set back
    first, last = np.searchsorted(newest, [until_ms - span_ms, until_ms], side="right") - 1
    return float(capture.values[last] - capture.values[max(0, first)]) if last >= 0 else 0.0
