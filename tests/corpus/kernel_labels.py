"""Labels of a kernel recording, from what was made and kept: cost of an object times how many of them leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from corpus_files import PER_HOUR, STRETCH, Label, Row
from kernel_pools import CONTEXT_FIELDS, reclaimable

if TYPE_CHECKING:
    from kernel_plans import Part

SURE_BYTES = 1_500_000
"""What leaked in a recording must reach this to be called a leak; from the half downwards it is nobody's business."""
TRIVIAL_BYTES = 150_000
"""A series that leaked less than this, and moved less than this by itself, is idle."""
IDLE_KEPT = 6
"""Idle caches kept in a trace: enough to show that they are left alone, few enough not to drown the rest."""
CURVED = {"accelerating", "square_root", "under_load", "bursty"}


def label_all(
    rows: list[Row], plan: list[Part], costs: dict[str, dict[str, float]], rng: np.random.Generator
) -> tuple[list[Row], list[Label]]:
    series: dict[str, list[int]] = {}
    for _, name, value in rows:
        series.setdefault(name, []).append(value)
    labels = {name: label(name, np.array(values, float), plan, costs) for name, values in series.items()}
    idle = [name for name, found in labels.items() if found.kind == "idle" and max(series[name]) > 0]
    chosen = set(rng.choice(idle, min(IDLE_KEPT, len(idle)), replace=False)) if idle else set()
    kept = {name for name, found in labels.items() if found.kind != "idle"} | chosen
    return [row for row in rows if row[1] in kept], [labels[name] for name in sorted(kept)]


def label(name: str, values: np.ndarray, plan: list[Part], costs: dict[str, dict[str, float]]) -> Label:
    n = len(values)
    touching = [(part, costs[part.kind].get(name, 0.0)) for part in plan]
    touching = [(part, cost) for part, cost in touching if cost > 0]
    leaked = sum((cost * part.leaked[:n] for part, cost in touching), np.zeros(n))
    worked = sum((cost * (part.levels - part.leaked)[:n] for part, cost in touching), np.zeros(n))
    rest = values - leaked - worked
    unexplained = float(np.median(rest[-n // 10 :]) - np.median(rest[: n // 10]))
    if name.removeprefix("kernel/") in CONTEXT_FIELDS:
        return Label(name, "ambiguous", "host_context")
    if leaked[-1] < TRIVIAL_BYTES:
        return healthy(name, values, touching, worked, unexplained)
    return leaking(name, touching, leaked, worked, unexplained)


def leaking(
    name: str, touching: list[tuple[Part, float]], leaked: np.ndarray, worked: np.ndarray, unexplained: float
) -> Label:
    main = max(touching, key=lambda pair: pair[1] * pair[0].leaked[-1])[0]
    onset = int(np.argmax(leaked > 0.002 * leaked[-1]))
    rate = leaked[-1] / (len(leaked) - onset) * PER_HOUR
    sure = leaked[-1] >= max(SURE_BYTES, 0.3 * np.ptp(worked)) and abs(unexplained) < 0.7 * leaked[-1]
    if reclaimable(name):
        return Label(name, "ambiguous", f"pinned_{main.role}", note="reclaimable by its flag, pinned by what leaks")
    if not sure:
        return Label(name, "ambiguous", f"slight_{main.role}")
    mixed = len([part for part, cost in touching if cost * part.leaked[-1] > 0.1 * leaked[-1]]) > 1
    beside = abs(unexplained) > 0.1 * leaked[-1]
    note = "rate=avg" if main.role in CURVED or mixed or beside else ""
    return Label(name, "leak", main.role, STRETCH * onset, STRETCH * len(leaked), rate, note)


def healthy(
    name: str, values: np.ndarray, touching: list[tuple[Part, float]], worked: np.ndarray, unexplained: float
) -> Label:
    if np.ptp(worked) < TRIVIAL_BYTES:
        if np.ptp(values) < TRIVIAL_BYTES:
            return Label(name, "ok", "idle")
        return Label(name, "ambiguous" if unexplained > 0.3 * np.ptp(values) else "ok", "host_noise")
    part = max(touching, key=lambda pair: pair[1] * np.ptp(pair[0].levels))[0]
    if unexplained > max(SURE_BYTES, 0.3 * np.ptp(worked)):
        return Label(name, "ambiguous", part.role, note="grows by more than was made")
    climb = (None, None) if part.climb is None else tuple(STRETCH * at for at in part.climb)
    return Label(name, "ok", part.role, *climb)
