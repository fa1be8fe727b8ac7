"""The registry of metrics: name, unit, source, since which kernel, and what is known to be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leakwatch.model.identity import TargetKind


class Unit(StrEnum):
    """What the integers of a metric count."""

    BYTES = "bytes"
    COUNT = "count"
    MICROSECONDS = "us"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the registry."""

    name: str
    unit: Unit
    title: str
    """What a report calls it."""
    source: str
    """File and field."""
    note: str = ""
    """Kernel versions, privileges, known lies."""
    judged: bool = False
    """Whether growth of it is judged (the others are kept as evidence)."""


PROCESS_USS = "process.uss_bytes"
PROCESS_PSS = "process.pss_bytes"
PROCESS_RSS = "process.rss_bytes"
PROCESS_SWAP = "process.swap_bytes"
PROCESS_ANON = "process.anon_bytes"
PROCESS_UNREAD = "process.unread_bytes"
PROCESS_THREADS = "process.threads"
PROCESS_FDS = "process.fds"
PROCESS_MAPPINGS = "process.mappings"
PROCESS_CHILDREN = "process.children"
PROCESS_ZOMBIES = "process.zombies"
PROCESS_FDS_OF = "process.fds."
"""Prefix; the sort of file follows, one of ``FD_SORTS``."""
FD_SORTS = (
    "socket", "pipe", "file", "deleted", "device", "memfd", "shm", "eventfd", "epoll", "timerfd", "signalfd", "inotify",
    "fanotify", "io_uring", "bpf", "perf", "pidfd", "userfaultfd", "dmabuf", "other",
)  # fmt: skip
"""What a descriptor can lead to, by what its link says."""
FDS_BY_SORT = frozenset(PROCESS_FDS_OF + sort for sort in FD_SORTS)
PROCESS_USS_SWAP = "process.uss_swap_bytes"
PROCESS_ANON_SWAP = "process.anon_swap_bytes"
SERVICE_USS_SWAP = "service.uss_swap_bytes"
CLASS_HELD = "class.held_bytes"
CLASS_MAPPINGS = "class.mappings"
SLAB_ACTIVE = "slab.active_bytes"
SLAB_PAGES = "slab.pages_bytes"
SLAB_RECLAIMABLE = "slab.reclaimable"
SLAB_OBJECT = "slab.object_bytes"
SLAB_OBJECTS = "slab.objects_per_slab"
VMALLOC_BYTES = "vmalloc.bytes"
KERNEL_UNACCOUNTED = "kernel.unaccounted_bytes"
KERNEL_UNCERTAINTY = "kernel.unaccounted_uncertainty_bytes"
KERNEL_UNAVAILABLE = "kernel.unavailable_bytes"
KERNEL_CPU_LISTS = "kernel.free_on_cpu_lists_bytes"
KERNEL_ZSPAGES = "kernel.zspages_bytes"
KERNEL_SOCKET_BYTES = "kernel.socket_bytes"
KERNEL_SOCKETS = "kernel.sockets"
KERNEL_DYING_CGROUPS = "kernel.dying_cgroups"
KERNEL_VMALLOC_USED = "kernel.vmalloc_used_bytes"
KERNEL_SUNRECLAIM = "kernel.slab_unreclaimable_bytes"
KERNEL_PERCPU = "kernel.percpu_bytes"
KERNEL_STACK = "kernel.stack_bytes"
KERNEL_OOM_KILLS = "kernel.oom_kills"
GROUP_CURRENT = "cgroup.current_bytes"
GROUP_PEAK = "cgroup.peak_bytes"
GROUP_LIMIT = "cgroup.limit_bytes"
GROUP_SWAP = "cgroup.swap_bytes"
GROUP_ANON = "cgroup.anon_bytes"
GROUP_FILE = "cgroup.file_bytes"
GROUP_SHMEM = "cgroup.shmem_bytes"
GROUP_KERNEL = "cgroup.kernel_bytes"
GROUP_SLAB_RECLAIMABLE = "cgroup.slab_reclaimable_bytes"
GROUP_OOM_KILLS = "cgroup.oom_kills"
KERNEL_SHMEM = "kernel.shmem_bytes"
IPC_SHM_ORPHANS = "ipc.shm_orphan_bytes"
IPC_MSG_ORPHANS = "ipc.msg_orphan_bytes"
IPC_SHM_SEGMENTS = "ipc.shm_segments"
IPC_SEM_SETS = "ipc.sem_sets"
IPC_MSG_QUEUES = "ipc.msg_queues"
TMPFS_USED = "tmpfs.used_bytes"
TMPFS_ORPHANS = "tmpfs.orphan_bytes"
NOBODYS = (IPC_SHM_ORPHANS, IPC_MSG_ORPHANS, TMPFS_ORPHANS)
"""Memory that belongs to nobody: no process will ever give it back."""
PROCESS_COUNTS = (PROCESS_FDS, PROCESS_THREADS, PROCESS_MAPPINGS, PROCESS_CHILDREN, PROCESS_ZOMBIES)
IPC_COUNTS = (IPC_SHM_SEGMENTS, IPC_SEM_SETS, IPC_MSG_QUEUES)
HELD_BY = {IPC_SHM_SEGMENTS: IPC_SHM_ORPHANS, IPC_MSG_QUEUES: IPC_MSG_ORPHANS}
"""The memory that what is counted holds: two findings, as each has a limit of its own, that name each other."""
COUNTS = frozenset((*PROCESS_COUNTS, *IPC_COUNTS))
"""What is judged as a number, where it has risen at all (``analysis.counts``)."""
SELDOM = COUNTS | frozenset(NOBODYS)
"""What is not sampled at every tick: that it is missing from some says nothing."""
ORPHANS_OF_TOTAL = {KERNEL_SHMEM: (IPC_SHM_ORPHANS, TMPFS_ORPHANS)}
"""As ``PARTS_OF_TOTAL``, of what belongs to nobody."""
PARTS_OF_TOTAL = {KERNEL_SUNRECLAIM: TargetKind.SLAB, KERNEL_VMALLOC_USED: TargetKind.VMALLOC}
"""The kernel's totals, and what they are made of: parts that explain a total's growth are reported in its place."""
TOLD_BY_OTHERS = frozenset({*PARTS_OF_TOTAL, KERNEL_STACK, KERNEL_UNACCOUNTED})
"""What is not reported where something that says more explains its growth: parts; the vmalloc caller of kernel stacks;
socket buffers, which are no part but lie in what is unaccounted."""
SHADOWED = TOLD_BY_OTHERS | frozenset({*ORPHANS_OF_TOTAL, PROCESS_MAPPINGS})
"""What may be missing from a report because another finding tells it, mappings that are stacks of threads as well."""
COLLECTOR_UP = "collector.up"
COLLECTOR_DURATION = "collector.duration_us"
COLLECTOR_TARGETS = "collector.targets_read"
COLLECTOR_ABSENT = "collector.absent."
"""Prefix; the reason of the absence follows."""

