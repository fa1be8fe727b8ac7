"""Processes that hold kernel objects, and what one object of each kind costs in which cache."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.corpus.kernel_objects import Kind, kinds

if TYPE_CHECKING:
    from tests.corpus.shapes import Levels

DESCRIPTORS = 16000
"""So many objects kept by descriptor one process holds; then a child keeps them and the process starts afresh."""
FIELDS = ("Shmem", "SUnreclaim", "SReclaimable", "Slab", "PageTables", "KernelStack", "Percpu", "VmallocUsed")
"""Fields of meminfo that an object can grow."""
CONTEXT_FIELDS = ("MemAvailable", "MemFree", "AnonPages", "Cached", "Buffers", "Mapped", "Committed_AS")
"""Recorded beside them: the host they happen on."""
COUNTS = {
    "netns": 12,
    "mount": 200,
    "memory-group": 60,
    "page-table": 40,
    "thread": 300,
    "zombie": 200,
} | dict.fromkeys(("bpf-array", "bpf-percpu", "tmpfs-file", "memfd", "ipcns"), 50)
"""How many objects measure the cost of one; three thousand of the kinds not named."""
MEASUREMENTS = 3

OF_PROCESSES = {
    *(f"kernel/slab:{cache}" for cache in ("anon_vma", "anon_vma_chain", "eventpoll_epi", "kmalloc-96", "maple_node")),
    *(f"kernel/slab:{cache}" for cache in ("msg_msg-4k", "numa_policy", "pid", "radix_tree_node", "sigqueue")),
    *(f"kernel/slab:{cache}" for cache in ("task_struct", "tw_sock_TCP", "vm_area_struct", "vmap_area")),
    *(f"kernel/{field}" for field in ("PageTables", "KernelStack", *CONTEXT_FIELDS)),
}
"""What any process that comes or goes moves: no object of ours is held to have, but for those named here."""
NAMED = {
    "thread": {"task_struct", "pid", "KernelStack"},
    "zombie": {"task_struct", "pid"},
    "mapping": {"vm_area_struct", "maple_node"},
    "page-table": {"PageTables"},
    "epoll": {"eventpoll_epi"},
    "message-4000": {"msg_msg-4k"},
    "signal": {"sigqueue"},
    "memfd": {"radix_tree_node"},
}
OF_DISKS = ("ext4", "jbd2", "xfs", "btrfs", "buffer_head", "extent_status", "bio")
"""Caches that other work on the host moves, and none of our objects."""

Sample = dict[str, int]


def read_slabs() -> Sample:
    """Bytes of active objects by cache."""
    lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    return {f"kernel/slab:{f[0]}": int(f[1]) * int(f[3]) for f in (line.split() for line in lines)}


def read_meminfo() -> Sample:
    pairs = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    found = {pair[0].rstrip(":"): int(pair[1]) * 1024 for pair in pairs}
    return {f"kernel/{field}": found[field] for field in FIELDS + CONTEXT_FIELDS if field in found}


def reclaimable(series: str) -> bool:
    cache = series.removeprefix("kernel/slab:")
    flag = Path(f"/sys/kernel/slab/{cache}/reclaim_account")
    return series == "kernel/SReclaimable" or (flag.exists() and flag.read_text().strip() == "1")


class Pool:
    """Holds ``level`` objects of one kind; what is above is dropped, oldest first."""

    def __init__(self, kind: Kind, directory: Path) -> None:
        self.kind, self.directory = kind, directory
        self.held: list[Any] = []
        self.handed_over, self.keepers = 0, []

    def reach(self, level: int) -> None:
        while self.handed_over + len(self.held) < level:
            self.held.append(self.kind.make(self.directory))
            if self.kind.is_fd and len(self.held) * 2 >= DESCRIPTORS:
                self.hand_over()
        surplus = self.handed_over + len(self.held) - level
        for handle in self.held[: max(0, surplus)]:
            self.kind.drop(handle)
        del self.held[: max(0, surplus)]

    def hand_over(self) -> None:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                signal.pause()
        self.keepers.append(pid)
        self.handed_over += len(self.held)
        for handle in self.held:
            self.kind.drop(handle)
        self.held.clear()

    def close(self) -> None:
        for pid in self.keepers:
            os.kill(pid, signal.SIGTERM)
        for handle in self.held:
            with suppress(OSError):
                self.kind.drop(handle)


def start_pool(name: str, levels: Levels, directory: Path, begin: float) -> int:
    """Fork a process that keeps as many objects as ``levels`` says of each second after ``begin``."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.pthread_sigmask(signal.SIG_BLOCK, [40])
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        directory.mkdir(parents=True, exist_ok=True)
        pool = Pool(kinds()[name], directory)
        try:
            for second, level in enumerate(levels):
                pool.reach(int(level))
                time.sleep(max(0.0, begin + second + 1 - time.monotonic()))
            signal.pause()
        finally:
            pool.close()
    except SystemExit:
        status = 0
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    os._exit(status)


def cost_of(name: str, directory: Path) -> dict[str, float]:
    """Bytes one object of a kind adds to each series: the median of measurements, as the host does other things."""
    found = [added_by(name, directory / str(i)) for i in range(MEASUREMENTS)]
    cost = {series: float(np.median([one[series] for one in found])) for series in set.intersection(*map(set, found))}
    return {series: value for series, value in cost.items() if value >= least(series)}


def believable(name: str, cost: dict[str, float]) -> dict[str, float]:
    """The measured cost without what other processes did meanwhile, and with its sums over slab caches."""
    own = {series for series in cost if series.removeprefix("kernel/").removeprefix("slab:") in NAMED.get(name, ())}
    cost = {series: value for series, value in cost.items() if series in own or series not in OF_PROCESSES}
    slabs = {series: value for series, value in cost.items() if series.startswith("kernel/slab:")}
    kept = sum(value for series, value in slabs.items() if reclaimable(series))
    total = sum(slabs.values())
    return cost | {"kernel/Slab": total, "kernel/SReclaimable": kept, "kernel/SUnreclaim": total - kept}


def least(series: str) -> float:
    """Below this an object's cost is noise; it is all noise in the caches of the disk."""
    if not series.startswith("kernel/slab:"):
        return 1000.0
    return float("inf") if series.removeprefix("kernel/slab:").startswith(OF_DISKS) else 12.0


def added_by(name: str, directory: Path) -> dict[str, float]:
    """What is freed is freed late: wait for it, lest the next measurement begins too high."""
    count = COUNTS.get(name, 3000)
    before = read_slabs() | read_meminfo()
    pid = start_pool(name, [count] * 3600, directory, time.monotonic() + 1.0)
    time.sleep(1.2)
    after = read_slabs() | read_meminfo()
    os.kill(pid, signal.SIGTERM)
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"{name}: cannot be made here")
    time.sleep(1.5)
    return {series: (value - before[series]) / count for series, value in after.items() if series in before}
