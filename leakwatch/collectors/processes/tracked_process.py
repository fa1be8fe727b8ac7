"""One process from one tick to the next: what it said when it was read fully, and what has moved since. No I/O.

Copy-on-write families: who shares pages with whom after a fork. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from leakwatch import metrics
from leakwatch.collectors.processes.budget import age_limit_us
from leakwatch.collectors.processes.estimate import (
    NO_HABIT,
    CowModel,
    FullRead,
    Since,
    estimated,
    full_read,
    learnt,
    learnt_gap,
    possible_error,
)
from leakwatch.model.identity import ProcessIdentity, ProcessInfo, Target
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.pid.cgroup import CgroupPaths
from leakwatch.procfs.pid.smaps import MemoryUse
from leakwatch.procfs.pid.stat import PidStatm

ADOPTER = 1
"""Init: orphans are its children, and no relatives of one another for that."""


class Parentage(NamedTuple):
    """Whom a process descends from, as ``stat`` tells."""

    ppid: int
    pgrp: int


def families(sharing: Mapping[int, Parentage]) -> dict[int, frozenset[int]]:
    """Return the family of each process that shares pages, by pid; a family may be the process alone.

    Relatives are parent and child; orphans are those of one process group, which a fork keeps.
    """
    head = {pid: pid for pid in sharing}

    def top(pid: int) -> int:
        while head[pid] != pid:
            head[pid] = pid = head[head[pid]]
        return pid

    groups: dict[int, int] = {}
    for pid, of in sharing.items():
        if of.ppid in sharing:
            head[top(pid)] = top(of.ppid)
        elif of.ppid <= ADOPTER:
            head[top(pid)] = top(groups.setdefault(of.pgrp, pid))
    members: dict[int, list[int]] = {}
    for pid in sharing:
        members.setdefault(top(pid), []).append(pid)
    return {pid: family for those in members.values() for family in [frozenset(those)] for pid in those}


WITHOUT_READ = frozenset({AbsenceReason.DENIED, AbsenceReason.UNSUPPORTED, AbsenceReason.NO_ANSWER})
"""Where ``statm`` is all there is."""


@dataclass(slots=True, eq=False)
class TrackedProcess:
    """A process with an address space, as the collector knows it."""

    identity: ProcessIdentity
    target: Target
    info: ProcessInfo
    comm: str
    cgroup: CgroupPaths | None
    parentage: Parentage
    statm_file: int | None
    """Kept open; None for a recorded tree, beyond the limit on open files, or where the main thread has ended."""
    raw: bytes
    """``statm`` as last seen, to see by one comparison that nothing moved."""
    statm: PidStatm | None
    """None where the tree has none: such a process is read fully at every tick."""
    stat_file: int | None = None
    """Kept open while it shares pages with relatives, for its faults."""
    age: int = 0
    """In ticks."""
    full: FullRead | None = None
    since: Since = field(default_factory=Since)
    habit: CowModel = NO_HABIT
    gap: float = 0.0
    """Pages by which ``statm`` and the rollup differed lately."""
    faults: int = 0
    faults_resident: int = 0
    """Minor faults and resident pages when the faults were last looked at."""
    alone: bool = False
    """Whether it was found to share pages with nobody that is known."""
    inherited: int = 0
    """Anonymous pages its parent had when it was forked: what counts nothing of it while it was never read."""
    vm_swap: int = 0
    absence: Absence | None = None
    """Why there is no USS."""
    samples: tuple[Sample, ...] = ()
    counted: tuple[Sample, ...] = ()
    """Its threads and open files when they were last counted."""
    smallest_pages: int = 0
    """Its smallest address space, 0 before that was looked at; ``mapped_pages`` is what it was at ``mapped``."""
    mapped: Sample | None = None
    """Its mappings when they were last counted."""
    mapped_pages: int = 0
    mapped_due_us: int = 0
    """From when on they may be counted again."""
    outdated: bool = True
    """Whether ``samples`` must be made anew."""
    read_now: bool = False
    waits: bool = False
    """Whether the budget was spent before its turn."""
    due_us: int = 0
    """From when on it should be read fully."""
    read_us: int = 0
    reads: int = 0
    cost_us: float = 0.0
    """CPU time of its last full read, ``usual_us`` the less of the last two, ``cost_mib`` what was resident then."""
    usual_us: float = 0.0
    cost_mib: float = 0.0
    over_stall: bool = False
    """Whether it is too large to be read unasked."""

    def moves_to(self, statm: PidStatm) -> bool:
        """Take what ``statm`` says now; return whether the process seems to have become another program."""
        before, self.statm, self.outdated = self.statm, statm, True
        if before is None:
            return False
        since, now = self.since, statm.anonymous_pages
        since.anonymous += now - before.anonymous_pages
        since.resident += statm.resident_pages - before.resident_pages
        since.shared_moves += abs(statm.shared_pages - before.shared_pages)
        other = statm.text_pages != before.text_pages
        if other:
            since.upset = max(before.resident_pages, statm.resident_pages)
            self.inherited = 0
        return other or 2 * now < before.anonymous_pages

    def swap_is(self, size: int) -> None:
        """Take VmSwap."""
        if size != self.vm_swap:
            self.since.swap_bytes += size - self.vm_swap
            self.vm_swap, self.outdated = size, True

    def upset(self, pages: int) -> None:
        """Note that this many pages may have become, or ceased to be, this process's own."""
        self.since.upset = max(self.since.upset, pages)

    def error_pages(self) -> int:
        """Return by how many pages its USS can be wrong; all of it where it was never read."""
        if self.full is None:
            return self.statm.resident_pages if self.statm else 0
        return possible_error(self.full, self.since, self.habit, self.gap)

    def was_read(self, use: MemoryUse, raw: bytes, after: PidStatm | None, page: int) -> None:
        """Take a full read, and what ``statm`` said just after it, as bytes and as a record."""
        rss = use.rss_bytes // page
        if self.full is not None:
            self.habit = learnt(self.habit, self.full, self.since, use, page)
        if self.statm is not None and after is not None:
            self.gap = learnt_gap(self.gap, rss, self.statm.resident_pages, after.resident_pages)
            if abs(after.resident_pages - rss) <= abs(self.statm.resident_pages - rss):
                self.raw, self.statm = raw, after
        self.full, self.since, self.absence = full_read(use, page), Since(), None

    def was_refused(self, why: Absence) -> None:
        """Take that it could not be read, and why."""
        self.full, self.since, self.absence = None, Since(), why

    def does_not_answer(self, why: Absence) -> None:
        """Take that it hangs: what was read before goes on by what moves, and it is asked again at the next tick."""
        self.absence, self.outdated, self.due_us = why, True, 0

    def looked_into(self, now_us: int, max_age_s: float) -> None:
        """Take that a full read was made or tried; the next is due at the maximal age, or at once without ``statm``."""
        self.reads += 1
        self.read_us, self.read_now, self.outdated = now_us, True, True
        self.due_us = now_us + age_limit_us(max_age_s, self.identity.pid, self.reads) if self.statm else 0

    def renew_samples(self, page: int) -> None:
        """Make the samples of this tick."""
        self.outdated, target = False, self.target
        if self.full is not None and self.read_now:
            use = self.full.use
            self.samples = (
                Sample(metrics.PROCESS_USS, target, use.uss_bytes),
                Sample(metrics.PROCESS_PSS, target, use.pss_bytes),
                Sample(metrics.PROCESS_RSS, target, use.rss_bytes),
                *(() if use.swap_bytes is None else (Sample(metrics.PROCESS_SWAP, target, use.swap_bytes),)),
            )
        elif self.full is not None:
            now = estimated(self.full, self.since, self.habit, page)
            self._keep({
                metrics.PROCESS_USS: now.uss,
                metrics.PROCESS_PSS: now.pss,
                metrics.PROCESS_RSS: now.rss,
                metrics.PROCESS_SWAP: now.swap,
            })  # fmt: skip
        elif self.statm is None:
            self.samples = ()
        elif self.absence is None:
            estimate = metrics.PROCESS_USS if self.over_stall else metrics.PROCESS_UNREAD
            self._keep(self._by_statm(estimate, page, self.inherited))
        elif self.absence.reason in WITHOUT_READ:
            values = self._by_statm(metrics.PROCESS_ANON, page)  # what needs no privilege, and is read, not estimated
            self.samples = tuple(Sample(metric, target, value) for metric, value in values.items())
        elif self.absence.reason is AbsenceReason.GONE:
            self.samples = ()
        else:
            self._keep(self._by_statm(metrics.PROCESS_UNREAD, page, self.inherited))

    def _by_statm(self, metric: str, page: int, inherited: int = 0) -> dict[str, int]:
        assert self.statm is not None
        anonymous, rss = max(0, self.statm.anonymous_pages - inherited) * page, self.statm.resident_pages * page
        return {metric: anonymous, metrics.PROCESS_RSS: rss, metrics.PROCESS_SWAP: self.vm_swap}

    def born_of(self, parent: TrackedProcess) -> None:
        """Note what it can have inherited of a parent that was known before; nothing if it has run an exec since."""
        mine, theirs = self.statm, parent.statm
        if mine and theirs and mine.text_pages == theirs.text_pages:
            self.inherited = min(mine.anonymous_pages, theirs.anonymous_pages)

    def _keep(self, values: dict[str, int | None] | dict[str, int]) -> None:
        """Make estimated samples."""
        target = self.target
        self.samples = tuple(
            Sample(metric, target, value, estimated=True) for metric, value in values.items() if value is not None
        )

    @property
    def is_unread(self) -> bool:
        """Whether it waits for its first full read: what stands for it says the least it can hold."""
        return bool(self.samples) and self.samples[0].metric == metrics.PROCESS_UNREAD

    @property
    def is_estimated(self) -> bool:
        """Whether what it delivers is estimated."""
        return bool(self.samples) and self.samples[0].estimated
