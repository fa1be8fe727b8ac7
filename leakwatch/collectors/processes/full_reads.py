"""The dear tier: ``smaps_rollup`` of those whose values may be wrong by more than the tolerance, within the budget.

Processes that share pages with relatives after a fork are followed as families: a relative that writes copies a page
and leaves one sharer less, one that ends leaves all of its pages, and neither moves a counter of those that are left.
So the faults of all are followed, and a family is read anew when a member is born or dies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from leakwatch.collectors.processes.budget import (
    Costs,
    CpuBudget,
    ReadRequest,
    by_rank,
    is_out_of_the_question,
    may_stall,
)
from leakwatch.collectors.processes.mapping_classes import MappingReads
from leakwatch.collectors.processes.tracked_process import ADOPTER, Parentage, TrackedProcess, families
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import Target
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.answers import Question
from leakwatch.procfs.files import read_kept
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import stat
from leakwatch.procfs.pid.smaps import MemoryUse
from leakwatch.procfs.pid.stat import minor_faults

if TYPE_CHECKING:
    Reading = tuple[MemoryUse | Absence, bytes, stat.PidStatm | None]
    """The memory, and ``statm`` just after: as bytes, and as a record where there is one."""

MIB = 1 << 20
TOGETHER = 8
"""Processes read in one go: handing one over to the thread that reads costs 15 us."""
LASTING = frozenset({AbsenceReason.DENIED, AbsenceReason.UNSUPPORTED})
"""What refuses once refuses the next time: tried again at the maximal age only."""


class FullReads:
    """Decides who is read fully in a tick, and reads them."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig, look_every_s: float | None = None) -> None:
        self._procfs = procfs
        self._sampling = sampling
        self._costs = Costs()
        self._cpu_budget = CpuBudget(sampling.cpu_budget, sampling.interval_s)
        self._last_us: int | None = None
        self.looks = MappingReads(procfs, look_every_s)
        self.unreadable: list[Target] = []
        """Who was asked for and is too large even for that."""

    def read(self, watched: Iterable[TrackedProcess], asked: Collection[Target], now_us: int) -> list[TrackedProcess]:
        """Read those whose turn it is; return them. ``asked`` may be a mapping: it is looked up in, and in order."""
        if self._last_us is not None:
            self._cpu_budget.earn(now_us - self._last_us)
        self._last_us = now_us
        due = {one.identity.pid: one for one in watched if one.due_us <= now_us or one.target in asked}
        claims = [claim for one in due.values() if (claim := self._claim(one, one.target in asked, now_us))]
        readable = [due[claim.pid] for claim in claims if claim.asked]
        looked = self.looks.choose(asked, readable, now_us, self._cpu_budget.left_us) if asked else ()
        done: list[TrackedProcess] = []
        ranked, at = by_rank(claims), 0
        while batch := self._affordable(ranked[at : at + TOGETHER]):
            at += len(batch)
            done += self._read([(due[claim.pid], claim.cost_us) for claim in batch], looked, now_us)
        for claim in ranked[at:]:
            due[claim.pid].waits = True
        return done

    def _affordable(self, ranked: list[ReadRequest]) -> list[ReadRequest]:
        """Return the first of these that what is left pays for, by forecast: asked ones anyway."""
        left_us, batch = self._cpu_budget.left_us, []
        for claim in ranked:
            if left_us <= 0 and not claim.asked:
                break
            batch.append(claim)
            left_us -= claim.cost_us
        return batch

    def _claim(self, one: TrackedProcess, asked: bool, now_us: int) -> ReadRequest | None:
        """Return what a process wants; None where it may not be read because of its size."""
        page, sampling = self._procfs.page_size, self._sampling
        mib = one.statm.resident_pages * page / MIB if one.statm else 0.0
        cost_us = self._costs.forecast_us(mib, one.usual_us, one.cost_mib)
        since_s = (now_us - one.read_us) / 1e6 if one.reads else None
        over = not may_stall(cost_us, sampling.max_stall_s * 1e6)
        if over != one.over_stall:
            one.over_stall, one.outdated = over, True
        if asked and is_out_of_the_question(cost_us, sampling.max_stall_s * 1e6):
            self.unreadable.append(one.target)
        if over and not may_stall(cost_us, sampling.max_stall_s * 1e6, asked=asked, since_last_s=since_s):
            return None
        error = float(max(one.error_pages(), 1) * page)
        if since_s is not None:  # what no counter tells grows with age; so nobody waits for ever
            error = max(error, sampling.tolerance_bytes * since_s / sampling.max_age_s)
        return ReadRequest(one.identity.pid, error, cost_us, asked)

    def _read(
        self, batch: list[tuple[TrackedProcess, float]], looked: Collection[Target], now_us: int
    ) -> Iterator[TrackedProcess]:
        """Read these, each given with the forecast of its cost; yield those that have answered."""
        plain = [one for one, _ in batch if one.target not in looked]
        questions = [Question(one.identity.pid, partial(self._plain, one)) for one in plain]
        answered = self._procfs.answers.ask_all(questions)
        answers = iter(answered)
        for one, forecast_us in batch:
            look = one.target in looked
            found, cost_ns = self._look(one, now_us) if look else next(answers)
            if self._take(one, found, (cost_ns / 1000, forecast_us), now_us, look=look):
                yield one

    def _plain(self, one: TrackedProcess) -> Reading:
        """Read one fully, and ``statm`` just after. May be given up: it changes nothing."""
        return self._procfs.memory(one.identity.pid), *self._statm_of(one)

    def _look(self, one: TrackedProcess, now_us: int) -> tuple[Reading, int]:
        began_ns = self._procfs.cpu_ns()
        use = self.looks.read(one, now_us)
        cost_ns = self._procfs.cpu_ns() - began_ns
        return (use, *self._statm_of(one)), cost_ns

    def _take(
        self, one: TrackedProcess, found: Reading | Absence, costs_us: tuple[float, float], now_us: int, *, look: bool
    ) -> bool:
        """Take what was read; ``costs_us`` is what it has cost, and was forecast to cost. False: it does not answer."""
        cost_us, forecast_us = costs_us
        one.waits = False
        self._cpu_budget.spend(cost_us)
        use, raw, after = (found, b"", None) if isinstance(found, Absence) else found
        if isinstance(use, Absence) and use.reason in (AbsenceReason.NO_ANSWER, AbsenceReason.SKIPPED):
            one.does_not_answer(use)
            return False
        if not isinstance(use, Absence) and one.statm_file is not None and after is None:
            use = Absence(AbsenceReason.GONE, f"{self._procfs.root}/{one.identity.pid}: ended")
        one.looked_into(now_us, self._sampling.max_age_s)
        if isinstance(use, Absence):
            one.was_refused(use)
            if use.reason not in LASTING:
                one.due_us = 0  # it is ending, or the next time tells more
        else:
            one.was_read(use, raw, after, self._procfs.page_size)
            if look:  # what a full read alone takes is not known from it
                self.looks.learn(one.target, now_us, cost_us - forecast_us)
            else:
                # One slow read may have been disturbed: too large is only who was slow twice.
                one.usual_us = min(cost_us, one.cost_us or forecast_us)
                one.cost_us, one.cost_mib = cost_us, use.rss_bytes / MIB
                self._costs.learn(one.cost_mib, cost_us)
        return True

    def _statm_of(self, one: TrackedProcess) -> tuple[bytes, stat.PidStatm | None]:
        """Return ``statm`` just after the read: a kept file that still answers says that the read was of this process.

        The path of the read may by then have been another's, had this one ended.
        """
        if one.statm_file is None:
            found = self._procfs.statm(one.identity.pid) if one.statm is not None else None
            return b"", None if isinstance(found, Absence) else found
        try:
            raw = read_kept(one.statm_file)
            return raw, stat.parse_statm(raw) if raw.strip(b"0 \n") else None
        except (OSError, ValueError):
            return b"", None


