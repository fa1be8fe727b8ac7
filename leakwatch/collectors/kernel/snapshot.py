"""Where all RAM is now, read from a /proc tree in one go."""

from __future__ import annotations

from dataclasses import replace

from leakwatch.collectors.kernel.collector import counters, mixture, readings_of
from leakwatch.errors import ProcUnavailableError
from leakwatch.kernel.account import PERCPU_CALLER, REQUIRED, account_of
from leakwatch.kernel.view import CacheUse, CallerUse, KernelView
from leakwatch.model.sample import Absence
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.meminfo import Meminfo
from leakwatch.procfs.host.slabinfo import SlabCache, is_whole_of_slub
from leakwatch.procfs.host.vmallocinfo import VmallocCaller

TRIES = 8


def kernel_now(procfs: ProcFS, now_ms: int) -> KernelView:
    """Return the present. Raises ProcUnavailableError where meminfo cannot be read or lacks what every kernel has."""
    slabs, areas = procfs.slabinfo(), procfs.vmallocinfo()
    caches, callers = _caches(procfs, slabs), _callers(procfs, areas)
    zoneinfo, meminfo, moved_bytes = counters(procfs, TRIES)
    if isinstance(meminfo, Absence):
        raise ProcUnavailableError(f"where RAM is cannot be told: {meminfo.detail}")
    if missing := [name for name in REQUIRED if meminfo.get(name) is None]:
        raise ProcUnavailableError(f"where RAM is cannot be told: {procfs.root}/meminfo has no {missing[0]}")
    sizes = None if isinstance(callers, Absence) else {one.caller: one.taken_bytes for one in callers}
    readings = readings_of(meminfo, sizes, zoneinfo, procfs.page_size, moved_bytes)
    if not isinstance(areas, Absence):
        percpu = [one for one in areas if one.caller.startswith(PERCPU_CALLER)]
        count, size_bytes = sum(one.areas for one in percpu), sum(one.size_bytes for one in percpu)
        readings = replace(readings, percpu_areas=count, percpu_area_bytes=size_bytes)
    if mixed := mixture(procfs, readings):
        raise ProcUnavailableError(f"where RAM is cannot be told: {mixed}; ask on the host itself")
    absences = [one.detail for one in (caches, callers, zoneinfo) if isinstance(one, Absence)]
    if readings.vmalloc_bytes is None:
        absences.append("vmalloc memory cannot be read: it is unaccounted")
    account = account_of(readings, partly=True)
    assert account is not None  # all its terms are there
    facts, unknown = _facts(procfs, meminfo)
    if "Percpu" not in meminfo.fields and readings.percpu_areas:
        facts |= {"percpu_areas": readings.percpu_areas, "percpu_area_bytes": readings.percpu_area_bytes}
    whole = not isinstance(slabs, Absence) and is_whole_of_slub(slabs)
    host = procfs.host_stat()
    return KernelView(
        now_ms,
        account,
        None if isinstance(caches, Absence) else caches,
        None if isinstance(callers, Absence) else callers,
        facts,
        (*absences, *unknown),
        2 * procfs.page_size if whole else None,
        None if isinstance(host, Absence) else host.btime_s * 1000,
    )


def _caches(procfs: ProcFS, found: tuple[SlabCache, ...] | Absence) -> tuple[CacheUse, ...] | Absence:
    if isinstance(found, Absence):
        return found
    aliases = procfs.slab_aliases()
    uses = []
    for cache in found:
        reclaimable = procfs.slab_reclaimable(cache.name)
        uses.append(
            CacheUse(
                cache.key,
                cache.pages_bytes(procfs.page_size),
                cache.active_bytes,
                cache.object_size_bytes,
                None if isinstance(reclaimable, Absence) else reclaimable,
                aliases.get(cache.name, ()),
            )
        )
    return tuple(uses)


def _callers(procfs: ProcFS, found: tuple[VmallocCaller, ...] | Absence) -> tuple[CallerUse, ...] | Absence:
    if isinstance(found, Absence):
        return found
    return tuple(CallerUse(one.caller, one.memory_bytes(procfs.page_size), one.areas) for one in found if one.pages)


def _facts(procfs: ProcFS, meminfo: Meminfo) -> tuple[dict[str, int], list[str]]:
    """Return what says more about the parts, and why some of it is missing."""
    facts = {
        "available_bytes": meminfo.get("MemAvailable"),
        "mapped_bytes": meminfo.get("Mapped"),
        "locked_bytes": meminfo.get("Mlocked"),
        "swap_used_bytes": _less(meminfo.get("SwapTotal"), meminfo.get("SwapFree")),
        "cma_used_bytes": _less(meminfo.get("CmaTotal"), meminfo.get("CmaFree")),
    }
    unknown = []
    sockets, dying = procfs.sockets(), procfs.dying_cgroups()
    if isinstance(sockets, Absence):
        unknown.append(sockets.detail)
    else:
        facts |= {"socket_bytes": sockets.memory_bytes(procfs.page_size), "sockets": sockets.used}
    if isinstance(dying, Absence):
        unknown.append(dying.detail)
    else:
        facts["dying_cgroups"] = dying
    return {name: value for name, value in facts.items() if value is not None}, unknown


def _less(total: int | None, free: int | None) -> int | None:
    return None if total is None or free is None else max(0, total - free)
