"""One scrape: every collector in turn, each on its own.

What was irregular about the time of a scrape: late, missed, slept through, or the clock was set.
"""

from __future__ import annotations

from collections.abc import Collection

from leakwatch.clock import elapsed_us
from leakwatch.collectors.kernel.collector import (
    collect_cgroups,
    collect_meminfo,
    collect_slab,
    collect_sockets,
    collect_vmalloc,
)
from leakwatch.collectors.kernel.orphans import Tmpfs, collect_ipc
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.processes.cost_stats import SamplingCost
from leakwatch.collectors.result import CollectorResult, outcome_samples, run_isolated
from leakwatch.collectors.services.cgroups import GroupCollector
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import Target
from leakwatch.model.sample import Scrape, Tick
from leakwatch.model.timeline import Moment
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.mounts import hides_from_us

PROCESSES = "processes"
MEMINFO = "meminfo"
SLAB = "slab"
VMALLOC = "vmalloc"
SOCKETS = "sockets"
CGROUPS = "cgroups"
GROUPS = "groups"
IPC = "ipc"
TMPFS = "tmpfs"


class Scraper:
    """Takes scrapes of one /proc tree."""

    def __init__(
        self, procfs: ProcFS, boot_id: str, sampling: SamplingConfig, look_every_s: float | None = None
    ) -> None:
        """``look_every_s``: seconds between two looks into the mappings of a suspect; None: none is made."""
        self._procfs = procfs
        self._processes = ProcessCollector(procfs, boot_id, sampling, look_every_s)
        self.groups = GroupCollector(procfs, self._processes.home)
        self._tmpfs = Tmpfs(procfs, sampling)
        self._slow_every = sampling.slow_every
        self._round = 0
        self._hidepid = ""

    @property
    def spent(self) -> SamplingCost:
        """What sampling has cost so far."""
        return self._processes.spent

    def want_full(self, targets: Collection[Target]) -> None:
        """Have these processes read fully at the next scrape, as for a suspicion that estimates must not decide."""
        self._processes.want_full(targets)

    def want_counts(self, keys: Collection[tuple[str, Target]]) -> None:
        """Have these counts of processes, which have risen, taken at every scrape."""
        self._processes.want_counts(keys)

    def scrape(self, tick: Tick) -> Scrape:
        """Return all samples of now; what could not be read is in the outcomes."""
        began = elapsed_us()
        callers: dict[str, int] | None = None
        slow = self._round % self._slow_every == 0
        self._round += 1
        if slow:  # it may be mounted anew
            self._hidepid = hides_from_us(self._procfs.root)

        def vmalloc(result: CollectorResult) -> None:
            nonlocal callers
            callers = collect_vmalloc(self._procfs, result)

        runs = [run_isolated(PROCESSES, lambda result: self._processes.collect(result, slow=slow))]
        watched = self._processes.watched
        runs.append(run_isolated(GROUPS, lambda result: self.groups.collect(result, watched, slow=slow)))
        kernel_ns = self._procfs.cpu_ns()
        runs += [
            run_isolated(SLAB, lambda result: collect_slab(self._procfs, result, slow=slow)),
            run_isolated(VMALLOC, vmalloc),
            run_isolated(MEMINFO, lambda result: collect_meminfo(self._procfs, result, callers, slow=slow)),
            run_isolated(SOCKETS, lambda result: collect_sockets(self._procfs, result)),
        ]
        if slow:
            runs += [
                # With version 1 of control groups it is a walk over all of them.
                run_isolated(CGROUPS, lambda result: collect_cgroups(self._procfs, result)),
                run_isolated(IPC, lambda result: collect_ipc(self._procfs, result)),
                run_isolated(TMPFS, lambda result: self._tmpfs.collect(result, began)),
            ]
        self.spent.totals.kernel_cpu_seconds += (self._procfs.cpu_ns() - kernel_ns) / 1e9
        samples = [sample for result, outcome in runs for sample in (*result.samples, *outcome_samples(outcome))]
        return Scrape(
            tick=tick,
            samples=tuple(samples),
            processes=tuple(process for result, _ in runs for process in result.processes),
            outcomes=tuple(outcome for _, outcome in runs),
            duration_us=elapsed_us() - began,
            owners=next((result.owners for result, _ in runs if result.owners is not None), None),
            oom_kills=tuple(kill for result, _ in runs for kill in result.oom_kills),
            largest={metric: named for result, _ in runs for metric, named in result.largest.items()},
            thread_names={target: names for result, _ in runs for target, names in result.thread_names.items()},
            hidepid=self._hidepid,
            unanswered=tuple(one for result, _ in runs for one in result.unanswered),
            unreadable=tuple(target for result, _ in runs for target in result.unreadable),
        )


LATE_TOLERANCE_MS = 100
"""A tick this late is on time: schedulers wake threads some milliseconds late."""
SUSPEND_TOLERANCE_MS = 50
"""The two monotonic clocks are read one after the other."""


class TickClock:
    """Compares each scrape's time with the one before."""

    def __init__(self, interval_s: float, boot_id: str) -> None:
        self._interval_ms = round(interval_s * 1000)
        self._boot_id = boot_id
        self._previous: Moment | None = None

    def tick(self, now: Moment) -> Tick:
        """Return the tick taken at ``now``."""
        previous, self._previous = self._previous, now
        if previous is None:
            return Tick(now.ts_ms, self._boot_id)
        slept = (now.boottime_ms - previous.boottime_ms) - (now.monotonic_ms - previous.monotonic_ms)
        awake = now.monotonic_ms - previous.monotonic_ms
        missed = max(0, (awake + self._interval_ms // 2) // self._interval_ms - 1)
        late = awake - (missed + 1) * self._interval_ms
        return Tick(
            ts_ms=now.ts_ms,
            boot_id=self._boot_id,
            late_ms=late if late > LATE_TOLERANCE_MS else 0,
            missed=missed,
            suspended_ms=slept if slept > SUSPEND_TOLERANCE_MS else 0,
            clock_step_ms=now.offset_ms - previous.offset_ms,
        )
