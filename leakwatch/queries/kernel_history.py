"""Where all RAM was at an earlier time, from the samples of the scrape before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.kernel.account import REQUIRED, Readings, account_of, contradiction, stacks_are_among
from leakwatch.kernel.view import CacheUse, CallerUse, KernelView
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.store.read.reader import Reader
from leakwatch.store.read.records import ScrapeHead

if TYPE_CHECKING:
    Values = Mapping[tuple[str, Target], int]

_FACTS = {
    "available_bytes": metrics.KERNEL_AVAILABLE,
    "mapped_bytes": metrics.KERNEL_MAPPED,
    "locked_bytes": metrics.KERNEL_MLOCKED,
    "socket_bytes": metrics.KERNEL_SOCKET_BYTES,
    "sockets": metrics.KERNEL_SOCKETS,
    "dying_cgroups": metrics.KERNEL_DYING_CGROUPS,
}
_WANTED = frozenset({
    *(metric.name for metric in metrics.MEMINFO.values()), *_FACTS.values(),
    metrics.KERNEL_CPU_LISTS, metrics.KERNEL_ZSPAGES, metrics.SLAB_ACTIVE, metrics.SLAB_PAGES, metrics.VMALLOC_BYTES,
    metrics.SLAB_RECLAIMABLE, metrics.SLAB_OBJECT,
})  # fmt: skip


def kernel_then(reader: Reader, at_ms: int, slow_every: int) -> KernelView | None:
    """Return the moment of the last scrape until a time, else of the first there is; None where none tells of RAM.

    What is sampled every ``slow_every``-th time is taken from the scrapes before it. Raises the reader's errors.
    """
    heads = reader.scrapes_until(at_ms, slow_every)
    if not heads:
        first = reader.first_scrape()
        heads = [first] if first is not None else []
    values: dict[tuple[str, Target], int] = {}
    for head, found in reader.history(heads, _WANTED):
        newest = head.id == heads[-1].id
        values |= {key: value for key, value in found.items() if newest or key[0] in metrics.SELDOM}
    return _view(heads[-1], values) if values else None


def _view(head: ScrapeHead, values: Values) -> KernelView | None:
    host = {metric: value for (metric, target), value in values.items() if target == HOST}
    caches, callers = _caches(values), _callers(values)
    meminfo = {field: host[metric.name] for field, metric in metrics.MEMINFO.items() if metric.name in host}
    taken = {one.caller: one.taken_bytes for one in callers}
    readings = Readings(
        meminfo,
        sum(taken.values()) if taken else meminfo.get("VmallocUsed"),
        stacks_are_among(taken, meminfo.get("KernelStack", 0)) if taken else None,
        host.get(metrics.KERNEL_CPU_LISTS),
        host.get(metrics.KERNEL_ZSPAGES),
    )
    if any(name not in meminfo for name in REQUIRED) or contradiction(readings):
        return None
    account = account_of(readings, partly=True)
    assert account is not None  # all its terms are there
    facts = {name: host[metric] for name, metric in _FACTS.items() if metric in host}
    if "SwapTotal" in meminfo and "SwapFree" in meminfo:
        facts["swap_used_bytes"] = meminfo["SwapTotal"] - meminfo["SwapFree"]
    return KernelView(head.ts_ms, account, caches or None, callers or None, facts)


def _caches(values: Values) -> tuple[CacheUse, ...]:
    keys = [target for metric, target in values if metric == metrics.SLAB_PAGES and target.kind is TargetKind.SLAB]
    return tuple(
        CacheUse(
            target.key,
            values[metrics.SLAB_PAGES, target],
            values.get((metrics.SLAB_ACTIVE, target), 0),
            values.get((metrics.SLAB_OBJECT, target)),
            bool(values[metrics.SLAB_RECLAIMABLE, target]) if (metrics.SLAB_RECLAIMABLE, target) in values else None,
        )
        for target in keys
    )


def _callers(values: Values) -> tuple[CallerUse, ...]:
    return tuple(
        CallerUse(target.key, size) for (metric, target), size in values.items() if metric == metrics.VMALLOC_BYTES
    )