class CowTracker:
    """Follows the processes that share more than ``tolerance_pages`` with relatives."""

    def __init__(self, procfs: ProcFS, tolerance_pages: float) -> None:
        self._procfs = procfs
        self._tolerance = tolerance_pages
        self._sharing: dict[int, TrackedProcess] = {}
        self._families: dict[int, frozenset[int]] = {}

    def follow_faults(self, watched: Mapping[int, TrackedProcess]) -> None:
        """Look at the faults since the last tick of every process that shares pages."""
        copied: dict[frozenset[int], int] = {}
        alive = {pid: one for pid, one in self._sharing.items() if watched.get(pid) is one}
        news = {pid: self._faults_of(one) for pid, one in alive.items()}
        for pid, faults in news.items():
            family = self._families[pid]
            copied[family] = copied.get(family, 0) + faults
        for pid, one in alive.items():
            total = copied[self._families[pid]]
            if total:
                one.since.own_faults += news[pid]
                one.since.siblings_faults += total - news[pid]
                one.outdated = True
                if one.error_pages() > self._tolerance:
                    one.due_us = 0

    def _faults_of(self, one: TrackedProcess) -> int:
        """Return the faults since the last look that did not add a page: each may have copied one that was shared."""
        now = self._minor_faults(one)
        resident = one.statm.resident_pages if one.statm else 0
        faults = now - one.faults - max(0, resident - one.faults_resident)
        one.faults, one.faults_resident = now, resident
        return max(0, faults)

    def _minor_faults(self, one: TrackedProcess) -> int:
        pid = one.identity.pid
        if one.stat_file is None and one.statm_file is not None:
            one.stat_file = self._procfs.kept.open(pid, "stat")
        raw = self._procfs.raw_stat(pid, one.stat_file)
        return one.faults if raw is None else minor_faults(raw)

    def update(self, read: Iterable[TrackedProcess], watched: Mapping[int, TrackedProcess]) -> list[TrackedProcess]:
        """Find out who shares pages with whom, from the processes just read fully and those that are alive.

        Returns those whose values are in doubt for it, and who were not read in this tick yet.
        """
        joined = []
        for one in read:
            pid = one.identity.pid
            if one.full is None or one.full.cow <= self._tolerance:
                if self._sharing.get(pid) is one:
                    self._leave(pid)
            elif self._sharing.get(pid) is not one:
                self._sharing[pid] = one
                self._faults_of(one)  # from here on
                joined.append(one)
        for pid in [pid for pid, one in self._sharing.items() if watched.get(pid) is not one]:
            self._leave(pid)
        doubted = self._regroup(watched) if joined or self._sharing.keys() != self._families.keys() else []
        for one in joined:
            doubted += self._doubt_parent(one, watched)
        return doubted

    def _leave(self, pid: int) -> None:
        one = self._sharing.pop(pid)
        if one.stat_file is not None:
            file, one.stat_file = one.stat_file, None
            self._procfs.kept.close(file)

    def _regroup(self, watched: Mapping[int, TrackedProcess]) -> list[TrackedProcess]:
        before = self._families
        doubted: list[TrackedProcess] = []
        self._families = families({
            pid: Parentage(one.parentage.ppid if one.parentage.ppid in watched else ADOPTER, one.parentage.pgrp)
            for pid, one in self._sharing.items()
        })  # fmt: skip
        for pid, family in self._families.items():
            one = self._sharing[pid]
            cow = one.full.cow if one.full else 0
            if len(family) == 1 and not one.alone:
                one.upset(cow)  # perhaps it was read between a fork and an exec: once more at the next tick
                one.due_us = 0
            elif pid in before and before[pid] != family:
                doubted += _doubt(one, cow)
            one.alone = len(family) == 1
        return doubted

    def _doubt_parent(self, child: TrackedProcess, watched: Mapping[int, TrackedProcess]) -> list[TrackedProcess]:
        """Have the parent read anew that was read before the fork: what it had alone it shares now."""
        parent = watched.get(child.parentage.ppid)
        if parent is not None and parent.statm and child.full and parent.identity.pid not in self._sharing:
            return _doubt(parent, min(parent.statm.anonymous_pages, child.full.cow))
        return []


def _doubt(one: TrackedProcess, pages: int) -> list[TrackedProcess]:
    if one.read_now:
        return []
    one.upset(pages)
    one.due_us = 0
    return [one]
