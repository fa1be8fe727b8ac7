"""The registry of metrics: name, unit, source, since which kernel, and what is known to be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from leakwatch.model.identity import TargetKind


class Unit(StrEnum):
    """What the integers of a metric count."""

    BYTES = "bytes"
    COUNT = "count"
    MICROSECONDS = "us"
    BOOL = "bool"


class ProcessLimit(StrEnum):
    """A limit that each process has on how many there may be."""

    OPEN_FILES = "open files"
    """RLIMIT_NOFILE."""
    TASKS = "tasks"
    """Threads and processes: pids.max of its control groups, then what the machine allows."""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A limit of the machine: a file below /proc/sys, and which of its numbers it is."""

    name: str
    place: int = 0


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the registry: all that other modules ask of a metric, so that a new one is a row here and its reader.

    name, unit: what the store, exports and JSON call it, and what its integers count.
    title: what a report calls it.
    source, note: file and field; kernel versions, privileges, known lies. Only for ``docs/metrics.md``.
    judged: whether growth of it is judged; the others are kept as evidence.
    slow: it is not sampled at every tick, so that it is missing from some says nothing.
    made_of: it is not sampled but made of these; they are read from the store in its place.
    judged_with: the metric of the service whose finding it shares; any other judged metric of a process has findings of
    its own, one a service, and is judged only once it has risen.
    part_of: the totals that are not reported where this one explains their growth.
    held_as: the memory that what is counted holds: two findings, as each has a limit of its own, that name each other.
    bytes_each: what one costs, roughly; only to rank counts beside memory.
    limit: where it is read how many there may be; None where nothing limits it but memory.
    swappable: whether memory can go to swap that is the kernel's or beside the service's memory; all other can.
    captured: the end of its series' names in captured files, where ``capture_name`` has no rule for it.
    """

    name: str
    unit: Unit
    title: str
    source: str
    note: str = ""
    judged: bool = False
    slow: bool = False
    made_of: tuple[str, ...] = ()
    judged_with: str = ""
    part_of: tuple[str, ...] = ()
    held_as: str = ""
    bytes_each: int = 1
    limit: ProcessLimit | Sysctl | None = None
    swappable: bool = False
    captured: str | None = None

    @property
    def scope(self) -> TargetKind:
        """Whose it is, by the first word of its name."""
        word = self.name.partition(".")[0]
        return _SCOPES.get(word) or TargetKind(word)

    @property
    def is_apart(self) -> bool:
        """Whether growth in a process is told beside what is said of its service's memory."""
        return self.judged and self.scope is TargetKind.PROCESS and not self.judged_with


OF_KERNEL = (TargetKind.HOST, TargetKind.SLAB, TargetKind.VMALLOC)
_SCOPES = {
    "kernel": TargetKind.HOST,
    "ipc": TargetKind.HOST,
    "tmpfs": TargetKind.HOST,
    "cgroup": TargetKind.SERVICE,
}
"""Where the word is not the kind itself."""
_WHOLE = ("ipc", "tmpfs")
"""Words that stay in the names of series in captured files, behind ``kernel/``."""

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
KERNEL_TOTAL = "kernel.mem_total_bytes"
KERNEL_AVAILABLE = "kernel.mem_available_bytes"
KERNEL_MAPPED = "kernel.mapped_bytes"
KERNEL_MLOCKED = "kernel.mlocked_bytes"
KERNEL_SWAP_FREE = "kernel.swap_free_bytes"
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
COLLECTOR_UP = "collector.up"
COLLECTOR_DURATION = "collector.duration_us"
COLLECTOR_TARGETS = "collector.targets_read"
COLLECTOR_ABSENT = "collector.absent."
"""Prefix; the reason of the absence follows."""

_ROLLUP = "/proc/PID/smaps_rollup (smaps before 4.14)"
_ROLLUP_NOTE = "others' processes need CAP_SYS_PTRACE"


def _meminfo(
    name: str, field: str, title: str, note: str = "", *, judged: bool = False, swappable: bool = False
) -> Metric:
    source = f"/proc/meminfo {field}"
    return Metric(name, Unit.BYTES, title, source, note, judged, swappable=swappable, captured=field)


