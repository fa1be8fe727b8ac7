"""What the mappings of a process are told apart as: classes, what they are called, and how each of them grows. Pure.

A class is named by its key: a kind, or a kind and a name (``file:/usr/lib/libc.so.6``). Keys are stored; titles are
what people read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from leakwatch.model.identity import Target, TargetKind

_SEPARATOR = "|"
"""Between a process's key and a class's: neither a boot id nor a number has one."""


class ClassKind(StrEnum):
    """What memory is, as far as its mapping tells."""

    HEAP = "heap"
    """``[heap]``: what malloc takes by brk."""
    ARENAS = "arenas"
    """What glibc's malloc takes for other threads: 64 MiB of address space each, aligned to that."""
    THREAD_STACKS = "thread_stacks"
    STACK = "stack"
    """``[stack]``: of the main thread."""
    ANONYMOUS = "anonymous"
    """Nameless and private: large blocks of malloc, other allocators, garbage collectors."""
    NAMED = "named"
    """Named by the program (PR_SET_VMA_ANON_NAME, 5.17)."""
    NAMED_SHARED = "named_shared"
    """The same of shared memory (6.2), and Android's ashmem."""
    FILE = "file"
    TMPFS = "tmpfs"
    """A file whose file system is memory."""
    MEMFD = "memfd"
    SHM = "shm"
    """POSIX shared memory, /dev/shm."""
    SYSV = "sysv"
    SHARED = "shared"
    """Nameless and shared with children."""
    HUGETLB = "hugetlb"
    GRAPHICS = "graphics"
    """Buffers of a graphics driver (drivers/gpu/drm)."""
    DMABUF = "dmabuf"
    """A buffer that devices share (drivers/dma-buf)."""
    DEVICE = "device"
    """A device's file, mapped: its registers, or buffers its driver made."""
    OBJECT = "object"
    """What a descriptor of no file shares with the kernel: io_uring, perf, AIO, packet sockets."""
    KERNEL = "kernel"
    """Mapped by the kernel into every process: vdso, vvar."""


OTHERS = "*"
"""In place of a name: the smaller ones of a kind together. No path begins so, and a name of a memfd may: bad luck."""

_TITLES = {
    ClassKind.HEAP: "the heap",
    ClassKind.ARENAS: "malloc arenas of threads",
    ClassKind.THREAD_STACKS: "thread stacks",
    ClassKind.STACK: "the main stack",
    ClassKind.ANONYMOUS: "anonymous mappings",
    ClassKind.SHARED: "shared anonymous memory",
    ClassKind.HUGETLB: "huge pages (hugetlb)",
    ClassKind.KERNEL: "the kernel's own (vdso)",
}
_NAMED_TITLES = {
    ClassKind.NAMED: ("memory named {}", "other named memory"),
    ClassKind.NAMED_SHARED: ("shared memory named {}", "other named shared memory"),
    ClassKind.FILE: ("file {}", "other files"),
    ClassKind.TMPFS: ("file in memory {}", "other files in memory"),
    ClassKind.MEMFD: ("memfd {}", "other memfds"),
    ClassKind.SHM: ("shared memory {}", "other shared memory"),
    ClassKind.SYSV: ("System V segment {}", "other System V segments"),
    ClassKind.GRAPHICS: ("graphics memory {}", "other graphics memory"),
    ClassKind.DMABUF: ("DMA buffer {}", "other DMA buffers"),
    ClassKind.DEVICE: ("memory of device {}", "memory of other devices"),
    ClassKind.OBJECT: ("memory shared with the kernel {}", "other memory shared with the kernel"),
}
NAMED_KINDS = frozenset(_NAMED_TITLES)


def class_key(kind: ClassKind, name: str = "") -> str:
    """Return the key of a class."""
    return f"{kind}:{name}" if kind in NAMED_KINDS else str(kind)


def others_of(key: str) -> str:
    """Return the key under which the smaller classes of this one's kind are summed up."""
    return f"{key.partition(':')[0]}:{OTHERS}"


def is_named(key: str) -> bool:
    """Return whether there can be any number of classes of this kind in one process."""
    return ":" in key


def title(key: str) -> str:
    """Return what people read: ``the heap``, ``file /usr/lib/libc.so.6``. The name is not escaped."""
    kind, _, name = key.partition(":")
    if kind in _TITLES:
        return _TITLES[ClassKind(kind)]
    if kind not in _NAMED_TITLES:
        return key
    one, others = _NAMED_TITLES[ClassKind(kind)]
    return others if name == OTHERS else one.format(name)


def class_target(process: Target, key: str) -> Target:
    """Return the target of the series of one class of a process's memory."""
    return Target(TargetKind.MEMORY_CLASS, f"{process.key}{_SEPARATOR}{key}")


def process_and_class(target: Target) -> tuple[Target, str]:
    """Return whose memory a class's series is about, and the class."""
    process, _, key = target.key.partition(_SEPARATOR)
    return Target(TargetKind.PROCESS, process), key


def process_of(target: Target) -> Target:
    """Return the process a target is a part of; any other target is its own."""
    return process_and_class(target)[0] if target.kind is TargetKind.MEMORY_CLASS else target


@dataclass(frozen=True, slots=True)
class ClassUse:
    """What a process's mappings of one class come to, in bytes."""

    key: str
    mappings: int = 0
    size_bytes: int = 0
    """Of address space."""
    rss_bytes: int = 0
    pss_bytes: int = 0
    clean_bytes: int = 0
    """``Private_Clean``: resident for this process alone, and as the file has it: the kernel can drop it."""
    dirty_bytes: int = 0
    """``Private_Dirty``, and hugetlb pages that this process alone has."""
    swap_bytes: int = 0

    @property
    def uss_bytes(self) -> int:
        """What this process alone has resident."""
        return self.clean_bytes + self.dirty_bytes

    @property
    def held_bytes(self) -> int:
        """What this process holds: alone, and in swap."""
        return self.uss_bytes + self.swap_bytes

    def plus(self, other: ClassUse) -> ClassUse:
        """Return the sum of the two, called as this one."""
        return replace(
            self,
            mappings=self.mappings + other.mappings,
            size_bytes=self.size_bytes + other.size_bytes,
            rss_bytes=self.rss_bytes + other.rss_bytes,
            pss_bytes=self.pss_bytes + other.pss_bytes,
            clean_bytes=self.clean_bytes + other.clean_bytes,
            dirty_bytes=self.dirty_bytes + other.dirty_bytes,
            swap_bytes=self.swap_bytes + other.swap_bytes,
        )


@dataclass(frozen=True, slots=True)
class ClassTrend:
    """How one class grew from look to look."""

    key: str
    held_bytes: int
    """At the newest look."""
    mappings: int
    slope_bytes_per_hour: float
    slope_low: float
    slope_high: float
    mappings_per_hour: float
    share: float | None
    """Of the growth of all classes together; None where that is not growth."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows in a process, or in those of a service that were looked into."""

    reads: int
    """Of the process with the most."""
    processes: int
    first_ms: int
    last_ms: int
    slope_bytes_per_hour: float
    """Of all classes together, over the same looks."""
    classes: tuple[ClassTrend, ...]
    """The fastest growing first."""