_ROLLUP = "/proc/PID/smaps_rollup (smaps before 4.14)"
_ROLLUP_NOTE = "others' processes need CAP_SYS_PTRACE"


def _meminfo(name: str, field: str, title: str, note: str = "", *, judged: bool = False) -> tuple[str, Metric]:
    return field, Metric(name, Unit.BYTES, title, f"/proc/meminfo {field}", note, judged)


MEMINFO: dict[str, Metric] = dict(
    [
        _meminfo("kernel.mem_total_bytes", "MemTotal", "RAM"),
        _meminfo("kernel.mem_free_bytes", "MemFree", "free RAM"),
        _meminfo("kernel.mem_available_bytes", "MemAvailable", "available RAM", "since 3.14"),
        _meminfo("kernel.buffers_bytes", "Buffers", "block device buffers"),
        _meminfo("kernel.cached_bytes", "Cached", "page cache", "includes Shmem"),
        _meminfo("kernel.swap_cached_bytes", "SwapCached", "swap cache", "counts mapped pages as well"),
        _meminfo("kernel.lru_active_bytes", "Active", "pages used lately"),
        _meminfo("kernel.lru_inactive_bytes", "Inactive", "pages not used lately"),
        _meminfo("kernel.lru_unevictable_bytes", "Unevictable", "pages that cannot be given back"),
        _meminfo("kernel.anon_bytes", "AnonPages", "anonymous memory"),
        _meminfo("kernel.mapped_bytes", "Mapped", "mapped files"),
        _meminfo("kernel.mlocked_bytes", "Mlocked", "locked memory"),
        _meminfo(KERNEL_SHMEM, "Shmem", "shared memory and tmpfs", judged=True),
        _meminfo("kernel.reclaimable_bytes", "KReclaimable", "reclaimable kernel memory", "since 4.20"),
        _meminfo("kernel.slab_bytes", "Slab", "slab"),
        _meminfo("kernel.slab_reclaimable_bytes", "SReclaimable", "reclaimable slab"),
        _meminfo(KERNEL_SUNRECLAIM, "SUnreclaim", "unreclaimable slab", judged=True),
        _meminfo(KERNEL_STACK, "KernelStack", "kernel stacks", judged=True),
        _meminfo("kernel.page_tables_bytes", "PageTables", "page tables", judged=True),
        _meminfo(
            "kernel.sec_page_tables_bytes", "SecPageTables", "secondary page tables", "of KVM, IOMMU", judged=True
        ),
        _meminfo("kernel.bounce_bytes", "Bounce", "bounce buffers"),
        _meminfo("kernel.fuse_writeback_bytes", "WritebackTmp", "FUSE, being written"),
        _meminfo(
            KERNEL_VMALLOC_USED,
            "VmallocUsed",
            "vmalloc",
            "counts address space, ioremap included, before 4.4; reads 0 from 4.4 until 5.3: there the sum of the "
            "pages in /proc/vmallocinfo stands in, where it is readable",
            judged=True,
        ),
        _meminfo(KERNEL_PERCPU, "Percpu", "per-CPU memory", judged=True),
        _meminfo(
            "kernel.hugetlb_bytes", "Hugetlb", "hugetlb pool", "since 4.20; before it the pool of the default size"
        ),
        _meminfo("kernel.poisoned_bytes", "HardwareCorrupted", "broken RAM taken out of use"),
        _meminfo("kernel.zswap_bytes", "Zswap", "compressed swap in RAM"),
        _meminfo(
            "kernel.balloon_bytes", "Balloon", "given to the hypervisor", "a virtio balloon takes it out of MemTotal"
        ),
        _meminfo("kernel.swap_total_bytes", "SwapTotal", "swap"),
        _meminfo("kernel.swap_free_bytes", "SwapFree", "free swap"),
        _meminfo("kernel.committed_bytes", "Committed_AS", "committed address space"),
    ]
)
"""The fields of /proc/meminfo that are sampled, by the kernel's name; a kernel without one of them leaves it absent."""

