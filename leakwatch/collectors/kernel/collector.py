"""The kernel's own memory: meminfo, slab by cache, vmalloc by caller, sockets, and the rest nobody accounts for.

The daemon collects it each round; ``kernel_now`` reads all of it from a /proc tree in one go, for ``leakwatch kernel``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from leakwatch import metrics
from leakwatch.collectors.result import CollectorResult
from leakwatch.errors import ProcUnavailableError
from leakwatch.kernel.account import (
    PERCPU_CALLER,
    REQUIRED,
    Readings,
    account_of,
    contradiction,
    hugetlb_bytes,
    stacks_are_among,
)
from leakwatch.kernel.view import CacheUse, CallerUse, KernelView
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.meminfo import Meminfo, Zoneinfo
from leakwatch.procfs.host.slabinfo import SlabCache, is_whole_of_slub
from leakwatch.procfs.host.vmallocinfo import VmallocCaller
from leakwatch.text.escape import printable

STEADY_BYTES = 1 << 20
"""Free memory that moves by less around a reading leaves it right enough."""


def counters(procfs: ProcFS, tries: int) -> tuple[Zoneinfo | Absence, Meminfo | Absence, int]:
    """Return both files of counters and by how much free memory moved around them, in bytes.

    They cannot be read at once, and a program that is being started takes a MiB in the 0.2 ms they take: so it is the
    quietest of several moments.
    """
    before, best = procfs.meminfo(), None
    for _ in range(tries):
        zoneinfo, after = procfs.zoneinfo(), procfs.meminfo()
        if isinstance(before, Absence) or isinstance(after, Absence):
            return zoneinfo, after, 0
        moved = abs((after.get("MemFree") or 0) - (before.get("MemFree") or 0))
        if best is None or moved < best[2]:
            best = zoneinfo, after, moved
        if moved < STEADY_BYTES:
            break
        before = after
    assert best is not None  # tries is 1 at least
    return best


def readings_of(
    meminfo: Meminfo,
    callers: Mapping[str, int] | None,
    zoneinfo: Zoneinfo | Absence,
    page_size: int,
    moved_bytes: int = 0,
) -> Readings:
    """Return the readings; ``callers`` are the bytes of each vmalloc caller, None where they cannot be read."""
    summed = None if callers is None else sum(callers.values())
    # Before 4.4 VmallocUsed counts address space, so where vmallocinfo can be read it is the better term; from 4.4 to
    # 5.3 it reads 0 (meminfo.c printed a constant): 0 is no value.
    vmalloc_bytes = summed if summed is not None else meminfo.get("VmallocUsed") or None
    stacks = stacks_are_among(callers, meminfo.get("KernelStack") or 0) if callers is not None else None
    if isinstance(zoneinfo, Absence):
        return Readings(meminfo.fields, vmalloc_bytes, stacks, moved_bytes=moved_bytes)
    return Readings(
        meminfo.fields,
        vmalloc_bytes,
        stacks,
        cpu_lists_bytes=zoneinfo.cpu_list_pages * page_size,
        zspages_bytes=None if zoneinfo.zspages is None else zoneinfo.zspages * page_size,
        node_lag_bytes=zoneinfo.node_threshold_pages * page_size,
        zone_lag_bytes=zoneinfo.zone_threshold_pages * page_size,
        moved_bytes=moved_bytes,
    )


def mixture(procfs: ProcFS, readings: Readings) -> str:
    """Return what shows that figures of a host and of a container are mixed in meminfo, empty where nothing does."""
    why = f"it is made by {printable(procfs.meminfo_stand_in)}" if procfs.meminfo_stand_in else ""
    shown = "; ".join(filter(None, (why, contradiction(readings))))
    mixed = "figures of the host and of a container are mixed and do not add up"
    return f"in {procfs.root}/meminfo {mixed} ({shown})" if shown else ""


TRIES = 3
NO_LOSS = frozenset({"HardwareCorrupted"})
"""Fields that a kernel built without the feature lacks, as it has none of that memory: nothing is missed."""


def collect_vmalloc(procfs: ProcFS, result: CollectorResult) -> dict[str, int] | None:
    """Sample vmalloc memory by caller; return it in bytes, None where it cannot be read."""
    callers = procfs.vmallocinfo()
    if isinstance(callers, Absence):
        result.absent(callers)
        return None
    sizes = {caller.caller: caller.memory_bytes(procfs.page_size) for caller in callers}
    result.samples += [
        Sample(metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, caller), size)
        for caller, size in sizes.items()
        if size  # who only maps device memory holds no RAM
    ]
    result.targets_read = len(callers)
    return sizes


def collect_slab(procfs: ProcFS, result: CollectorResult, *, slow: bool) -> None:
    """Sample every slab cache: bytes in use and bytes taken; when ``slow``, also what it is made of."""
    caches = procfs.slabinfo()
    if isinstance(caches, Absence):
        result.absent(caches)
        return
    for cache in caches:
        target = Target(TargetKind.SLAB, cache.key)
        result.samples.append(Sample(metrics.SLAB_ACTIVE, target, cache.active_bytes))
        result.samples.append(Sample(metrics.SLAB_PAGES, target, cache.pages_bytes(procfs.page_size)))
        if not slow:
            continue  # a cache does not change its kind; the sample every so often is for the store's readers
        result.samples.append(Sample(metrics.SLAB_OBJECT, target, cache.object_size_bytes))
        result.samples.append(Sample(metrics.SLAB_OBJECTS, target, cache.objects_per_slab))
        reclaimable = procfs.slab_reclaimable(cache.name)
        if not isinstance(reclaimable, Absence):
            result.samples.append(Sample(metrics.SLAB_RECLAIMABLE, target, int(reclaimable)))
    result.targets_read = len(caches)


def collect_meminfo(procfs: ProcFS, result: CollectorResult, callers: Mapping[str, int] | None, *, slow: bool) -> None:
    """Sample meminfo, the CPUs' lists and what is unaccounted; ``callers`` are vmalloc's in bytes, if known."""
    zoneinfo, meminfo, _ = counters(procfs, TRIES)
    if isinstance(meminfo, Absence):
        result.absent(meminfo)
        return
    for field, metric in metrics.MEMINFO.items():
        value = _told(meminfo, field, callers)
        if value is None and field in NO_LOSS:
            continue
        if value is None:
            result.absent(Absence(AbsenceReason.UNSUPPORTED, f"meminfo {field}: this kernel does not tell"))
        else:
            _sample(result, metric.name, value)
            result.targets_read += 1
    readings = readings_of(meminfo, callers, zoneinfo, procfs.page_size)
    if isinstance(zoneinfo, Absence):
        result.absent(zoneinfo)
    if mixed := mixture(procfs, readings):
        # Zoneinfo is the host's, too: free pages of its CPUs are not the container's.
        result.absent(Absence(AbsenceReason.UNSUPPORTED, f"unaccounted: {mixed}"))
        return
    _collect_rest(readings, result, slow=slow)


def _collect_rest(readings: Readings, result: CollectorResult, *, slow: bool) -> None:
    """Sample what is in no line of meminfo, as far as it is known."""
    for name, size in (
        (metrics.KERNEL_CPU_LISTS, readings.cpu_lists_bytes),
        (metrics.KERNEL_ZSPAGES, readings.zspages_bytes),
    ):
        if size is not None:
            _sample(result, name, size)
    account = account_of(readings)
    if account is None:
        result.absent(Absence(AbsenceReason.UNSUPPORTED, "unaccounted: one of its terms is not known"))
        return
    _sample(result, metrics.KERNEL_UNACCOUNTED, account.unaccounted_bytes)
    if slow:
        _sample(result, metrics.KERNEL_UNCERTAINTY, account.uncertainty_bytes)


def _told(meminfo: Meminfo, field: str, callers: Mapping[str, int] | None) -> int | None:
    """Return a field, or what stands in for it on kernels that lack it or where it lies."""
    if field == "Hugetlb" and "HugePages_Total" in meminfo.fields:
        return hugetlb_bytes(meminfo.fields)
    value = meminfo.get(field)
    if field == "VmallocUsed":
        # From 4.4 to 5.3 the counter reads 0 (meminfo.c printed a constant): there only vmallocinfo knows.
        return value or (None if callers is None else sum(callers.values()))
    return value


def collect_sockets(procfs: ProcFS, result: CollectorResult) -> None:
    """Sample how many sockets there are and what waits in them."""
    sockets = procfs.sockets()
    if isinstance(sockets, Absence):
        result.absent(sockets)
        return
    _sample(result, metrics.KERNEL_SOCKET_BYTES, sockets.memory_bytes(procfs.page_size))
    _sample(result, metrics.KERNEL_SOCKETS, sockets.used)
    result.targets_read = 1


def collect_cgroups(procfs: ProcFS, result: CollectorResult) -> None:
    """Sample how many control groups are dying."""
    dying = procfs.dying_cgroups()
    if isinstance(dying, Absence):
        result.absent(dying)
    else:
        _sample(result, metrics.KERNEL_DYING_CGROUPS, dying)
        result.targets_read = 1


def _sample(result: CollectorResult, metric: str, value: int) -> None:
    result.samples.append(Sample(metric, HOST, value))


SNAPSHOT_TRIES = 8


def kernel_now(procfs: ProcFS, now_ms: int) -> KernelView:
    """Return the present. Raises ProcUnavailableError where meminfo cannot be read or lacks what every kernel has."""
    slabs, areas = procfs.slabinfo(), procfs.vmallocinfo()
    caches, callers = _caches(procfs, slabs), _callers(procfs, areas)
    zoneinfo, meminfo, moved_bytes = counters(procfs, SNAPSHOT_TRIES)
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