_MEMINFO = (
    _meminfo(KERNEL_TOTAL, "MemTotal", "RAM"),
    _meminfo("kernel.mem_free_bytes", "MemFree", "free RAM"),
    _meminfo(KERNEL_AVAILABLE, "MemAvailable", "available RAM", "since 3.14"),
    _meminfo("kernel.buffers_bytes", "Buffers", "block device buffers"),
    _meminfo("kernel.cached_bytes", "Cached", "page cache", "includes Shmem"),
    _meminfo("kernel.swap_cached_bytes", "SwapCached", "swap cache", "counts mapped pages as well"),
    _meminfo("kernel.lru_active_bytes", "Active", "pages used lately"),
    _meminfo("kernel.lru_inactive_bytes", "Inactive", "pages not used lately"),
    _meminfo("kernel.lru_unevictable_bytes", "Unevictable", "pages that cannot be given back"),
    _meminfo("kernel.anon_bytes", "AnonPages", "anonymous memory"),
    _meminfo(KERNEL_MAPPED, "Mapped", "mapped files"),
    _meminfo(KERNEL_MLOCKED, "Mlocked", "locked memory"),
    _meminfo(KERNEL_SHMEM, "Shmem", "shared memory and tmpfs", judged=True, swappable=True),
    _meminfo("kernel.reclaimable_bytes", "KReclaimable", "reclaimable kernel memory", "since 4.20"),
    _meminfo("kernel.slab_bytes", "Slab", "slab"),
    _meminfo("kernel.slab_reclaimable_bytes", "SReclaimable", "reclaimable slab"),
    _meminfo(KERNEL_SUNRECLAIM, "SUnreclaim", "unreclaimable slab", judged=True),
    _meminfo(KERNEL_STACK, "KernelStack", "kernel stacks", judged=True),
    _meminfo("kernel.page_tables_bytes", "PageTables", "page tables", judged=True),
    _meminfo("kernel.sec_page_tables_bytes", "SecPageTables", "secondary page tables", "of KVM, IOMMU", judged=True),
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
    _meminfo("kernel.hugetlb_bytes", "Hugetlb", "hugetlb pool", "since 4.20; before it the pool of the default size"),
    _meminfo("kernel.poisoned_bytes", "HardwareCorrupted", "broken RAM taken out of use"),
    _meminfo("kernel.zswap_bytes", "Zswap", "compressed swap in RAM"),
    _meminfo("kernel.balloon_bytes", "Balloon", "given to the hypervisor", "a virtio balloon takes it out of MemTotal"),
    _meminfo("kernel.swap_total_bytes", "SwapTotal", "swap"),
    _meminfo(KERNEL_SWAP_FREE, "SwapFree", "free swap"),
    _meminfo("kernel.committed_bytes", "Committed_AS", "committed address space"),
)

