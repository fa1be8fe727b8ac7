"""What processes have many of: threads, open files and what sort they are, mappings, children and zombies.

Threads and open files of everybody, by two looks at directories, every few ticks; of whom they have risen in, at every
tick. What is dear has a purse of its own: a readlink a file, for the sorts of files that have risen; a line a mapping,
where the address space has grown since it was last counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.clock import thread_cpu_ns
from leakwatch.collectors.budget import ASIDE, Purse
from leakwatch.model import Absence, Sample, identity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from leakwatch.collectors.result import Gathered
    from leakwatch.collectors.watched import Watched
    from leakwatch.config import SamplingConfig
    from leakwatch.model import Target
    from leakwatch.procfs.root import ProcFS

REST = 1000
"""Times its cost a process is left in peace after such a look: a thousandth of a core, and of its time, at most."""
GROWN_PAGES = 64
"""Of address space since its smallest, from which on mappings are counted: as many of the smallest that leak."""


class Counting:
    """Counts what the processes that are watched have."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig) -> None:
        self._procfs = procfs
        self._sorting, self._mapping = (
            Purse(ASIDE * sampling.cpu_budget, sampling.interval_s) for _ in ("sorts of files", "mappings")
        )
        self._wanted: dict[Target, frozenset[str]] = {}
        self._parents: set[int] = set()
        self._last_us: int | None = None
        self._due_us: dict[Target, int] = {}
        """From when on the sorts of a process's files may be looked at again."""

    def want(self, keys: Collection[tuple[str, Target]]) -> None:
        """Have these counts taken at every tick; may be called from another thread."""
        wanted: dict[Target, set[str]] = {}
        for metric, target in keys:
            wanted.setdefault(target, set()).add(metric)
        self._wanted = {target: frozenset(names) for target, names in wanted.items()}

    def collect(
        self, watched: Mapping[int, Watched], zombies: Mapping[int, int], gathered: Gathered, now_us: int, *, slow: bool
    ) -> None:
        """Sample what there is to count; ``zombies`` gives the parent of each."""
        if self._last_us is not None:
            self._sorting.earn(now_us - self._last_us)
            self._mapping.earn(now_us - self._last_us)
        self._last_us = now_us
        wanted = [
            one
            for target in self._wanted
            if (one := watched.get(identity_of(target.key).pid)) is not None and one.target == target
        ]
        for one in watched.values() if slow else wanted:
            self._count(one, gathered)
        if slow:
            self._count_children(watched, zombies, gathered)
            self._count_mappings(watched, gathered, now_us)
            self._tell_sorts([one for one in wanted if self._wants(one, metrics.PROCESS_FDS)], gathered, now_us)

    def _wants(self, one: Watched, metric: str) -> bool:
        return metric in self._wanted.get(one.target, ())

    def _count(self, one: Watched, gathered: Gathered) -> None:
        """Sample threads and open files."""
        pid = one.identity.pid
        threads, files = self._procfs.counts(pid) if one.statm_file is not None else (0, 0)
        if not threads:
            stat = self._procfs.stat(pid)
            threads = 0 if isinstance(stat, Absence) else stat.num_threads
        listed = files or self._procfs.fd_count(pid)
        if isinstance(listed, Absence):
            gathered.absent(listed)
        values = (threads or None, None if isinstance(listed, Absence) else listed)
        if values != tuple(sample.value for sample in one.counted):
            of = zip((metrics.PROCESS_THREADS, metrics.PROCESS_FDS), values, strict=True)
            one.counted = tuple(Sample(metric, one.target, value) for metric, value in of if value is not None)
        gathered.samples += one.counted

    def _count_children(self, watched: Mapping[int, Watched], zombies: Mapping[int, int], gathered: Gathered) -> None:
        """Sample living and ended children of whoever has or had any."""
        living = Counter(one.parentage.ppid for one in watched.values())
        ended = Counter(zombies.values())
        parents = {pid for pid in living.keys() | ended.keys() | self._parents if pid in watched}
        for pid in parents:
            target = watched[pid].target
            gathered.samples.append(Sample(metrics.PROCESS_CHILDREN, target, living[pid]))
            gathered.samples.append(Sample(metrics.PROCESS_ZOMBIES, target, ended[pid]))
        self._parents = parents

    def _count_mappings(self, watched: Mapping[int, Watched], gathered: Gathered, now_us: int) -> None:
        """Sample the mappings of whoever's address space has grown; those that wait for the purse, oldest first."""
        due = []
        for one in watched.values():
            size = one.statm.size_pages if one.statm else 0
            one.smallest_pages = min(one.smallest_pages, size) if one.smallest_pages else size
            if size - one.smallest_pages < GROWN_PAGES:
                continue
            if one.mapped is None or (size != one.mapped_pages and now_us >= one.mapped_due_us):
                due.append(one)
            else:
                gathered.samples.append(one.mapped)
        # First those in whom they have risen before, then those that have waited for longest.
        for one in sorted(due, key=lambda one: (not self._wants(one, metrics.PROCESS_MAPPINGS), one.mapped_due_us)):
            if self._mapping.left_us <= 0:
                return
            began_ns = thread_cpu_ns()
            found = self._procfs.mapping_count(one.identity.pid)
            cost_us = (thread_cpu_ns() - began_ns) // 1000
            self._mapping.spend(cost_us)
            one.mapped_due_us = now_us + REST * cost_us
            if isinstance(found, Absence):
                gathered.absent(found)
            elif found and one.statm:
                one.mapped = Sample(metrics.PROCESS_MAPPINGS, one.target, found)
                one.mapped_pages = one.statm.size_pages
                gathered.samples.append(one.mapped)

    def _tell_sorts(self, risen: list[Watched], gathered: Gathered, now_us: int) -> None:
        """Sample of which sort the open files are, of those in whom they have risen, the longest ago first."""
        due_us = {one.target: self._due_us.get(one.target, 0) for one in risen}
        for one in sorted(risen, key=lambda one: due_us[one.target]):
            if self._sorting.left_us <= 0 or due_us[one.target] > now_us:
                break
            began_ns = thread_cpu_ns()
            found = self._procfs.fd_sorts(one.identity.pid)
            cost_us = (thread_cpu_ns() - began_ns) // 1000
            self._sorting.spend(cost_us)
            due_us[one.target] = now_us + REST * cost_us
            if not isinstance(found, Absence):
                gathered.samples += [
                    Sample(f"{metrics.PROCESS_FDS_OF}{sort}", one.target, number) for sort, number in found.items()
                ]
        self._due_us = due_us
