"""Processes that share pages with relatives after a fork: their values change by what others do.

A relative that writes copies a page and leaves one sharer less; one that ends leaves all of its pages. Neither moves a
counter of those that are left. So the faults of all are followed, and a family is read anew when a member is born or
dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from leakwatch.collectors.processes.tracked_process import ADOPTER, Parentage, TrackedProcess, families
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.stat import minor_faults


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