_OTHERS = (
    Metric(PROCESS_USS, Unit.BYTES, "USS", f"{_ROLLUP} Private_Clean + Private_Dirty + Private_Hugetlb", _ROLLUP_NOTE),
    Metric(PROCESS_PSS, Unit.BYTES, "PSS", f"{_ROLLUP} Pss", _ROLLUP_NOTE),
    Metric(PROCESS_RSS, Unit.BYTES, "RSS", f"{_ROLLUP} Rss, else /proc/PID/statm", "hugetlb pages are not in it"),
    Metric(PROCESS_SWAP, Unit.BYTES, "swap", f"{_ROLLUP} Swap, else /proc/PID/status VmSwap"),
    Metric(
        PROCESS_ANON,
        Unit.BYTES,
        "anonymous memory",
        "/proc/PID/status RssAnon",
        "since 4.5; sampled where USS is refused, since it needs no privilege",
    ),
    Metric(
        PROCESS_UNREAD,
        Unit.BYTES,
        "private memory, not read yet",
        "/proc/PID/statm resident - shared, without what it inherited by a fork",
        "an estimate that stands for a process until its first full read, in the sum of its service",
    ),
    Metric(PROCESS_THREADS, Unit.COUNT, "threads", "links of /proc/PID/task, else /proc/PID/stat num_threads"),
    Metric(
        PROCESS_FDS,
        Unit.COUNT,
        "open files",
        "size of /proc/PID/fd, else its entries",
        "others' need CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE; the size since 6.2",
    ),
    Metric(
        PROCESS_MAPPINGS,
        Unit.COUNT,
        "mappings",
        "lines of /proc/PID/maps",
        "others' need CAP_SYS_PTRACE; only where the virtual size has grown",
    ),
    Metric(PROCESS_CHILDREN, Unit.COUNT, "child processes", "processes whose /proc/PID/stat names it, zombies apart"),
    Metric(PROCESS_ZOMBIES, Unit.COUNT, "zombies", "ended children it has not waited for"),
    Metric(
        IPC_SHM_ORPHANS,
        Unit.BYTES,
        "System V shared memory of nobody",
        "/proc/sysvipc/shm rss + swap",
        "attached by nobody, and who made it has ended; of leakwatch's own IPC namespace alone",
        judged=True,
    ),
    Metric(
        IPC_MSG_ORPHANS,
        Unit.BYTES,
        "System V messages of nobody",
        "/proc/sysvipc/msg cbytes",
        "whoever sent to and received from the queue last has ended; of leakwatch's own IPC namespace alone",
        judged=True,
    ),
    Metric(IPC_SHM_SEGMENTS, Unit.COUNT, "System V shared memory segments", "/proc/sysvipc/shm"),
    Metric(IPC_SEM_SETS, Unit.COUNT, "System V semaphore sets", "/proc/sysvipc/sem"),
    Metric(IPC_MSG_QUEUES, Unit.COUNT, "System V message queues", "/proc/sysvipc/msg"),
    Metric(TMPFS_USED, Unit.BYTES, "files in tmpfs", "statfs of each tmpfs in /proc/1/mountinfo"),
    Metric(
        TMPFS_ORPHANS,
        Unit.BYTES,
        "files in tmpfs that nobody has open",
        "a walk through each tmpfs that has grown, and who has its files open or mapped",
        "of the mounts pid 1 sees; POSIX shared memory is /dev/shm",
        judged=True,
    ),
    Metric(PROCESS_USS_SWAP, Unit.BYTES, "USS + swap", "derived", "what grows when pages are swapped out", judged=True),
    Metric(
        PROCESS_ANON_SWAP,
        Unit.BYTES,
        "anonymous + swap",
        "derived",
        "stands in for USS + swap where USS is refused; counts pages shared after fork in full",
        judged=True,
    ),
    Metric(
        SERVICE_USS_SWAP,
        Unit.BYTES,
        "USS + swap of all processes",
        "derived",
        "a process that is not read counts by an estimate; then the sum is a lower bound, and said to be one",
        judged=True,
    ),
    Metric(
        CLASS_HELD,
        Unit.BYTES,
        "USS + swap of a class of mappings",
        "/proc/PID/smaps Private_Clean + Private_Dirty + Private_Hugetlb + Swap",
        "of suspects, now and then; explains what grows, is not judged itself",
    ),
    Metric(CLASS_MAPPINGS, Unit.COUNT, "mappings of a class", "/proc/PID/smaps"),
    Metric(SLAB_ACTIVE, Unit.BYTES, "slab objects in use", "/proc/slabinfo active_objs x objsize", judged=True),
    Metric(SLAB_PAGES, Unit.BYTES, "slab pages", "/proc/slabinfo num_slabs x pagesperslab x page size"),
    Metric(SLAB_RECLAIMABLE, Unit.BOOL, "reclaimable", "/sys/kernel/slab/CACHE/reclaim_account, else by its name"),
    Metric(
        SLAB_OBJECT,
        Unit.BYTES,
        "size of an object",
        "/proc/slabinfo objsize",
        "sampled now and then: it does not change; objects in use are slab.active_bytes divided by it",
    ),
    Metric(SLAB_OBJECTS, Unit.COUNT, "objects in a slab", "/proc/slabinfo objperslab", "sampled now and then"),
    Metric(VMALLOC_BYTES, Unit.BYTES, "vmalloc of one caller", "/proc/vmallocinfo pages x page size", judged=True),
    Metric(KERNEL_UNACCOUNTED, Unit.BYTES, "unaccounted", "derived, see accounting.py", judged=True),
    Metric(
        KERNEL_UNCERTAINTY,
        Unit.BYTES,
        "uncertainty of what is unaccounted",
        "derived, see accounting.py; /proc/zoneinfo vm stats threshold",
        "sampled now and then: it hardly changes",
    ),
    Metric(
        KERNEL_CPU_LISTS,
        Unit.BYTES,
        "free RAM on lists of the CPUs",
        "/proc/zoneinfo pagesets count",
        "in no line of /proc/meminfo",
    ),
    Metric(KERNEL_ZSPAGES, Unit.BYTES, "compressed memory", "/proc/zoneinfo nr_zspages", "since 4.8; zram and zswap"),
    Metric(
        KERNEL_SOCKET_BYTES,
        Unit.BYTES,
        "socket buffers",
        "/proc/1/net/sockstat mem x page size, sockstat6",
        "TCP and UDP of the whole machine; partly in slab caches, partly in what is unaccounted",
        judged=True,
    ),
    Metric(KERNEL_SOCKETS, Unit.COUNT, "sockets", "/proc/1/net/sockstat used", "of the first process's network"),
    Metric(
        KERNEL_DYING_CGROUPS,
        Unit.COUNT,
        "control groups removed and still held",
        "cgroup.stat nr_dying_descendants; version 1: /proc/cgroups less the directories",
        "since 4.14 with version 2; sampled now and then",
    ),
    Metric(
        KERNEL_UNAVAILABLE,
        Unit.BYTES,
        "memory not available",
        "derived: MemTotal - MemAvailable - free on lists of the CPUs",
        "tells whether growth of reclaimable memory takes memory from anybody; never reported by itself",
    ),
    Metric(KERNEL_OOM_KILLS, Unit.COUNT, "OOM kills", "/proc/vmstat oom_kill", "processes since the boot; since 4.13"),
    Metric(
        GROUP_CURRENT,
        Unit.BYTES,
        "control group",
        "memory.current (version 1: memory.usage_in_bytes)",
        "of a service, in slow rounds; page cache and the kernel's own memory for it included",
    ),
    Metric(
        GROUP_PEAK,
        Unit.BYTES,
        "control group's peak",
        "memory.peak (version 1: memory.max_usage_in_bytes)",
        "since the group was made; version 2 since 5.19; of a service with several groups there is none",
    ),
    Metric(
        GROUP_LIMIT,
        Unit.BYTES,
        "control group's limit",
        "memory.max (version 1: memory.limit_in_bytes)",
        "the smallest of the group's and those around it; none where nothing limits it",
    ),
    Metric(GROUP_SWAP, Unit.BYTES, "control group's swap", "memory.swap.current (version 1: memory.stat total_swap)"),
    Metric(GROUP_ANON, Unit.BYTES, "control group's anonymous", "memory.stat anon (version 1: total_rss)"),
    Metric(
        GROUP_FILE, Unit.BYTES, "control group's files", "memory.stat file (version 1: total_cache)", "includes shmem"
    ),
    Metric(
        GROUP_SHMEM,
        Unit.BYTES,
        "control group's shared memory",
        "memory.stat shmem (version 1: total_shmem)",
        "version 1 since 4.9",
    ),
    Metric(
        GROUP_KERNEL,
        Unit.BYTES,
        "control group's kernel memory",
        "memory.stat kernel (version 1: memory.kmem.usage_in_bytes)",
        "version 2 since 5.18",
    ),
    Metric(GROUP_SLAB_RECLAIMABLE, Unit.BYTES, "control group's reclaimable slab", "memory.stat slab_reclaimable"),
    Metric(
        GROUP_OOM_KILLS,
        Unit.COUNT,
        "control group's OOM kills",
        "memory.events oom_kill (version 1: memory.oom_control)",
        "processes since the group was made: begins anew when its unit is restarted; since 4.13",
    ),
    Metric(COLLECTOR_UP, Unit.BOOL, "collector worked", "leakwatch"),
    Metric(COLLECTOR_DURATION, Unit.MICROSECONDS, "collector's time", "leakwatch"),
    Metric(COLLECTOR_TARGETS, Unit.COUNT, "targets read", "leakwatch"),
)

