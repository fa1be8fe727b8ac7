"""The kernel's own memory: meminfo, slab by cache, vmalloc by caller, sockets, and the rest nobody accounts for.

What an account of RAM is made of, read from a /proc tree; ``accounting`` has what it means.
"""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch import metrics
from leakwatch.collectors.result import CollectorResult
from leakwatch.kernel.account import Readings, account_of, contradiction, hugetlb_bytes, stacks_are_among
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.meminfo import Meminfo, Zoneinfo
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
