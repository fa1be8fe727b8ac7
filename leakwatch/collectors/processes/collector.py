"""Every process's memory, in two tiers: a cheap look at all of them, a full read of those that need one."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from collections.abc import Collection

from leakwatch.clock import elapsed_us
from leakwatch.collectors.processes.cost_stats import CostRound, SamplingCost
from leakwatch.collectors.processes.full_reads import LASTING, CowTracker, FullReads
from leakwatch.collectors.processes.process_counts import CountReader
from leakwatch.collectors.processes.statm_scan import StatmScanner
from leakwatch.collectors.processes.tracked_process import TrackedProcess
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import Target
from leakwatch.model.sample import Absence, AbsenceReason, Unanswered
from leakwatch.procfs.fs import ProcFS

_SKIPPED = Absence(AbsenceReason.SKIPPED, "new processes: the CPU budget of this round was spent before their turn")

LASTS_S = 2.0
"""From then on a process that does not answer is reported: one that is swapped in, or forks 100 GiB, is late once."""


class ProcessCollector:
    """Reads all processes; ``spent`` says what that has cost."""

    def __init__(
        self,
        procfs: ProcFS,
        boot_id: str,
        sampling: SamplingConfig | None = None,
        look_every_s: float | None = None,
    ) -> None:
        sampling = sampling or SamplingConfig()
        tolerance_pages = sampling.tolerance_bytes / procfs.page_size
        self._procfs = procfs
        self._statm_scan = StatmScanner(procfs, boot_id, tolerance_pages, sampling.interval_s)
        self._relatives = CowTracker(procfs, tolerance_pages)
        self._full_reads = FullReads(procfs, sampling, look_every_s)
        self._counting = CountReader(procfs, sampling)
        self._requests: queue.SimpleQueue[Target] = queue.SimpleQueue()
        self._asked: dict[Target, None] = {}
        """What was requested and not read yet, in that order; the sampling thread's own."""
        self._read: list[TrackedProcess] = []
        self.spent = SamplingCost()

    @property
    def watched(self) -> Collection[TrackedProcess]:
        """The processes of the newest round that have an address space."""
        return self._statm_scan.watched.values()

    @property
    def home(self) -> str | None:
        """The container we run in ourselves."""
        return self._statm_scan.home

    def want_full(self, targets: Collection[Target]) -> None:
        """Have these processes read fully at the next tick, before the others and whatever is left of the budget.

        For who is suspected of a leak: an estimate must not decide that. The first of them are looked into first. May
        be called from another thread.
        """
        for target in targets:
            self._requests.put(target)

    def want_counts(self, keys: Collection[tuple[str, Target]]) -> None:
        """Have these counts taken at every tick, and told of which sort they are; may be called from another thread."""
        self._counting.want(keys)

    def collect(self, result: CollectorResult, *, slow: bool) -> None:
        """Sample every process; ``slow``: with all that is counted.

        Raises ProcUnavailableError when they cannot be listed.
        """
        this, now_us = CostRound(), elapsed_us()
        times = [self._procfs.cpu_ns()]
        pids = self._procfs.pids()
        times.append(self._procfs.cpu_ns())
        for one in self._read:
            one.read_now, one.outdated = False, True
        self._statm_scan.look(pids, result)
        watched = self._statm_scan.watched
        self._relatives.follow_faults(watched)
        times.append(self._procfs.cpu_ns())
        self._read_fully(now_us)
        looks = self._full_reads.looks.made(now_us)
        for samples in looks:
            result.samples += samples
        this.looks = len(looks)
        times.append(self._procfs.cpu_ns())
        self._deliver(this, result)
        self._counting.collect(watched, self._statm_scan.zombies, result, now_us, slow=slow)
        self.spent.rank(this, watched.values(), self._procfs.page_size)
        times.append(self._procfs.cpu_ns())
        this.listing_ns, this.looking_ns, this.reading_ns, this.delivering_ns = (
            after - before for before, after in itertools.pairwise(times)
        )
        self.spent.add(this)

    def _read_fully(self, now_us: int) -> None:
        watched = self._statm_scan.watched
        asked = self._take_requests()
        self._full_reads.unreadable = []
        if self._statm_scan.gone:
            self._relatives.update((), watched)
        read = self._full_reads.read(watched.values(), asked, now_us)
        if read:
            # Who has forked since he was last read is found by the first read of his child, and read in the same tick.
            more = self._full_reads.read(self._relatives.update(read, watched), (), now_us)
            self._relatives.update(more, watched)
            read += more
        self._read, self._asked = read, {}
        if self._statm_scan.swap_in_use:
            for one in self._read:
                self._statm_scan.read_swap(one)
                one.since.swap_bytes = 0

    def _take_requests(self) -> dict[Target, None]:
        """Return what is to be read, what a round that failed has left over first."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._asked.setdefault(self._requests.get_nowait())
        return self._asked

    def _deliver(self, this: CostRound, result: CollectorResult) -> None:
        page, samples = self._procfs.page_size, result.samples
        silent = {one.pid: one for one in self._procfs.answers.silent()}
        for one in self._statm_scan.watched.values():
            if one.outdated:
                one.renew_samples(page)
            if one.samples:
                samples += one.samples
                this.estimated += one.is_estimated and not one.is_unread
            if one.absence is not None:
                if one.identity.pid not in silent:
                    result.absent(one.absence)
                if one.absence.reason not in LASTING:
                    one.absence = None  # told once: it is ending, or will be read again
            elif one.samples and not one.is_unread:
                this.processes += 1
            else:
                this.skipped += 1
                result.absent(_SKIPPED)
        now_s = time.monotonic()
        for hung in silent.values():
            result.absent(hung.absence(now_s))
        result.unanswered = [
            Unanswered(hung.pid, hung.name, now_s - hung.began_s)
            for hung in silent.values()
            if now_s - hung.began_s >= LASTS_S
        ]
        this.full_reads = len(self._read)
        result.targets_read = this.processes
        result.unreadable = self._full_reads.unreadable
        result.processes = [one.info for one in self._statm_scan.watched.values()]