# fmt: off
_OTHERS = (
    Metric(
        PROCESS_USS, Unit.BYTES, "USS", f"{_ROLLUP} Private_Clean + Private_Dirty + Private_Hugetlb", _ROLLUP_NOTE,
        captured="",
    ),
    Metric(PROCESS_PSS, Unit.BYTES, "PSS", f"{_ROLLUP} Pss", _ROLLUP_NOTE),
    Metric(PROCESS_RSS, Unit.BYTES, "RSS", f"{_ROLLUP} Rss, else /proc/PID/statm", "hugetlb pages are not in it"),
    Metric(PROCESS_SWAP, Unit.BYTES, "swap", f"{_ROLLUP} Swap, else /proc/PID/status VmSwap"),
    Metric(
        PROCESS_ANON, Unit.BYTES, "anonymous memory", "/proc/PID/status RssAnon",
        "since 4.5; sampled where USS is refused, since it needs no privilege",
    ),
    Metric(
        PROCESS_UNREAD, Unit.BYTES, "private memory, not read yet",
        "/proc/PID/statm resident - shared, without what it inherited by a fork",
        "an estimate that stands for a process until its first full read, in the sum of its service",
    ),
    Metric(
        PROCESS_THREADS, Unit.COUNT, "threads", "links of /proc/PID/task, else /proc/PID/stat num_threads",
        judged=True, slow=True, part_of=(PROCESS_MAPPINGS,), bytes_each=32 << 10, limit=ProcessLimit.TASKS,
    ),
    Metric(
        PROCESS_FDS, Unit.COUNT, "open files", "size of /proc/PID/fd, else its entries",
        "others' need CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE; the size since 6.2", judged=True, slow=True,
        bytes_each=1 << 10, limit=ProcessLimit.OPEN_FILES,
    ),
    Metric(
        PROCESS_MAPPINGS, Unit.COUNT, "mappings", "lines of /proc/PID/maps",
        "others' need CAP_SYS_PTRACE; only where the virtual size has grown", judged=True, slow=True,
        bytes_each=1 << 8, limit=Sysctl("vm/max_map_count"),
    ),
    Metric(
        PROCESS_CHILDREN, Unit.COUNT, "child processes", "processes whose /proc/PID/stat names it, zombies apart",
        judged=True, slow=True, bytes_each=1 << 20, limit=ProcessLimit.TASKS,
    ),
    Metric(
        PROCESS_ZOMBIES, Unit.COUNT, "zombies", "ended children it has not waited for", judged=True, slow=True,
        bytes_each=8 << 10, limit=ProcessLimit.TASKS,
    ),
    Metric(
        IPC_SHM_ORPHANS, Unit.BYTES, "orphaned System V shared memory", "/proc/sysvipc/shm rss + swap",
        "no process has it attached, and its creator has ended; of leakwatch's own IPC namespace alone", judged=True,
        slow=True, part_of=(KERNEL_SHMEM,), swappable=True,
    ),
    Metric(
        IPC_MSG_ORPHANS, Unit.BYTES, "orphaned System V messages", "/proc/sysvipc/msg cbytes",
        "the last sender and the last receiver have ended; of leakwatch's own IPC namespace alone", judged=True,
        slow=True,
    ),
    Metric(
        IPC_SHM_SEGMENTS, Unit.COUNT, "System V shared memory segments", "/proc/sysvipc/shm", judged=True, slow=True,
        held_as=IPC_SHM_ORPHANS, limit=Sysctl("kernel/shmmni"),
    ),
    Metric(
        IPC_SEM_SETS, Unit.COUNT, "System V semaphore sets", "/proc/sysvipc/sem", judged=True, slow=True,
        limit=Sysctl("kernel/sem", 3),
    ),
    Metric(
        IPC_MSG_QUEUES, Unit.COUNT, "System V message queues", "/proc/sysvipc/msg", judged=True, slow=True,
        held_as=IPC_MSG_ORPHANS, limit=Sysctl("kernel/msgmni"),
    ),
    Metric(TMPFS_USED, Unit.BYTES, "files in tmpfs", "statfs of each tmpfs in /proc/1/mountinfo", slow=True),
    Metric(
        TMPFS_ORPHANS, Unit.BYTES, "files in tmpfs that no process has open",
        "a walk through each tmpfs that has grown, and who has its files open or mapped",
        "of the mounts pid 1 sees; POSIX shared memory is /dev/shm", judged=True, slow=True, part_of=(KERNEL_SHMEM,),
        swappable=True,
    ),
    Metric(
        PROCESS_USS_SWAP, Unit.BYTES, "USS + swap", "derived", "what grows when pages are swapped out", judged=True,
        made_of=(PROCESS_USS, PROCESS_SWAP), judged_with=SERVICE_USS_SWAP, captured="",
    ),
    Metric(
        PROCESS_ANON_SWAP, Unit.BYTES, "anonymous + swap", "derived",
        "stands in for USS + swap where USS is refused; counts pages shared after fork in full", judged=True,
        made_of=(PROCESS_ANON, PROCESS_SWAP), judged_with=SERVICE_USS_SWAP, captured="anon",
    ),
    Metric(
        SERVICE_USS_SWAP, Unit.BYTES, "USS + swap of all processes", "derived",
        "a process that is not read counts by an estimate; then the sum is a lower bound, and said to be one",
        judged=True, made_of=(PROCESS_USS, PROCESS_SWAP, PROCESS_ANON, PROCESS_UNREAD), captured="",
    ),
    Metric(
        CLASS_HELD, Unit.BYTES, "USS + swap of a class of mappings",
        "/proc/PID/smaps Private_Clean + Private_Dirty + Private_Hugetlb + Swap",
        "of suspects, now and then; explains what grows, is not judged itself", slow=True, captured="",
    ),
    Metric(CLASS_MAPPINGS, Unit.COUNT, "mappings of a class", "/proc/PID/smaps", slow=True),
    Metric(
        SLAB_ACTIVE, Unit.BYTES, "slab objects in use", "/proc/slabinfo active_objs x objsize", judged=True,
        part_of=(KERNEL_SUNRECLAIM,), captured="",
    ),
    Metric(SLAB_PAGES, Unit.BYTES, "slab pages", "/proc/slabinfo num_slabs x pagesperslab x page size"),
    Metric(
        SLAB_RECLAIMABLE, Unit.BOOL, "reclaimable", "/sys/kernel/slab/CACHE/reclaim_account, else by its name",
        slow=True,
    ),
    Metric(
        SLAB_OBJECT, Unit.BYTES, "size of an object", "/proc/slabinfo objsize",
        "sampled now and then: it does not change; objects in use are slab.active_bytes divided by it", slow=True,
    ),
    Metric(
        SLAB_OBJECTS, Unit.COUNT, "objects in a slab", "/proc/slabinfo objperslab", "sampled now and then", slow=True,
    ),
    Metric(
        VMALLOC_BYTES, Unit.BYTES, "vmalloc of one caller", "/proc/vmallocinfo pages x page size", judged=True,
        part_of=(KERNEL_VMALLOC_USED, KERNEL_STACK), captured="",
    ),
    Metric(KERNEL_UNACCOUNTED, Unit.BYTES, "unaccounted", "derived, see accounting.py", judged=True),
    Metric(
        KERNEL_UNCERTAINTY, Unit.BYTES, "uncertainty of what is unaccounted",
        "derived, see accounting.py; /proc/zoneinfo vm stats threshold", "sampled now and then: it hardly changes",
        slow=True,
    ),
    Metric(
        KERNEL_CPU_LISTS, Unit.BYTES, "free RAM on lists of the CPUs", "/proc/zoneinfo pagesets count",
        "in no line of /proc/meminfo",
    ),
    Metric(KERNEL_ZSPAGES, Unit.BYTES, "compressed memory", "/proc/zoneinfo nr_zspages", "since 4.8; zram and zswap"),
    Metric(
        KERNEL_SOCKET_BYTES, Unit.BYTES, "socket buffers", "/proc/1/net/sockstat mem x page size, sockstat6",
        "TCP and UDP of the whole machine; partly in slab caches, partly in what is unaccounted", judged=True,
        part_of=(KERNEL_UNACCOUNTED,), captured="socket_bytes",
    ),
    Metric(KERNEL_SOCKETS, Unit.COUNT, "sockets", "/proc/1/net/sockstat used", "of the first process's network"),
    Metric(
        KERNEL_DYING_CGROUPS, Unit.COUNT, "control groups removed and still held",
        "cgroup.stat nr_dying_descendants; version 1: /proc/cgroups less the directories",
        "since 4.14 with version 2; sampled now and then", slow=True,
    ),
    Metric(
        KERNEL_UNAVAILABLE, Unit.BYTES, "memory not available",
        "derived: MemTotal - MemAvailable - free on lists of the CPUs",
        "tells whether growth of reclaimable memory takes memory from anybody; never reported by itself",
        made_of=(KERNEL_TOTAL, KERNEL_AVAILABLE, KERNEL_CPU_LISTS),
    ),
    Metric(
        KERNEL_OOM_KILLS, Unit.COUNT, "OOM kills", "/proc/vmstat oom_kill", "processes since the boot; since 4.13",
        captured=KERNEL_OOM_KILLS,
    ),
    Metric(
        GROUP_CURRENT, Unit.BYTES, "control group", "memory.current (version 1: memory.usage_in_bytes)",
        "of a service, in slow rounds; page cache and the kernel's own memory for it included", slow=True,
    ),
    Metric(
        GROUP_PEAK, Unit.BYTES, "control group's peak", "memory.peak (version 1: memory.max_usage_in_bytes)",
        "since the group was made; version 2 since 5.19; of a service with several groups there is none", slow=True,
    ),
    Metric(
        GROUP_LIMIT, Unit.BYTES, "control group's limit", "memory.max (version 1: memory.limit_in_bytes)",
        "the smallest of the group's and those around it; none where nothing limits it", slow=True,
    ),
    Metric(
        GROUP_SWAP, Unit.BYTES, "control group's swap", "memory.swap.current (version 1: memory.stat total_swap)",
        slow=True,
    ),
    Metric(GROUP_ANON, Unit.BYTES, "control group's anonymous", "memory.stat anon (version 1: total_rss)", slow=True),
    Metric(
        GROUP_FILE, Unit.BYTES, "control group's files", "memory.stat file (version 1: total_cache)", "includes shmem",
        slow=True,
    ),
    Metric(
        GROUP_SHMEM, Unit.BYTES, "control group's shared memory", "memory.stat shmem (version 1: total_shmem)",
        "version 1 since 4.9", slow=True,
    ),
    Metric(
        GROUP_KERNEL, Unit.BYTES, "control group's kernel memory",
        "memory.stat kernel (version 1: memory.kmem.usage_in_bytes)", "version 2 since 5.18", slow=True,
    ),
    Metric(
        GROUP_SLAB_RECLAIMABLE, Unit.BYTES, "control group's reclaimable slab", "memory.stat slab_reclaimable",
        slow=True,
    ),
    Metric(
        GROUP_OOM_KILLS, Unit.COUNT, "control group's OOM kills",
        "memory.events oom_kill (version 1: memory.oom_control)",
        "processes since the group was made: begins anew when its unit is restarted; since 4.13", slow=True,
    ),
    Metric(COLLECTOR_UP, Unit.BOOL, "collector worked", "leakwatch"),
    Metric(COLLECTOR_DURATION, Unit.MICROSECONDS, "collector's time", "leakwatch"),
    Metric(COLLECTOR_TARGETS, Unit.COUNT, "targets read", "leakwatch"),
)
# fmt: on

