"""The kernel's own memory: meminfo, slab by cache, vmalloc by caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.collectors.unaccounted import unaccounted_bytes
from leakwatch.model import HOST, Absence, AbsenceReason, Sample, Target, TargetKind

if TYPE_CHECKING:
    from leakwatch.collectors.result import Gathered
    from leakwatch.procfs.meminfo import Meminfo
    from leakwatch.procfs.root import ProcFS


def collect_vmalloc(procfs: ProcFS, gathered: Gathered) -> int | None:
    """Sample vmalloc memory by caller; return their sum in bytes, None where it cannot be read."""
    callers = procfs.vmallocinfo()
    if isinstance(callers, Absence):
        gathered.absent(callers)
        return None
    total = 0
    for caller in callers:
        size = caller.memory_bytes(procfs.page_size)
        total += size
        if size:  # who only maps device memory holds no RAM
            gathered.samples.append(Sample(metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, caller.caller), size))
    gathered.targets_read = len(callers)
    return total


def collect_slab(procfs: ProcFS, gathered: Gathered, *, slow: bool) -> None:
    """Sample every slab cache: bytes in use, bytes taken, and (when ``slow``) whether they are reclaimable."""
    caches = procfs.slabinfo()
    if isinstance(caches, Absence):
        gathered.absent(caches)
        return
    for cache in caches:
        target = Target(TargetKind.SLAB, cache.key)
        gathered.samples.append(Sample(metrics.SLAB_ACTIVE, target, cache.active_bytes))
        gathered.samples.append(Sample(metrics.SLAB_PAGES, target, cache.pages_bytes(procfs.page_size)))
        if not slow:
            continue  # a cache does not change its kind; the sample every so often is for the store's readers
        reclaimable = procfs.slab_reclaimable(cache.name)
        if not isinstance(reclaimable, Absence):
            gathered.samples.append(Sample(metrics.SLAB_RECLAIMABLE, target, int(reclaimable)))
    gathered.targets_read = len(caches)


def collect_meminfo(procfs: ProcFS, gathered: Gathered, vmalloc_bytes: int | None) -> None:
    """Sample the fields of /proc/meminfo and the residual; ``vmalloc_bytes`` is the sum over callers, if known."""
    meminfo = procfs.meminfo()
    if isinstance(meminfo, Absence):
        gathered.absent(meminfo)
        return
    for field, metric in metrics.MEMINFO.items():
        value = meminfo.get(field)
        if field == "VmallocUsed":
            value = _vmalloc_used(value, vmalloc_bytes)
        if value is None:
            gathered.absent(Absence(AbsenceReason.UNSUPPORTED, f"meminfo {field}: this kernel does not tell"))
        else:
            gathered.samples.append(Sample(metric.name, HOST, value))
            gathered.targets_read += 1
    residual = _residual(meminfo, vmalloc_bytes)
    if residual is None:
        gathered.absent(Absence(AbsenceReason.UNSUPPORTED, "unaccounted: one of its terms is not known"))
    else:
        gathered.samples.append(Sample(metrics.KERNEL_UNACCOUNTED, HOST, residual))


def _vmalloc_used(counted: int | None, summed: int | None) -> int | None:
    # From 4.4 to 5.3 the counter reads 0 (meminfo.c printed a constant): there only vmallocinfo knows.
    return counted or summed


def _residual(meminfo: Meminfo, summed: int | None) -> int | None:
    # Before 4.4 VmallocUsed counts address space, so where vmallocinfo can be read it is the better term.
    return unaccounted_bytes(meminfo, summed if summed is not None else _vmalloc_used(meminfo.get("VmallocUsed"), None))
