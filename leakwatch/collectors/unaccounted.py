"""The memory no counter explains: pages a driver took directly from the page allocator appear only here.

The one definition of ``kernel.unaccounted_bytes``:

    MemTotal - (MemFree + Buffers + Cached + SwapCached + AnonPages + Slab + KernelStack + PageTables + SecPageTables
                + Percpu + Hugetlb + Bounce + Zswap + Balloon + Unaccepted + vmalloc beyond kernel stacks)

Cached includes Shmem and mapped files. Kernel stacks lie in vmalloc memory on kernels with CONFIG_VMAP_STACK (x86 since
4.9, arm64 since 4.14) and are counted in both, so vmalloc counts only as far as it exceeds them: where stacks are not
in vmalloc the residual is too large by at most KernelStack. A kernel without one of the later fields has that memory
in the residual. The counters are read one after another and per-CPU counts lag: a few MiB of noise are normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.procfs.meminfo import Meminfo

REQUIRED = ("MemTotal", "MemFree", "Buffers", "Cached", "AnonPages", "Slab", "PageTables")
"""In every kernel since 2.6.18."""
OPTIONAL = (
    "SwapCached", "KernelStack", "SecPageTables", "Percpu", "Hugetlb", "Bounce", "Zswap", "Balloon", "Unaccepted",
)  # fmt: skip


def unaccounted_bytes(meminfo: Meminfo, vmalloc_bytes: int | None) -> int | None:
    """Return the residual in bytes, never below 0; None where a required field or the vmalloc memory is unknown."""
    required = [meminfo.get(name) for name in REQUIRED]
    if vmalloc_bytes is None or None in required:
        return None
    total, *parts = (value or 0 for value in required)
    known = sum(parts) + sum(meminfo.get(name) or 0 for name in OPTIONAL) + _old_hugetlb(meminfo)
    return max(0, total - known - max(0, vmalloc_bytes - (meminfo.get("KernelStack") or 0)))


def _old_hugetlb(meminfo: Meminfo) -> int:
    """Before 4.20 there is no Hugetlb line; the pool of the default size stands in."""
    if meminfo.get("Hugetlb") is not None:
        return 0
    return (meminfo.get("HugePages_Total") or 0) * (meminfo.get("Hugepagesize") or 0)
