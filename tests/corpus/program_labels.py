"""Labels of a recording of programs, from what each was made to do or said of itself, and when it plainly settled."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tests.corpus.corpus_files import PER_HOUR, STRETCH, Label

if TYPE_CHECKING:
    from tests.corpus.programs import Life
    from tests.corpus.servers import Known

SHORT_S = 4 * 60
"""A life shorter than four hours of the trace is not decided by itself."""
LEAST_LEAK = 1_500_000
"""Bytes a life must have leaked for its leak to be called one."""
SETTLED = 0.93
"""A filling series has settled when its running maximum has made this share of its whole rise."""
MOSTLY = 0.8
"""The same of one that swings above its plateau now and then, whose highest point comes late."""
LATE = 0.75
"""One that settles only in the last quarter of the recording cannot be told from a leak: ambiguous."""

HIDDEN = 0.5, 2.0
"""A leak that USS does not show within these factors of its rate is hidden by its heap's slack: nobody could tell."""
CLOSE = 0.8, 1.25
"""A leak that USS shows within these factors only has a heap that grows beside it: its rate is a mean, no more."""
LEAST_SAMPLES = 30
"""Helpers that live for seconds are no series."""
STILL_BYTES = 100_000
"""Of the processes of one name that moved less than this, one is kept."""
DULL = {"web_server": 3, "database_server": 2, "pool_worker": 2, "recycled_worker": 5, "idle": 2}
"""Processes of one name and role that tell the same tale: so many are kept."""

Series = tuple[np.ndarray, np.ndarray]


def of_life(life: Life, samples: Series) -> Label:
    """A process of ours: what it leaked is known to the byte."""
    plan, alive = life.plan, life.died - life.born
    leaked = plan.leaked[: alive + 1]
    if plan.leaked[-1] > 0 and leaked[-1] < LEAST_LEAK:
        return Label(life.series, "ambiguous", plan.role, note="short or slight")
    if leaked[-1] > 0:
        return seen(leak_of(life, leaked), samples)
    if alive < SHORT_S or (plan.climb is not None and plan.climb[1] >= alive):
        return Label(life.series, "ambiguous", plan.role, note="short, or ends in its climb")
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


def seen(label: Label, samples: Series) -> Label:
    """The label of a leak, or `ambiguous` where what was measured tells another tale."""
    if label.label != "leak":
        return label
    times, values = samples[0] * STRETCH, samples[1]
    settled = label.onset_s + 0.15 * (label.end_s - label.onset_s)
    inside = (times >= settled) & (times <= label.end_s)
    slope = np.polyfit(times[inside], values[inside], 1)[0] * 3600
    shown = slope / label.rate
    if not HIDDEN[0] < shown < HIDDEN[1]:
        return Label(label.series, "ambiguous", label.kind, note="hidden by the slack of its heap")
    return label if CLOSE[0] < shown < CLOSE[1] else replace(label, note=mean(label.note))


def mean(note: str) -> str:
    return note if "rate=avg" in note else f"{note} rate=avg".strip()


def worth_keeping(samples: dict[str, Series]) -> set[str]:
    kept: set[str] = set()
    still: set[str] = set()
    for series, (_, values) in samples.items():
        name = series.partition("[")[0]
        if len(values) < LEAST_SAMPLES or (np.ptp(values) < STILL_BYTES and name in still):
            continue
        if np.ptp(values) < STILL_BYTES:
            still.add(name)
        kept.add(series)
    return kept


def of_filling(series: str, role: str, samples: Series, climb: tuple[int, int] | None = None) -> Label:
    """A heap or a cache that climbs to a plateau: its climb lasts until it has settled."""
    times, values = samples
    highest = np.maximum.accumulate(values)
    rise = highest[-1] - values[0]
    until = max(reached(times, highest, SETTLED), 0 if climb is None else climb[1])
    if rise < max(LEAST_LEAK, 0.03 * highest[-1]):
        return Label(series, "ok", role)
    begin = times[0] if climb is None else climb[0]
    if until > times[0] + LATE * (times[-1] - times[0]):
        if not falls_back(values):
            return Label(series, "ambiguous", role, note="had not settled long before the end")
        until = reached(times, highest, MOSTLY)
        if until > times[0] + LATE * (times[-1] - times[0]):
            return Label(series, "ok", role)
    return Label(series, "ok", role, STRETCH * begin, STRETCH * until)


def reached(times: np.ndarray, highest: np.ndarray, share: float) -> float:
    """When the running maximum had made this share of its rise."""
    return float(times[int(np.argmax(highest >= highest[0] + share * (highest[-1] - highest[0])))])


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
    found = Label(series, "leak", known.role, STRETCH * times[0], STRETCH * (times[-1] + 1), rate, note)
    return seen(found, samples)


def fewer(labels: list[Label]) -> list[Label]:
    """Without the many that tell the same tale; those that decide something first."""
    seen_before: Counter[tuple[str, str]] = Counter()
    kept = []
    for label in sorted(labels, key=lambda label: label.label == "ambiguous"):
        alike = label.series.partition("[")[0], label.kind
        seen_before[alike] += 1
        if label.label == "leak" or seen_before[alike] <= DULL.get(label.kind, len(labels)):
            kept.append(label)
    return kept


def of_group(name: str, workers: list[Label], seconds: int, samples: Series) -> Label:
    """The sum over workers leaks as much as they do together."""
    leaking = [label for label in workers if label.label == "leak"]
    if not leaking:
        return Label(f"group/{name}", "ok", "pool_sum", note=f"{len(workers)} workers")
    onset = min(label.onset_s for label in leaking)
    rate = sum(label.rate for label in leaking)
    note = f"{len(leaking)} of {len(workers)} leak"
    return seen(Label(f"group/{name}", "leak", "leak_pool_sum", onset, STRETCH * seconds, rate, note), samples)
