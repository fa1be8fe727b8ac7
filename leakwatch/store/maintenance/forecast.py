"""When a store will be full, by what a day adds to it and what its limits take away again; pure."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.store.maintenance.inventory import Inventory, PartKind
from leakwatch.store.maintenance.retention import RetentionLimits

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class StoreForecast:
    """How a store goes on."""

    day_bytes: int
    """What a day adds now."""
    full_in_days: float | None
    """Until ``max_size`` is reached, None where it never is."""
    levels_at_bytes: int
    """What it takes once history goes by age or by a limit of its own as fast as it comes, ``max_size`` at most."""


def outlook(inventory: Inventory, limits: RetentionLimits) -> StoreForecast:
    """Return how the store goes on when the days to come are like those before."""
    kinds = (
        (inventory.samples, limits.keep_samples_s, limits.max_samples_bytes),
        (inventory.blocks, limits.keep_blocks_s, limits.max_blocks_bytes),
    )
    ends = [_end(kind, keep_s, max_bytes) for kind, keep_s, max_bytes in kinds]
    growing = [(kind, end) for (kind, _, _), end in zip(kinds, ends, strict=True) if end > kind.bytes]
    settled = inventory.used_bytes + round(sum(end - kind.bytes for kind, end in growing))
    days = None if settled <= limits.max_size_bytes else _days(growing, limits.max_size_bytes - inventory.used_bytes)
    return StoreForecast(sum(kind.day_bytes for kind, _ in growing), days, min(settled, limits.max_size_bytes))


def _end(kind: PartKind, keep_s: float, max_bytes: int) -> float:
    """Return what a kind takes in the end."""
    return min(kind.day_bytes * keep_s / DAY_S, max_bytes)


def _days(growing: list[tuple[PartKind, float]], room: float) -> float:
    """Return how long it takes to fill ``room``, each kind growing until it has reached its end."""
    if room <= 0:
        return 0.0
    stages = sorted((end - kind.bytes) / kind.day_bytes for kind, end in growing)
    began = filled = 0.0
    for upto in stages:
        pace = sum(kind.day_bytes for kind, end in growing if (end - kind.bytes) / kind.day_bytes >= upto)
        if filled + pace * (upto - began) >= room:
            return began + (room - filled) / pace
        filled += pace * (upto - began)
        began = upto
    return began
