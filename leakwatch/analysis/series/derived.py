"""Which series of a scrape are judged: some as they are sampled, some made of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from leakwatch import metrics
from leakwatch.model.identity import HOST, Service, Target

Key = tuple[str, Target]


def judged_values(values: Mapping[Key, int], services: Iterable[tuple[Target, Service | None]]) -> dict[Key, int]:
    """Return the judged series' values of one scrape.

    ``values`` are the samples by metric and target; ``services`` says of each process's target to which it belongs.
    A process that is not read counts in its service's sum by what stands for it: the sum is then the least it can be,
    see ``unread``. It is left out where nothing at all is known of a process: half a sum would look like a fall.
    """
    judged = metrics.AS_SAMPLED
    out = {key: value for key, value in values.items() if key[0] in judged}
    total, available = (values.get((name, HOST)) for name in (metrics.KERNEL_TOTAL, metrics.KERNEL_AVAILABLE))
    if total is not None and available is not None:
        # Pages on the CPUs' own lists are free; they come and go by hundreds of MiB, and MemAvailable lacks them.
        out[metrics.KERNEL_UNAVAILABLE, HOST] = total - available - values.get((metrics.KERNEL_CPU_LISTS, HOST), 0)
    out |= _processes(values, services)
    return out


def _processes(values: Mapping[Key, int], services: Iterable[tuple[Target, Service | None]]) -> dict[Key, int]:
    out: dict[Key, int] = {}
    sums: dict[Target, int | None] = {}
    processes: Counter[Target] = Counter()
    refused: list[Target] = []
    for target, service in services:
        swap = values.get((metrics.PROCESS_SWAP, target), 0)
        uss = values.get((metrics.PROCESS_USS, target))
        anon = values.get((metrics.PROCESS_ANON, target))
        if uss is not None:
            out[metrics.PROCESS_USS_SWAP, target] = uss + swap
        elif anon is not None:
            out[metrics.PROCESS_ANON_SWAP, target] = anon + swap
        if service is not None:
            whole = service.target
            known = sums.get(whole, 0)
            held = uss if uss is not None else _held(anon, values.get((metrics.PROCESS_UNREAD, target)))
            sums[whole] = None if held is None or known is None else known + held + swap
            processes[whole] += 1
            refused += [whole] * (uss is None and anon is not None)
    for service_target in refused:
        if processes[service_target] == 1:
            sums[service_target] = None  # it says of itself, by the right name, all that a sum of it would
    out |= {(metrics.SERVICE_USS_SWAP, target): total for target, total in sums.items() if total is not None}
    return out


def _held(anon: int | None, unread: int | None) -> int | None:
    return anon if anon is not None else unread


def unread(values: Mapping[Key, int], services: Iterable[tuple[Target, Service | None]]) -> frozenset[Target]:
    """Return the processes whose USS is not known: they wait for their first read, or refuse it."""
    return frozenset(target for target, _ in services if (metrics.PROCESS_USS, target) not in values)
