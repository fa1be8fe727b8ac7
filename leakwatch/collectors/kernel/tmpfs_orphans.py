"""Files in tmpfs that no process has open or mapped: memory that stays until somebody removes them.

How much a tmpfs holds costs one call. Only one that has grown since leakwatch began is walked, and then its files are
looked for in what every process has open; both within a purse, and again only when what it holds has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leakwatch import metrics
from leakwatch.collectors.processes.budget import ASIDE, CpuBudget
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.shared_memory import TmpFile
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

GROWN_BYTES = 1 << 20
"""What a tmpfs must have grown by before it is walked at all, as [thresholds] min_growth."""
MOVED_BYTES = 1 << 16
"""And have changed by to be walked again."""
MOST_ENTRIES = 20_000
"""Names looked at in one walk."""
NAMED = 2


@dataclass(slots=True)
class _Known:
    """One tmpfs."""

    least: int
    walked: int | None = None
    """What it held when it was last walked."""
    orphans: int = 0
    largest: tuple[str, ...] = ()
    incomplete: bool = False


class Tmpfs:
    """Knows what each tmpfs held when it was last looked at."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig) -> None:
        self._procfs = procfs
        self._cpu_budget = CpuBudget(ASIDE * sampling.cpu_budget, sampling.interval_s)
        self._known: dict[str, _Known] = {}
        self._last_us: int | None = None

    def collect(self, result: CollectorResult, now_us: int) -> None:
        """Sample what all of them hold, and what of that belongs to nobody where one has grown."""
        if self._last_us is not None:
            self._cpu_budget.earn(now_us - self._last_us)
        self._last_us = now_us
        mounted = self._procfs.counted.tmpfs_used()
        if isinstance(mounted, Absence):
            result.absent(mounted)
            return
        self._known = {device: self._known.get(device) or _Known(size) for device, (_, size) in mounted.items()}
        result.targets_read = len(mounted)
        result.samples.append(Sample(metrics.TMPFS_USED, HOST, sum(size for _, size in mounted.values())))
        grown = False
        for device, (path, size) in mounted.items():
            one = self._known[device]
            one.least = min(one.least, size)
            if one.walked is None and size - one.least < GROWN_BYTES:
                continue
            grown = True
            if one.walked is None or abs(size - one.walked) >= MOVED_BYTES:
                if self._cpu_budget.left_us <= 0:
                    return  # what is known is of the past: no sample
                if not self._walk(one, path, size):
                    result.absent(Absence(AbsenceReason.DENIED, f"tmpfs {path}: who has its files open"))
                    return
        if grown:
            self._tell(result)

    def _walk(self, one: _Known, path: str, size: int) -> bool:
        """Look through one; return whether it can be told whose its files are."""
        began_ns = self._procfs.cpu_ns()
        files, whole = self._procfs.counted.tmpfs_files(path, MOST_ENTRIES)
        held = self._procfs.counted.tmpfs_held(self._procfs.pids(), files)
        self._cpu_budget.spend((self._procfs.cpu_ns() - began_ns) / 1000)
        if held is None:
            return False
        orphans = [file for file in files if file.inode not in held]
        one.walked, one.incomplete = size, not whole
        one.orphans, one.largest = sum(file.bytes for file in orphans), _described(orphans)
        return True

    def _tell(self, result: CollectorResult) -> None:
        by_size = sorted(self._known.values(), key=lambda one: -one.orphans)
        result.samples.append(Sample(metrics.TMPFS_ORPHANS, HOST, sum(one.orphans for one in by_size)))
        result.largest[metrics.TMPFS_ORPHANS] = tuple(text for one in by_size for text in one.largest)[: 2 * NAMED]
        if any(one.incomplete for one in by_size):
            result.absent(Absence(AbsenceReason.SKIPPED, f"tmpfs: only {MOST_ENTRIES} names of one were looked at"))


def _described(orphans: Iterable[TmpFile]) -> tuple[str, ...]:
    """Return where most of them lie, and the largest."""
    files = sorted(orphans, key=lambda file: -file.bytes)
    if not files:
        return ()
    sizes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for file in files:
        directory = file.path.rpartition("/")[0] or "/"
        sizes[directory] += file.bytes
        numbers[directory] += 1
    found = [
        f"{printable(directory)} {format_bytes(size)} in {numbers[directory]} files"
        for directory, size in sizes.most_common(NAMED)
    ]
    largest = files[0]
    return (*found, f"{printable(largest.path)} {format_bytes(largest.bytes)} (uid {largest.uid})")
