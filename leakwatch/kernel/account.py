"""Where all RAM is: MemTotal cut into parts that do not overlap, the rest that no counter names, and how sure that is.

The one definition of the parts and of ``kernel.unaccounted_bytes``. What overlaps in the kernel's counters, and is
counted once here:

- ``Cached`` includes ``Shmem``; block device buffers and the swap cache are taken out of it by the kernel.
- An anonymous page read back from swap is in ``SwapCached`` and in ``AnonPages``. All pages of programs and files are
  on the LRU lists once, so what is in the swap cache alone is what the lists hold beyond the other counters.
- Kernel stacks lie in vmalloc memory with CONFIG_VMAP_STACK (x86 since 4.9, arm64 since 4.14) and are in both.
- ``KReclaimable`` is ``SReclaimable`` plus pages that drivers promise to give back.
- zsmalloc's pages hold zswap's and zram's data; ``Zswap`` is the first of the two alone.
- ``Unaccepted`` memory is in ``MemFree`` (``__free_unaccepted`` of mm/page_alloc.c) and is no part of its own.
- A balloon takes its pages out of ``MemTotal`` (virtio, Xen, Hyper-V) or leaves them in it (VMware, virtio with
  deflate-on-oom); nothing tells which, except that the rest must have room for it.
- ``Percpu`` includes the first chunk, which boot took before ``MemTotal`` was counted (``pcpu_setup_first_chunk``): by
  some hundred KiB a CPU the rest is too small, always by the same.
- Free pages on the CPUs' own lists are in no line of meminfo at all, and may be gigabytes (/proc/zoneinfo has them).

Which slab caches give their memory back when the kernel needs it, as their names tell: where sysfs cannot be asked.

From the kernel's sources: a cache created with SLAB_RECLAIM_ACCOUNT is counted in SReclaimable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leakwatch.units import format_at_most, format_bytes

REQUIRED = ("MemTotal", "MemFree", "Buffers", "Cached", "AnonPages", "Slab", "PageTables")
"""In every kernel since 2.6.18."""

TITLES = {
    "free": "free",
    "free_on_cpu_lists": "free, on lists of the CPUs",
    "page_cache": "page cache: files",
    "buffers": "page cache: block devices",
    "shmem": "shared memory and tmpfs",
    "anon": "anonymous: what programs allocate",
    "swap_cache": "swap cache",
    "hugetlb": "hugetlb pool",
    "slab_reclaimable": "slab, reclaimable",
    "slab_unreclaimable": "slab, unreclaimable",
    "slab": "slab, both kinds",
    "kernel_reclaimable": "drivers, reclaimable",
    "vmalloc": "vmalloc, without kernel stacks",
    "kernel_stacks": "kernel stacks",
    "page_tables": "page tables",
    "secondary_page_tables": "page tables of KVM and IOMMU",
    "percpu": "per-CPU memory",
    "compressed_swap": "compressed swap: zswap, zram",
    "bounce": "bounce buffers",
    "fuse_writeback": "FUSE, being written",
    "poisoned": "taken out of use: broken",
    "balloon": "given to the hypervisor",
}
"""The parts in the order of a table, and what it calls them."""

STACK_CALLERS = frozenset({
    "alloc_thread_stack_node", "dup_task_struct", "copy_process", "kernel_clone", "_do_fork", "do_fork",
})  # fmt: skip
"""Whom vmalloc's accounts name as owner of kernel stacks: the function the compiler left of this chain."""

PERCPU_CALLER = "pcpu_get_vm_areas"
"""Whom vmalloc names as owner of the areas of per-CPU memory. They have no pages of their own to be counted by."""

NODE_COUNTERS, ZONE_COUNTERS = 6, 2
"""Of the terms, those the kernel counts for each CPU first: file and anonymous pages, both kinds of slab, page tables,
stacks for a node; free pages and zsmalloc's for a zone. The others are exact or move between two parts only."""