_FD_SORTS = tuple(
    Metric(PROCESS_FDS_OF + sort, Unit.COUNT, f"open files: {sort}", "links in /proc/PID/fd", "where they have risen")
    for sort in FD_SORTS
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*MEMINFO.values(), *_OTHERS, *_FD_SORTS)}
"""Every metric by its name, except ``collector.absent.REASON``, one a reason."""


def title(name: str) -> str:
    """Return what a report calls a metric."""
    metric = METRICS.get(name)
    return metric.title if metric else name


def is_judged(name: str) -> bool:
    """Return whether growth of this metric is judged."""
    metric = METRICS.get(name)
    return metric is not None and metric.judged


FIELDS = {metric.name: field for field, metric in MEMINFO.items()} | {
    KERNEL_UNACCOUNTED: "unaccounted",
    KERNEL_UNCERTAINTY: "unaccounted_uncertainty",
    KERNEL_UNAVAILABLE: "unavailable",
    KERNEL_CPU_LISTS: "free_on_cpu_lists",
    KERNEL_ZSPAGES: "zspages",
    KERNEL_SOCKET_BYTES: "socket_bytes",
    KERNEL_SOCKETS: "sockets",
    KERNEL_DYING_CGROUPS: "dying_cgroups",
}
"""Of the host's metrics: the kernel's name, or what leakwatch makes of several of its fields."""
