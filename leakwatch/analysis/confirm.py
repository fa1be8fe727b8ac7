"""Fresh data decide: the first suspicion freezes a line, and only what was not yet seen then can confirm it.

Looking often at overlapping windows inflates false alarms, and several looks in a row hardly help since they overlap.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from leakwatch.model import Criterion, Verdict

if TYPE_CHECKING:
    from leakwatch.analysis.criteria import LeakCriteria


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A forecast frozen when a series first looked like a leak."""

    window_s: int
    since_ms: int
    level: float
    """Of the line at ``since_ms``, in bytes."""
    slope_bytes_per_hour: float
    confirmed_ms: int | None = None
    last_ms: int = 0
    """When the series last looked like a leak."""

    def to_json(self) -> str:
        """Return the text the store keeps."""
        return json.dumps(asdict(self))


def from_json(text: str) -> Suspicion:
    """Return the suspicion ``to_json`` wrote."""
    return Suspicion(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Look:
    """What one evaluation saw of a series."""

    now_ms: int
    verdict: Verdict
    """Before confirmation."""
    window_s: int
    """Of the deciding window."""
    level: float
    """Of the newest troughs, in bytes."""
    slope_bytes_per_hour: float
    exhaustion_s: float | None = None
    """Until memory runs out at this slope, None when unknown."""


def confirm(
    look: Look, suspicion: Suspicion | None, criteria: LeakCriteria
) -> tuple[Verdict, Suspicion | None, tuple[Criterion, ...]]:
    """Return the verdict to publish, the suspicion to keep, and what the confirmation measured."""
    if look.verdict is not Verdict.LEAK:
        return _fading(look, suspicion, criteria)
    if suspicion is None:
        suspicion = Suspicion(look.window_s, look.now_ms, look.level, look.slope_bytes_per_hour)
    suspicion = replace(suspicion, last_ms=look.now_ms)
    if suspicion.confirmed_ms is not None:
        return Verdict.LEAK, suspicion, (_confirmed(suspicion),)
    wait_s = criteria.confirm_ratio * suspicion.window_s
    fresh_s = (look.now_ms - suspicion.since_ms) / 1000
    waited = Criterion("fresh data", fresh_s, wait_s, fresh_s >= wait_s, "s", suspicion.window_s)
    if look.exhaustion_s is not None and look.exhaustion_s < wait_s - fresh_s:
        sooner = Criterion("memory lasts until confirmed", look.exhaustion_s, wait_s - fresh_s, False, "s")
        return Verdict.LEAK, replace(suspicion, confirmed_ms=look.now_ms), (waited, sooner)
    if not waited.passed:
        return Verdict.WATCH, suspicion, (waited,)
    expected = suspicion.slope_bytes_per_hour * fresh_s / 3600
    follow = (look.level - suspicion.level) / expected if expected > 0 else 0.0
    followed = Criterion(
        "fresh data follow the line", follow, criteria.confirm_follow, follow >= criteria.confirm_follow, "ratio"
    )
    if not followed.passed:  # the forecast was wrong: freeze a new one from what is known now
        again = Suspicion(look.window_s, look.now_ms, look.level, look.slope_bytes_per_hour, last_ms=look.now_ms)
        return Verdict.WATCH, again, (waited, followed)
    return Verdict.LEAK, replace(suspicion, confirmed_ms=look.now_ms), (waited, followed)


def _fading(
    look: Look, suspicion: Suspicion | None, criteria: LeakCriteria
) -> tuple[Verdict, Suspicion | None, tuple[Criterion, ...]]:
    """Keep a confirmed leak through a short pause, forget it when the growth has ended."""
    if suspicion is None or look.verdict in (Verdict.OK, Verdict.LEARNING):
        return look.verdict, None, ()
    paused_s = (look.now_ms - suspicion.last_ms) / 1000
    if paused_s > criteria.confirm_ratio * suspicion.window_s:
        return look.verdict, None, ()
    if suspicion.confirmed_ms is None:
        return look.verdict, suspicion, ()
    return Verdict.LEAK, suspicion, (_confirmed(suspicion),)


def _confirmed(suspicion: Suspicion) -> Criterion:
    assert suspicion.confirmed_ms is not None
    waited_s = (suspicion.confirmed_ms - suspicion.since_ms) / 1000
    return Criterion("confirmed by fresh data", waited_s, None, True, "s", suspicion.window_s)
