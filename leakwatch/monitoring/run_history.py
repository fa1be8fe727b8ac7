"""What the lives of a program that have ended teach the ones that run: the same program in the same service.

What the kernel holds has a life a boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.series.derived import Key
from leakwatch.analysis.tracking.past_runs import PastRuns, RunSummary
from leakwatch.model.identity import ProcessInfo, TargetKind

OF_KERNEL = (TargetKind.SLAB, TargetKind.VMALLOC, TargetKind.HOST)
LIVES_KEPT = 10
"""Past lives remembered of one program in one service."""
KEPT_MS = 35 * 86_400_000
"""For how long a program that does not run any more is remembered: a job of every month finds its last run."""
PROGRAMS_KEPT = 2000
"""Programs remembered: 1.2 MB. Where there are more, as with containers that have a new name each time, those go first
that came once, then those whose last life ended first."""
ROOM = 10
"""One part in this many is forgotten at once, so that not every ended process has all of them looked through."""


class RunHistory:
    """The lives remembered, and which running series are whose."""

    def __init__(self) -> None:
        self._whose: dict[Key, str] = {}
        """Of each process's series: the program within a service whose lives it is one of."""
        self._past_runs: dict[str, tuple[RunSummary, ...]] = {}
        self._unsaved: set[str] = set()

    def of_new(self, key: Key, info: ProcessInfo | None) -> PastRuns | None:
        """Return what is known of the lives a new series is one of, None where it is of no process of a service."""
        if key[1].kind in OF_KERNEL:
            self._whose[key] = f"kernel:{key[1].kind}/{key[1].key}/{key[0]}"
            return self.of(key)
        if info is None or info.service is None:
            return None
        whose = self._whose[key] = f"{info.service.kind}:{info.service.name}/{info.name}/{key[0]}"
        return PastRuns(self._past_runs.get(whose, ()))

    def of(self, key: Key) -> PastRuns:
        """Return what is known of the lives a series is one of."""
        return PastRuns(self._past_runs.get(self._whose.get(key, ""), ()))

    def remember(self, key: Key, now_ms: int, series: Mapping[Key, SeriesState]) -> None:
        """Let the other processes of the same program and service learn from one that has ended."""
        whose = self._whose.pop(key, None)
        if whose is None or key[1].kind in OF_KERNEL:
            return  # a cache that is gone may come back in the same boot: that is no new life
        self._add(whose, series[key].life(str(key[1].key), now_ms), series)

    def end_boot(self, boot_id: str, now_ms: int, series: Mapping[Key, SeriesState]) -> None:
        """Let what the kernel held in a boot that is over teach the next one: each of its series begins a new life."""
        for key, state in series.items():
            if key[1].kind in OF_KERNEL:
                life = state.life(boot_id, now_ms)
                state.end_segment(now_ms, remember=False)
                self._add(self._whose[key], life, series)

    def _add(self, whose: str, life: RunSummary | None, series: Mapping[Key, SeriesState]) -> None:
        if life is None:
            return
        self._past_runs[whose] = (*self._past_runs.get(whose, ()), life)[-LIVES_KEPT:]
        self._unsaved.add(whose)
        for other, theirs in self._whose.items():
            if theirs == whose:
                series[other].past_runs = PastRuns(self._past_runs[whose])
        if len(self._past_runs) > PROGRAMS_KEPT:
            self._forget(
                sorted(self._past_runs, key=self._use)[: len(self._past_runs) - PROGRAMS_KEPT + PROGRAMS_KEPT // ROOM]
            )

    def _use(self, whose: str) -> tuple[bool, int]:
        past_runs = self._past_runs[whose]
        return len(past_runs) > 1, past_runs[-1].ended_ms

    def _forget(self, those: list[str]) -> None:
        for whose in those:
            del self._past_runs[whose]
        self._unsaved.update(those)

    def forget_old(self, now_ms: int) -> None:
        """Forget the programs that have not run for too long."""
        running = set(self._whose.values())
        old = [
            w
            for w, past_runs in self._past_runs.items()
            if now_ms - past_runs[-1].ended_ms > KEPT_MS and w not in running
        ]
        self._forget(old)

    def changed(self) -> dict[str, list[list[object]] | None]:
        """Return what is to be stored since the last call, by program: its lives, or None of what is forgotten."""
        changed, self._unsaved = self._unsaved, set()
        return {
            whose: [list(astuple(life)) for life in past_runs] if (past_runs := self._past_runs.get(whose)) else None
            for whose in sorted(changed)
        }

    def forget_stored(self) -> None:
        """Mark everything unsaved."""
        self._unsaved.update(self._past_runs)

    def restore(self, stored: Mapping[str, list[list[Any]]]) -> None:
        """Take what ``changed`` gave, of the newest programs where they are too many."""
        self._past_runs = {
            whose: tuple(RunSummary(*values) for values in those) for whose, those in stored.items() if those
        }
        if len(self._past_runs) > PROGRAMS_KEPT:
            self._forget(sorted(self._past_runs, key=self._use)[: len(self._past_runs) - PROGRAMS_KEPT])
