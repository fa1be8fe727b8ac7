"""What processes have many of: threads, open files and what sort they are, mappings, children and zombies.

Threads and open files of everybody, by two looks at directories, every few ticks; of whom they have risen in, at every
tick. What is dear has a purse of its own: a readlink a file, for the sorts of files that have risen; a line a mapping,
where the address space has grown since it was last counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping

from leakwatch import metrics
from leakwatch.collectors.processes.budget import ASIDE, CpuBudget
from leakwatch.collectors.processes.tracked_process import TrackedProcess
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import Target, identity_of
from leakwatch.model.sample import Absence, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.text.escape import as_text

REST = 300
"""Times its cost a process is left in peace after such a look: a three hundredth of its time at most."""
REFUSED_S = 600
"""After this time mappings that were refused are asked for again."""
MOST_NAMES = 50
"""Names of threads that are told apart: a process chooses them."""
GROWN_PAGES = 64
"""Of address space since its smallest, from which on mappings are counted: as many of the smallest that leak."""


class CountReader:
    """Counts what the processes that are watched have."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig) -> None:
        self._procfs = procfs
        self._sorting, self._mapping = (
            CpuBudget(ASIDE * sampling.cpu_budget, sampling.interval_s) for _ in ("sorts of files", "mappings")
        )
        self._own_pid = os.getpid() if procfs.root == "/proc" else None
        self._wanted: dict[Target, frozenset[str]] = {}
        self._wanted_next = self._wanted
        """Replaced as a whole by another thread, and taken once a round."""
        self._parents: dict[str, set[int]] = {metrics.PROCESS_CHILDREN: set(), metrics.PROCESS_ZOMBIES: set()}
        """Who has or had some."""
        self._last_us: int | None = None
        self._due_us: dict[tuple[str, Target], int] = {}
        """From when on a process's files, or threads, may be told apart again."""

    def want(self, keys: Collection[tuple[str, Target]]) -> None:
        """Have these counts taken at every tick; may be called from another thread."""
        wanted: dict[Target, set[str]] = {}
        for metric, target in keys:
            wanted.setdefault(target, set()).add(metric)
        self._wanted_next = {target: frozenset(names) for target, names in wanted.items()}

    def collect(
        self,
        watched: Mapping[int, TrackedProcess],
        zombies: Mapping[int, int],
        result: CollectorResult,
        now_us: int,
        *,
        slow: bool,
    ) -> None:
        """Sample what there is to count; ``zombies`` gives the parent of each."""
        if self._last_us is not None:
            self._sorting.earn(now_us - self._last_us)
            self._mapping.earn(now_us - self._last_us)
        self._last_us, self._wanted = now_us, self._wanted_next
        wanted = [
            one
            for target in self._wanted
            if (one := watched.get(identity_of(target.key).pid)) is not None and one.target == target
        ]
        for one in watched.values() if slow else wanted:
            self._count(one, result)
        if slow:
            self._count_children(watched, zombies, result)
            self._count_mappings(watched, result, now_us)
            self._tell_sorts(wanted, result, now_us)

    def _wants(self, one: TrackedProcess, metric: str) -> bool:
        return metric in self._wanted.get(one.target, ())

    def _count(self, one: TrackedProcess, result: CollectorResult) -> None:
        """Sample threads and open files."""
        pid = one.identity.pid
        threads, files = self._procfs.counts(pid) if one.statm_file is not None else (0, 0)
        if not threads:
            stat = self._procfs.stat(pid)
            threads = 0 if isinstance(stat, Absence) else stat.num_threads
        listed = files or self._procfs.fd_count(pid)
        if isinstance(listed, Absence):
            result.absent(listed)
        elif pid == self._own_pid:
            # What is kept open of others is bounded, and would grow with whoever leaks processes.
            listed = max(0, listed - self._procfs.kept.count)
        values = (threads or None, None if isinstance(listed, Absence) else listed)
        if values != tuple(sample.value for sample in one.counted):
            of = zip((metrics.PROCESS_THREADS, metrics.PROCESS_FDS), values, strict=True)
            one.counted = tuple(Sample(metric, one.target, value) for metric, value in of if value is not None)
        result.samples += one.counted

    def _count_children(
        self, watched: Mapping[int, TrackedProcess], zombies: Mapping[int, int], result: CollectorResult
    ) -> None:
        """Sample living and ended children of whoever has or had any."""
        living = Counter(one.parentage.ppid for one in watched.values())
        for metric, number in (
            (metrics.PROCESS_CHILDREN, living),
            (metrics.PROCESS_ZOMBIES, Counter(zombies.values())),
        ):
            parents = {pid for pid in number.keys() | self._parents[metric] if pid in watched}
            result.samples += [Sample(metric, watched[pid].target, number[pid]) for pid in parents]
            self._parents[metric] = parents

    def _count_mappings(self, watched: Mapping[int, TrackedProcess], result: CollectorResult, now_us: int) -> None:
        """Sample the mappings of whoever's address space has grown; those that wait for the purse, oldest first."""
        due = []
        for one in watched.values():
            size = one.statm.size_pages if one.statm else 0
            one.smallest_pages = min(one.smallest_pages, size) if one.smallest_pages else size
            if size - one.smallest_pages < GROWN_PAGES:
                continue
            if one.mapped is not None and size == one.mapped_pages:
                result.samples.append(one.mapped)
            elif now_us >= one.mapped_due_us:
                due.append(one)
        # First those in whom they have risen before, then those that have waited for longest.
        for one in sorted(due, key=lambda one: (not self._wants(one, metrics.PROCESS_MAPPINGS), one.mapped_due_us)):
            if self._mapping.left_us <= 0:
                return
            began_ns = self._procfs.cpu_ns()
            found = self._procfs.counted.mapping_count(one.identity.pid)
            cost_us = (self._procfs.cpu_ns() - began_ns) // 1000
            self._mapping.spend(cost_us)
            one.mapped_due_us = now_us + REST * cost_us
            if isinstance(found, Absence):
                # Whoever's maps are refused has his smaps refused, which is told; nothing new is to be had soon.
                one.mapped_due_us = now_us + REFUSED_S * 1_000_000
            elif found and one.statm:
                one.mapped = Sample(metrics.PROCESS_MAPPINGS, one.target, found)
                one.mapped_pages = one.statm.size_pages
                result.samples.append(one.mapped)

    def _tell_sorts(self, risen: list[TrackedProcess], result: CollectorResult, now_us: int) -> None:
        """Tell of which sort the files and threads are that have risen, those first that wait for the longest."""
        told = {metrics.PROCESS_FDS: self._tell_files, metrics.PROCESS_THREADS: self._tell_threads}
        wanted = [(metric, one.target) for one in risen for metric in told if self._wants(one, metric)]
        due_us = {key: self._due_us.get(key, 0) for key in wanted}
        for key in sorted(wanted, key=lambda key: due_us[key]):
            if self._sorting.left_us <= 0 or due_us[key] > now_us:
                break
            began_ns = self._procfs.cpu_ns()
            told[key[0]](key[1], result)
            cost_us = (self._procfs.cpu_ns() - began_ns) // 1000
            self._sorting.spend(cost_us)
            due_us[key] = now_us + REST * cost_us
        self._due_us = due_us

    def _tell_files(self, target: Target, result: CollectorResult) -> None:
        found = self._procfs.counted.fd_sorts(identity_of(target.key).pid)
        if not isinstance(found, Absence):
            result.samples += [Sample(f"{metrics.PROCESS_FDS_OF}{sort}", target, n) for sort, n in found.items()]

    def _tell_threads(self, target: Target, result: CollectorResult) -> None:
        found = self._procfs.counted.thread_names(identity_of(target.key).pid)
        if not isinstance(found, Absence):
            result.thread_names[target] = {as_text(name): number for name, number in found.most_common(MOST_NAMES)}