_FD_SORTS = tuple(
    Metric(
        PROCESS_FDS_OF + sort,
        Unit.COUNT,
        f"open files: {sort}",
        "links in /proc/PID/fd",
        "where they have risen",
        slow=True,
    )
    for sort in FD_SORTS
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_MEMINFO, *_OTHERS, *_FD_SORTS)}
"""Every metric by its name, except ``collector.absent.REASON``, one a reason."""
MEMINFO = {metric.captured: metric for metric in _MEMINFO if metric.captured}
"""The fields of /proc/meminfo that are sampled, by the kernel's name; a kernel without one of them leaves it absent."""


def _names(having: Callable[[Metric], object]) -> frozenset[str]:
    return frozenset(metric.name for metric in METRICS.values() if having(metric))


COUNTS = _names(lambda metric: metric.judged and metric.unit is Unit.COUNT)
"""What is judged as a number."""
APART = _names(lambda metric: metric.is_apart)
"""What a process has beside the memory of its service, each with a finding of its own."""
SCREENED = COUNTS | APART
"""What is judged only once it has risen (``analysis.findings.counts``)."""
OF_MEMORY = _names(lambda metric: metric.judged_with)
"""What a process has of the memory of its service."""
AS_SAMPLED = _names(lambda metric: metric.judged and not metric.made_of and metric.name not in SCREENED)
"""What is judged from its first sample on, as it is sampled."""
PARTS = frozenset(part for metric in METRICS.values() for part in metric.made_of)
"""What is sampled to be judged as part of another metric."""
TOTALS = frozenset(total for metric in METRICS.values() for total in metric.part_of)
"""What may be missing from a report because another finding tells it."""
SELDOM = _names(lambda metric: metric.slow)
"""What is not sampled at every tick."""
PINNED = _names(lambda metric: (metric.scope in OF_KERNEL or metric.is_apart) and not metric.swappable)
"""Memory that cannot go to swap: the kernel's, its own or for a process."""
FDS_BY_SORT = frozenset(metric.name for metric in _FD_SORTS)


def row(name: str) -> Metric:
    """Return a metric's row; of one that a store of another version has, a bare one."""
    return METRICS.get(name) or Metric(name, Unit.BYTES, name, "")


def title(name: str) -> str:
    """Return what a report calls a metric."""
    return row(name).title


def capture_name(name: str) -> str:
    """Return what a metric is called in captured files: the kernel's name, else its own; empty: its target tells it."""
    metric = METRICS.get(name)
    if metric is not None and metric.captured is not None:
        return metric.captured
    word, _, rest = name.partition(".")
    return name if word in _WHOLE else rest.removesuffix("_bytes")
