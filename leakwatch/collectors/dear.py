"""The dear tier: ``smaps_rollup`` of those whose values may be wrong by more than the tolerance, within the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.clock import thread_cpu_ns
from leakwatch.collectors.budget import Claim, Costs, Purse, by_rank, is_out_of_the_question, may_stall
from leakwatch.collectors.looks import Looks
from leakwatch.model import Absence, AbsenceReason
from leakwatch.procfs import pid_statm
from leakwatch.procfs.kept import read_kept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from leakwatch.collectors.watched import Watched
    from leakwatch.config import SamplingConfig
    from leakwatch.model import Target
    from leakwatch.procfs.root import ProcFS

MIB = 1 << 20
LASTING = frozenset({AbsenceReason.DENIED, AbsenceReason.UNSUPPORTED})
"""What refuses once refuses the next time: tried again at the maximal age only."""


class DearReads:
    """Decides who is read fully in a tick, and reads them."""

    def __init__(self, procfs: ProcFS, sampling: SamplingConfig, look_every_s: float | None = None) -> None:
        self._procfs = procfs
        self._sampling = sampling
        self._costs = Costs()
        self._purse = Purse(sampling.cpu_budget, sampling.interval_s)
        self._last_us: int | None = None
        self.looks = Looks(procfs, look_every_s)
        self.unreadable: list[Target] = []
        """Who was asked for and is too large even for that."""

    def read(self, watched: Iterable[Watched], asked: Collection[Target], now_us: int) -> list[Watched]:
        """Read those whose turn it is; return them. ``asked`` may be a mapping: it is looked up in, and in order."""
        if self._last_us is not None:
            self._purse.earn(now_us - self._last_us)
        self._last_us = now_us
        due = {one.identity.pid: one for one in watched if one.due_us <= now_us or one.target in asked}
        claims = [claim for one in due.values() if (claim := self._claim(one, one.target in asked, now_us))]
        readable = [due[claim.pid] for claim in claims if claim.asked]
        looked = self.looks.choose(asked, readable, now_us, self._purse.left_us) if asked else ()
        done = []
        for claim in by_rank(claims):
            one = due[claim.pid]
            one.waits = self._purse.left_us <= 0 and not claim.asked
            if not one.waits:
                self._read(one, now_us, claim.cost_us, look=one.target in looked)
                done.append(one)
        return done

    def _claim(self, one: Watched, asked: bool, now_us: int) -> Claim | None:
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
        return Claim(one.identity.pid, error, cost_us, asked)

    def _read(self, one: Watched, now_us: int, forecast_us: float, *, look: bool) -> None:
        began = thread_cpu_ns()
        use = self.looks.read(one, now_us) if look else self._procfs.memory(one.identity.pid)
        cost_us = (thread_cpu_ns() - began) / 1000
        self._purse.spend(cost_us)
        raw, after = self._statm_of(one)
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

    def _statm_of(self, one: Watched) -> tuple[bytes, pid_statm.PidStatm | None]:
        """Return ``statm`` just after the read: a kept file that still answers says that the read was of this process.

        The path of the read may by then have been another's, had this one ended.
        """
        if one.statm_file is None:
            found = self._procfs.statm(one.identity.pid) if one.statm is not None else None
            return b"", None if isinstance(found, Absence) else found
        try:
            raw = read_kept(one.statm_file)
            return raw, pid_statm.parse(raw) if raw.strip(b"0 \n") else None
        except (OSError, ValueError):
            return b"", None
