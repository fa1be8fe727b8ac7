"""Labels of a kernel recording, from what was made and kept: cost of an object times how many of them leaked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.corpus.corpus_files import PER_HOUR, STRETCH, Label, Row
from tests.corpus.kernel_pools import CONTEXT_FIELDS, reclaimable

if TYPE_CHECKING:
    from tests.corpus.kernel_plans import Part

SURE_BYTES = 1_500_000
"""What leaked in a recording must reach this to be called a leak; from the half downwards it is nobody's business."""
TRIVIAL_BYTES = 150_000
"""A series that leaked less than this, and moved less than this by itself, is idle."""
DULL = {"idle": 6, "host_noise": 5, "ambiguous": 10}
"""Series of these kinds, or of this label, kept in a trace: enough to be there, few enough not to drown the rest."""
MOVED_BY_HOST = 200_000
"""A healthy cache whose level the rest of the host raised by more than this is no longer known to be healthy."""
SHORT_OF_STRAYING = 0.7
"""What the rest of the host did to a cache must be less than this share of what leaked there."""
CLOSE = 0.8, 1.25
"""A leak that rose by what was leaked within these factors had its rate; else that rate is a mean."""
CROSSED = ("mount", "memory-group"), dict.fromkeys(("kernel/slab:kmalloc-1k", "kernel/SUnreclaim", "kernel/Slab"), 16.0)
"""Each mount keeps two pointers for each memory group: what both leak together grows as their product."""
BLOCKS = 20
"""A recording is looked at in so many parts to see how far the host strayed."""
MAIN = 0.8
"""What one kind of object makes of a leak, from which on that leak begins when those begin to leak."""
CURVED = {"accelerating", "square_root", "under_load", "bursty"}


def label_all(
    rows: list[Row], plan: list[Part], costs: dict[str, dict[str, float]], rng: np.random.Generator
) -> tuple[list[Row], list[Label]]:
    if both := crossed(plan):
        plan, costs = [*plan, both], costs | {both.kind: CROSSED[1]}
    series: dict[str, list[int]] = {}
    for _, name, value in rows:
        series.setdefault(name, []).append(value)
    accounts = {name: account(name, np.array(values, float), plan, costs) for name, values in series.items()}
    labels = {name: label(name, found) for name, found in accounts.items()}
    sorts: dict[str, list[str]] = {}
    for name, found in labels.items():
        if max(series[name]) > 0:
            sorts.setdefault(found.kind if found.kind in DULL else found.label, []).append(name)
    kept = {str(name) for sort, alike in sorts.items() for name in rng.permutation(alike)[: DULL.get(sort, len(alike))]}
    return [row for row in rows if row[1] in kept], [labels[name] for name in sorted(kept)]


def crossed(plan: list[Part]) -> Part | None:
    """The pairs of a mount and a memory group, as if they were objects of their own."""
    one, other = ([part for part in plan if part.kind == kind] for kind in CROSSED[0])
    if not (one and other):
        return None
    levels, leaked = (getattr(one[0], what) * getattr(other[0], what) for what in ("levels", "leaked"))
    return type(one[0])("mount x memory-group", "accelerating" if leaked[-1] else one[0].role, levels, leaked)


@dataclass(frozen=True, slots=True)
class Account:
    """What a series did, second by second, and how much of it our objects explain; ``touching``: parts with costs."""

    values: np.ndarray
    touching: list[tuple[Part, float]]
    leaked: np.ndarray
    worked: np.ndarray
    strayed: float
    """How far what nothing of ours explains went from its beginning."""
    rose: float
    """How far that rose from any low before."""


def account(name: str, values: np.ndarray, plan: list[Part], costs: dict[str, dict[str, float]]) -> Account:
    n = len(values)
    touching = [(part, costs[part.kind].get(name, 0.0)) for part in plan]
    touching = [(part, cost) for part, cost in touching if cost > 0]
    leaked = sum((cost * part.leaked[:n] for part, cost in touching), np.zeros(n))
    worked = sum((cost * (part.levels - part.leaked)[:n] for part, cost in touching), np.zeros(n))
    levels = [float(np.median(block)) for block in np.array_split(values - leaked - worked, BLOCKS)]
    strayed = max((level - levels[0] for level in levels), key=abs)
    rose = float(np.max(levels - np.minimum.accumulate(levels)))
    return Account(values, touching, leaked, worked, strayed, rose)


def label(name: str, found: Account) -> Label:
    if name.removeprefix("kernel/") in CONTEXT_FIELDS:
        return Label(name, "ambiguous", "host_context")
    return healthy(name, found) if found.leaked[-1] < TRIVIAL_BYTES else leaking(name, found)


def leaking(name: str, found: Account) -> Label:
    leaked = found.leaked
    main = max(found.touching, key=lambda pair: pair[1] * pair[0].leaked[-1])[0]
    sure = leaked[-1] >= max(SURE_BYTES, 0.3 * np.ptp(found.worked))
    if reclaimable(name):
        return Label(name, "ambiguous", f"pinned_{main.role}", note="reclaimable by its flag, pinned by what leaks")
    if not sure or abs(found.strayed) > SHORT_OF_STRAYING * leaked[-1]:
        return Label(name, "ambiguous", f"slight_{main.role}")
    onset = int(np.argmax(leaked > 0.002 * leaked[-1]))
    if share_of(main, found) > MAIN * leaked[-1]:
        onset = int(np.argmax(main.leaked > 0.002 * main.leaked[-1]))
    rate = (leaked[-1] - leaked[max(onset - 1, 0)]) / (len(leaked) - onset)
    steady = main.role not in CURVED and abs(found.strayed) < 0.1 * leaked[-1] and has_rate(found, onset, rate)
    note = "" if steady else "rate=avg"
    return Label(name, "leak", main.role, STRETCH * onset, STRETCH * len(leaked), rate * PER_HOUR, note)


def share_of(main: Part, found: Account) -> float:
    return sum(cost * part.leaked[-1] for part, cost in found.touching if part is main)


def has_rate(found: Account, onset: int, rate: float) -> bool:
    """One object's leak makes nearly all of it, and the series rose as fast."""
    if len([part for part, cost in found.touching if cost * part.leaked[-1] > 0.1 * found.leaked[-1]]) > 1:
        return False
    begin = onset + int(0.15 * (len(found.values) - onset))
    slope = np.polyfit(np.arange(begin, len(found.values)), found.values[begin:], 1)[0]
    return bool(CLOSE[0] < slope / rate < CLOSE[1])


def healthy(name: str, found: Account) -> Label:
    own, all_of_it = np.ptp(found.worked), np.ptp(found.values)
    if own < TRIVIAL_BYTES:
        if all_of_it < TRIVIAL_BYTES:
            return Label(name, "ok", "idle")
        return Label(name, "ambiguous" if found.rose > max(MOVED_BY_HOST, 0.3 * all_of_it) else "ok", "host_noise")
    part = max(found.touching, key=lambda pair: pair[1] * np.ptp(pair[0].levels))[0]
    if found.rose > max(MOVED_BY_HOST, 0.3 * own):
        return Label(name, "ambiguous", part.role, note="grows by more than was made")
    climb = (None, None) if part.climb is None else tuple(STRETCH * at for at in part.climb)
    return Label(name, "ok", part.role, *climb)
