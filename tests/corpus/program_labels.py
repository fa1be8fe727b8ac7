"""Labels of a recording of programs, from what each was made to do or said of itself, and when it plainly settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from corpus_files import PER_HOUR, STRETCH, Label

if TYPE_CHECKING:
    from programs import Life
    from servers import Known

SHORT_S = 4 * 60
"""A life shorter than four hours of the trace is not decided by itself."""
LEAST_LEAK = 1_500_000
"""Bytes a life must have leaked for its leak to be called one."""
SETTLED = 0.93
"""A filling series has settled when its running maximum has made this share of its whole rise."""
LATE = 0.75
"""One that settles only in the last quarter of the recording cannot be told from a leak: ambiguous."""

Series = tuple[np.ndarray, np.ndarray]


def of_life(life: Life, samples: Series) -> Label:
    """A process of ours: what it leaked is known to the byte."""
    plan, alive = life.plan, life.died - life.born
    leaked = plan.leaked[: alive + 1]
    if plan.leaked[-1] > 0 and leaked[-1] < LEAST_LEAK:
        return Label(life.series, "ambiguous", plan.role, note="short or slight")
    if leaked[-1] > 0:
        return leak_of(life, leaked)
    if plan.climb is not None and plan.climb[1] >= alive:
        return Label(life.series, "ambiguous", plan.role, note="ends in its climb")
    if life.series.startswith(("proc/java", "proc/node")):
        return of_filling(life.series, plan.role, samples, plan.climb)
    if plan.climb is None:
        return Label(life.series, "ok", plan.role)
    return Label(life.series, "ok", plan.role, *(STRETCH * (life.born + at) for at in plan.climb))


def leak_of(life: Life, leaked: np.ndarray) -> Label:
    onset = int(np.argmax(leaked > 0))
    seconds = len(leaked) - onset
    if seconds < SHORT_S:
        return Label(life.series, "ambiguous", life.plan.role, note="short")
    rate = (leaked[-1] - leaked[onset]) / seconds * PER_HOUR
    note = "rate=avg" if life.plan.curved else ""
    begin, end = (STRETCH * (life.born + at) for at in (onset, len(leaked)))
    return Label(life.series, "leak", life.plan.role, begin, end, rate, note)


def of_filling(series: str, role: str, samples: Series, climb: tuple[int, int] | None = None) -> Label:
    """A heap or a cache that climbs to a plateau: its climb lasts until it has settled."""
    times, values = samples
    highest = np.maximum.accumulate(values)
    rise = highest[-1] - values[0]
    settled = times[int(np.argmax(highest >= values[0] + SETTLED * rise))]
    until = max(settled, 0 if climb is None else climb[1])
    if rise < max(LEAST_LEAK, 0.03 * highest[-1]):
        return Label(series, "ok", role)
    begin = times[0] if climb is None else climb[0]
    if until > times[0] + LATE * (times[-1] - times[0]) and not falls_back(values):
        return Label(series, "ambiguous", role, note="had not settled long before the end")
    return Label(series, "ok", role, STRETCH * begin, STRETCH * until)


def falls_back(values: np.ndarray) -> bool:
    """The lower envelope of the last third is no higher than that of the middle third: swings, not growth."""
    third = len(values) // 3
    return bool(np.quantile(values[-third:], 0.1) <= 1.02 * np.quantile(values[third:-third], 0.1))


def of_server(series: str, known: Known, samples: Series) -> Label:
    times, _ = samples
    if times[-1] - times[0] < SHORT_S and known.label == "ok" and known.fills:
        return Label(series, "ambiguous", known.role, note="short")
    if known.label == "ok":
        return of_filling(series, known.role, samples) if known.fills else Label(series, "ok", known.role)
    told = np.array(known.told, float)
    rate = np.polyfit(told[:, 0], told[:, 1], 1)[0] * PER_HOUR
    note = "rate=avg" if known.curved else ""
    return Label(series, "leak", known.role, STRETCH * times[0], STRETCH * (times[-1] + 1), rate, note)


def of_group(name: str, workers: list[Label], seconds: int) -> Label:
    """The sum over workers leaks as much as they do together."""
    leaking = [label for label in workers if label.label == "leak"]
    if not leaking:
        return Label(f"group/{name}", "ok", "pool_sum", note=f"{len(workers)} workers")
    onset = min(label.onset_s for label in leaking)
    rate = sum(label.rate for label in leaking)
    kind = "leak_pool_sum"
    return Label(
        f"group/{name}", "leak", kind, onset, STRETCH * seconds, rate, f"{len(leaking)} of {len(workers)} leak"
    )
