"""Which series of a scrape are judged: some as they are sampled, some made of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.model import HOST, Service, Target, TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Key = tuple[str, Target]

_AS_SAMPLED = frozenset({metrics.SLAB_ACTIVE, metrics.VMALLOC_BYTES})
_UNJUDGED_BUT_NEEDED = ("kernel.mem_total_bytes", "kernel.mem_available_bytes")


def judged_values(values: Mapping[Key, int], services: Iterable[tuple[Target, Service | None]]) -> dict[Key, int]:
    """Return the judged series' values of one scrape.

    ``values`` are the samples by metric and target; ``services`` says of each process's target to which it belongs.
    A service's sum is left out when one of its processes could not be read: half a sum would look like a fall.
    """
    out = {
        (metric, target): value
        for (metric, target), value in values.items()
        if metric in _AS_SAMPLED or (target.kind is TargetKind.HOST and metrics.is_judged(metric))
    }
    total, available = (values.get((name, HOST)) for name in _UNJUDGED_BUT_NEEDED)
    if total is not None and available is not None:
        # Pages on the CPUs' own lists are free; they come and go by hundreds of MiB, and MemAvailable lacks them.
        out[metrics.KERNEL_UNAVAILABLE, HOST] = total - available - values.get((metrics.KERNEL_CPU_LISTS, HOST), 0)
    out |= _processes(values, services)
    return out


def _processes(values: Mapping[Key, int], services: Iterable[tuple[Target, Service | None]]) -> dict[Key, int]:
    out: dict[Key, int] = {}
    sums: dict[Target, int | None] = {}
    for target, service in services:
        swap = values.get((metrics.PROCESS_SWAP, target), 0)
        uss = values.get((metrics.PROCESS_USS, target))
        anon = values.get((metrics.PROCESS_ANON, target))
        if uss is not None:
            out[metrics.PROCESS_USS_SWAP, target] = uss + swap
        elif anon is not None:
            out[metrics.PROCESS_ANON_SWAP, target] = anon + swap
        if service is not None:
            known = sums.get(service.target, 0)
            sums[service.target] = None if uss is None or known is None else known + uss + swap
    out |= {(metrics.SERVICE_USS_SWAP, target): total for target, total in sums.items() if total is not None}
    return out