PAGES_OF_RAM = (
    *REQUIRED[1:], "MemAvailable", "SwapCached", "Active", "Inactive", "Unevictable", "Active(anon)", "Inactive(anon)",
    "Active(file)", "Inactive(file)", "Mlocked", "Mapped", "Shmem", "KReclaimable", "SReclaimable", "SUnreclaim",
    "KernelStack", "SecPageTables", "Percpu", "Bounce", "AnonHugePages", "ShmemHugePages", "Hugetlb",
)  # fmt: skip
"""Fields that count pages of RAM: none of them can be larger than all RAM."""
SLACK = 64
"""Parts that are more than RAM by less than this part of it are counters that lag, or memory that boot took."""
SLAB_SLACK_BYTES = 4 << 20
"""The kernel adds up Slab from its two lines; old ones read each counter anew."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What an account is made of, in bytes."""

    meminfo: Mapping[str, int]
    vmalloc_bytes: int | None = None
    """Pages of vmalloc areas, from vmallocinfo or ``VmallocUsed`` where that does not lie."""
    stacks_in_vmalloc: bool | None = None
    """Whether they hold the kernel stacks; None where nobody could look."""
    cpu_lists_bytes: int | None = None
    zspages_bytes: int | None = None
    node_lag_bytes: int = 0
    """By how much one counter of a node may lag behind, all CPUs together; the same of a zone."""
    zone_lag_bytes: int = 0
    moved_bytes: int = 0
    """What was taken or given back between the readings."""
    percpu_areas: int = 0
    """Areas of vmalloc that hold per-CPU memory, asked for where meminfo does not tell how much that is."""
    percpu_area_bytes: int = 0
    """Their address space: what they can hold at most."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason why the rest may be wrong, and by how much at most."""

    size_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """``parts`` and ``unaccounted_bytes`` add up to ``total_bytes`` and ``excess_bytes``."""

    total_bytes: int
    parts: Mapping[str, int]
    """By the names of ``TITLES``; what this kernel does not tell is left out."""
    unaccounted_bytes: int
    """What is left."""
    doubts: tuple[Doubt, ...]
    excess_bytes: int = 0
    """By how much the parts are more than there is: counters lag, or overlap in a way nobody knows of."""

    @property
    def uncertainty_bytes(self) -> int:
        """By how much the rest may be wrong at most, in either direction."""
        return sum(doubt.size_bytes for doubt in self.doubts)


