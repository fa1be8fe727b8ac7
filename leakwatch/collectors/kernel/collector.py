"""The kernel's own memory: meminfo, slab by cache, vmalloc by caller, sockets, and the rest nobody accounts for."""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch import metrics
from leakwatch.collectors.kernel.account_inputs import counters, mixture, readings_of
from leakwatch.collectors.result import CollectorResult
from leakwatch.kernel.account import Readings, account_of, hugetlb_bytes
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.meminfo import Meminfo

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