def contradiction(readings: Readings) -> str:
    """Return why the counters cannot be those of one machine, empty where they can.

    In a container, lxcfs shows the container's limit and use in some lines of meminfo and the host's in others.
    """
    fields = readings.meminfo
    total = fields["MemTotal"]
    for name in PAGES_OF_RAM:
        if fields.get(name, 0) > total:
            return f"{name} is {format_bytes(fields[name])} and MemTotal {format_bytes(total)}"
    two = fields.get("SReclaimable", 0) + fields.get("SUnreclaim", 0)
    if {"Slab", "SReclaimable", "SUnreclaim"} <= fields.keys():
        differ = abs(fields["Slab"] - two)
        if differ > max(SLAB_SLACK_BYTES, two // 16):
            return f"Slab is {format_bytes(fields['Slab'])} and its two parts {format_bytes(two)}"
    account = account_of(readings, partly=True)
    excess = account.excess_bytes if account else 0
    if account and excess > max(account.uncertainty_bytes - excess, total // SLACK):
        return f"the parts are {format_bytes(excess)} more than MemTotal, {format_bytes(total)}"
    return ""


def account_of(readings: Readings, *, partly: bool = False) -> Account | None:
    """Return the account; None where a field that every kernel has, or vmalloc's memory, is not known.

    ``partly``: without vmalloc's memory it is in the rest, and a doubt.
    """
    fields = readings.meminfo
    unknown = readings.vmalloc_bytes is None and not partly
    if unknown or any(name not in fields for name in REQUIRED):
        return None
    parts = _of_programs_and_files(readings) | _of_the_kernel(readings)
    rest = fields["MemTotal"] - sum(parts.values())
    balloon = fields.get("Balloon", 0)
    if balloon and balloon <= rest:
        parts["balloon"] = balloon
        rest -= balloon
    shown = {name: parts[name] for name in TITLES if name in parts}
    doubts = tuple(doubt for doubt in _doubts(readings, rest) if doubt.size_bytes)
    return Account(fields["MemTotal"], shown, max(0, rest), doubts, max(0, -rest))


def stacks_are_among(callers: Mapping[str, int], stack_bytes: int) -> bool:
    """Return whether the kernel stacks lie in vmalloc memory, by the bytes of each of its callers.

    The areas of stacks that wait for their next thread are not in KernelStack, and some of those at boot are in no
    area: half of it is beyond doubt.
    """
    return 2 * sum(size for caller, size in callers.items() if caller in STACK_CALLERS) >= stack_bytes > 0


def _of_programs_and_files(readings: Readings) -> dict[str, int]:
    fields = readings.meminfo
    shmem = min(fields.get("Shmem", 0), fields["Cached"])
    parts = {
        "free": fields["MemFree"],
        "page_cache": fields["Cached"] - shmem,
        "buffers": fields["Buffers"],
        "anon": fields["AnonPages"],
    }
    if "Shmem" in fields:
        parts["shmem"] = shmem
    if "Hugetlb" in fields or "HugePages_Total" in fields:
        parts["hugetlb"] = hugetlb_bytes(fields)
    if "SwapCached" in fields:
        parts["swap_cache"] = _swap_cache_alone(fields)
    if readings.cpu_lists_bytes is not None:
        parts["free_on_cpu_lists"] = readings.cpu_lists_bytes
    return parts


def _of_the_kernel(readings: Readings) -> dict[str, int]:
    fields = readings.meminfo
    reclaimable = min(fields.get("SReclaimable", 0), fields["Slab"])
    stacks = fields.get("KernelStack", 0)
    shared = stacks if readings.stacks_in_vmalloc is not False else 0
    parts = {"page_tables": fields["PageTables"]}
    if "SReclaimable" in fields:
        parts |= {"slab_reclaimable": reclaimable, "slab_unreclaimable": fields["Slab"] - reclaimable}
    else:
        parts["slab"] = fields["Slab"]
    if readings.vmalloc_bytes is not None:
        parts["vmalloc"] = max(0, readings.vmalloc_bytes - shared)
    if "KernelStack" in fields:
        parts["kernel_stacks"] = stacks
    if "KReclaimable" in fields:
        parts["kernel_reclaimable"] = max(0, fields["KReclaimable"] - reclaimable)
    compressed = max(fields.get("Zswap", 0), readings.zspages_bytes or 0)
    if compressed or readings.zspages_bytes is not None:  # Zswap alone says nothing of zram
        parts["compressed_swap"] = compressed
    return parts | {name: fields[field] for name, field in _AS_TOLD.items() if field in fields}


_AS_TOLD = {
    "secondary_page_tables": "SecPageTables",
    "percpu": "Percpu",
    "bounce": "Bounce",
    "fuse_writeback": "WritebackTmp",
    "poisoned": "HardwareCorrupted",
}


def _swap_cache_alone(fields: Mapping[str, int]) -> int:
    """Return what is in the swap cache and not mapped as well; all of it where the lists are not told."""
    lists = [fields.get(name) for name in ("Active", "Inactive", "Unevictable")]
    if None in lists:
        return fields["SwapCached"]
    beyond = sum(size or 0 for size in lists) - fields["AnonPages"] - fields["Cached"] - fields["Buffers"]
    return min(max(0, beyond), fields["SwapCached"])


def hugetlb_bytes(fields: Mapping[str, int]) -> int:
    """Return the pool of hugetlb pages. Before 4.20 there is no such line; the pool of the default size stands in."""
    pool = fields.get("HugePages_Total", 0) * fields.get("Hugepagesize", 0)
    return fields.get("Hugetlb", pool)


SLAB_PARTS = ("slab_reclaimable", "slab_unreclaimable", "slab")


def _doubts(readings: Readings, rest: int) -> tuple[Doubt, ...]:
    """Return the reasons why the rest, in bytes, may be wrong; a doubt of 0 bytes is none."""
    fields = readings.meminfo
    lag = NODE_COUNTERS * readings.node_lag_bytes + ZONE_COUNTERS * readings.zone_lag_bytes
    stacks = min(fields.get("KernelStack", 0), readings.vmalloc_bytes or 0)
    no_lists = "Active" not in fields or "Inactive" not in fields
    return (
        Doubt(lag, "each CPU reports its counts once a second, or when they are large enough"),
        Doubt(readings.moved_bytes, "memory was taken or given back while the counters were read"),
        Doubt(
            stacks if readings.stacks_in_vmalloc is None else 0,
            "whether kernel stacks lie in vmalloc memory cannot be seen: vmallocinfo is not readable",
        ),
        Doubt(
            fields.get("SwapCached", 0) if no_lists else 0,
            "pages in the swap cache that are mapped as well are counted twice",
        ),
        Doubt(fields.get("Balloon", 0), "some balloons take their pages out of MemTotal, some do not"),
        Doubt(max(0, -rest), "the parts are more than all RAM by so much: counters overlap, or boot took it"),
        Doubt(
            max(0, rest) if readings.vmalloc_bytes is None else 0,
            "vmalloc memory cannot be read: it may be any part of what is unaccounted",
        ),
        _of_percpu(readings, rest),
    )


def _of_percpu(readings: Readings, rest: int) -> Doubt:
    if "Percpu" in readings.meminfo or not readings.percpu_areas:
        return Doubt(0, "")
    most = format_at_most(readings.percpu_area_bytes)
    return Doubt(
        min(readings.percpu_area_bytes, max(0, rest)),
        f"{PERCPU_CALLER} ({readings.percpu_areas} areas, up to {most}) is in what is unaccounted: "
        "this kernel does not tell what per-CPU memory takes",
    )


RECLAIM_ACCOUNTED = frozenset({
    "bdev_cache", "btrfs_inode", "buffer_head", "dax_cache", "debugfs_inode_cache", "dentry", "dquot",
    "ecryptfs_inode_cache", "erofs_inode", "exfat_inode_cache", "ext2_inode_cache", "ext3_inode_cache",
    "ext4_inode_cache", "ext4_groupinfo_4k", "extent_status", "ext4_extent_status", "f2fs_inode_cache",
    "fat_inode_cache", "fuse_inode", "inode_cache", "isofs_inode_cache", "jbd2_journal_head", "mb_cache_entry",
    "nfs_inode_cache", "ovl_inode", "proc_inode_cache", "radix_tree_node", "reiser_inode_cache", "rpc_inode_cache",
    "sock_inode_cache", "squashfs_inode_cache", "xfs_buf", "xfs_ili", "xfs_inode",
})  # fmt: skip
"""Caches the kernel creates with SLAB_RECLAIM_ACCOUNT: most as read in sysfs on 6.18, the rest from kernel sources.

Not every ``*_inode_cache`` is one: those of tmpfs (shmem), hugetlbfs and mqueue are not, as nothing can shrink them.
"""
WITH_INODES = frozenset({"iint_cache", "lsm_inode_cache", "selinux_inode_security"})
"""Caches of what security modules keep for each inode. The kernel does not count them as reclaimable, but they are
freed with the inode, so they grow and shrink as the inode caches do; a walk over files made one look like a leak."""

_OF_FILE_SYSTEMS = ("_inode_cache", "_inode", "_inode_info")
"""How the inode caches of file systems that are not listed end: all but the pinned ones are reclaim-accounted."""
PINNED = frozenset({"hugetlbfs_inode_cache", "mqueue_inode_cache", "shmem_inode_cache", "sock_inode_cache"})
"""Inodes that live as long as what they stand for: a file in memory, a queue, a socket; nothing shrinks these caches.
mm/shmem.c and fs/hugetlbfs lost the flag for that in 2.6.9. net/socket.c still sets it: counted as reclaimable, while
no shortage closes a leaked socket."""
_RECLAIMABLE_PREFIX = "kmalloc-rcl-"


def gives_back(cache: str) -> bool:
    """Return whether the kernel frees this cache's objects when it needs memory, by its name alone."""
    name = cache.partition("@")[0].partition("(")[0]  # a second cache of a name, a memory cgroup's own (before 5.9)
    if name in PINNED:
        return False
    known = name in RECLAIM_ACCOUNTED or name in WITH_INODES
    return known or name.startswith(_RECLAIMABLE_PREFIX) or name.endswith(_OF_FILE_SYSTEMS)
