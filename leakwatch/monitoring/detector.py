"""One use case: scrapes in, findings out. Holds the series under watch and applies the configuration to them.

The daemon feeds it live; after a restart it is fed from the store, by the same methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from leakwatch import metrics
from leakwatch.analysis.findings.counts import counted
from leakwatch.analysis.findings.kernel_facts import KernelFacts, no_aliases
from leakwatch.analysis.findings.process_table import ProcessTable, UserNames
from leakwatch.analysis.findings.services_and_kernel import finding_id
from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.series.derived import Key, judged_values, unread
from leakwatch.analysis.settings import criteria_for
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import TimePlan, plan_of
from leakwatch.config import Config
from leakwatch.model.identity import ProcessInfo, Target, TargetKind
from leakwatch.model.sample import Block, Scrape, SealedBlock
from leakwatch.model.verdict import AssessedSeries, Assessment
from leakwatch.monitoring.capacity import Capacity, CapacityLimits, Growers
from leakwatch.monitoring.count_series import CountSeries
from leakwatch.monitoring.estimate_guard import EstimateGuard
from leakwatch.monitoring.evaluation import Evaluation, Found, Judge, in_process, told
from leakwatch.monitoring.run_history import OF_KERNEL, RunHistory
from leakwatch.monitoring.suspects import (
    Suspicions,
    by_growth,
    processes_of,
    service_findings,
    suspected_ids,
    suspects_of,
)

BACKLOG = 2000
"""Looks to be judged that may wait: 13 kB each."""
VANISHED_AFTER = 3
"""Scrapes a process, cache or caller must be missing before its series is forgotten: a single failed read is no end."""


LIFE = "life/"
"""How the keys of the store's state begin that hold what past lives taught, one a program."""
OLD_LIVES = "lives"
"""The key that held all of them in stores of before."""
SORTS = "sorts"
"""The key of the one that holds what counts were made of when that was first looked at."""


class Detector:
    """All series under watch. Every method may be called from any thread; no file is read while the lock is held."""

    def __init__(
        self,
        config: Config,
        limits: CapacityLimits,
        judge: Judge = in_process,
        aliases: Callable[[str], tuple[str, ...]] = no_aliases,
    ) -> None:
        self._config = config
        self._judge = judge
        self._capacity = Capacity(limits)
        self._estimate_guard = EstimateGuard()
        self.plan: TimePlan = plan_of(config.analysis.windows_s, config.sampling.interval_s)
        self._lock = threading.Lock()
        self._series: dict[Key, SeriesState] = {}
        self._missing: dict[Key, int] = {}
        self._boot = ""
        """Of the newest scrape, as far as it is known."""
        self._users = UserNames()
        self._process_table = ProcessTable(config.ignore, self._users.known)
        self._facts = KernelFacts(aliases)
        self._suspicions = Suspicions()
        self._old_lives = False
        self._sorts_written: list[list[object]] | None = None
        self._past_runs = RunHistory()
        self._count_series = CountSeries(self._process_table)
        self._unread: frozenset[Target] = frozenset()
        """Processes whose USS the newest scrape does not have."""
        self._largest: dict[str, tuple[str, ...]] = {}
        """Of what belongs to nobody, by metric, as last told."""

    def feed(self, scrape: Scrape) -> list[SealedBlock]:
        """Take a scrape; return the blocks it completed."""
        values = {(sample.metric, sample.target): sample.value for sample in scrape.samples}
        processes_known = any(o.collector == "processes" and not o.error for o in scrape.outcomes)
        with self._lock:
            if processes_known:
                self._process_table.update(scrape.processes)
                self._estimate_guard.note(scrape)
            self._largest |= scrape.largest
            self._count_series.note_threads(scrape.tick.ts_ms, scrape.thread_names)
            self._note_boot(scrape.tick.boot_id, scrape.tick.ts_ms)
            return self._feed_values(scrape.tick.ts_ms, values)

    def note_boot(self, boot_id: str, ts_ms: int) -> None:
        """Say which boot the stored samples are of that follow, or those before them."""
        with self._lock:
            self._note_boot(boot_id, ts_ms)

    def _note_boot(self, boot_id: str, ts_ms: int) -> None:
        if self._boot and boot_id and boot_id != self._boot:
            self._past_runs.end_boot(self._boot, ts_ms, self._series)
        self._boot = boot_id or self._boot

    def feed_values(self, ts_ms: int, values: Mapping[Key, int]) -> list[SealedBlock]:
        """Take the samples of one time, as from the store."""
        with self._lock:
            return self._feed_values(ts_ms, values)

    def _feed_values(self, ts_ms: int, values: Mapping[Key, int]) -> list[SealedBlock]:
        self._note(values)
        services = self._process_table.services()
        self._unread = unread(values, services)
        judged = judged_values(values, services) | self._count_series.risen(
            ts_ms, values, self._series, lambda key: self._criteria(key).min_growth_bytes
        )
        changed = self._process_table.changed_services()
        sealed: list[SealedBlock] = []
        for key, value in judged.items():
            state = self._series.get(key)
            if state is None:
                state = self._new_series(key)
            blocks = state.feed(ts_ms, value, same_members=key[1] not in changed)
            sealed += [self._sealed(key, level, state.segment_ms, block) for level, block in blocks]
        self._forget_vanished(judged, ts_ms)
        return sealed

    def _new_series(self, key: Key) -> SeriesState:
        state = self._series[key] = SeriesState(self.plan, self._criteria(key))
        info = self._process_table.process(key[1]) if key[1].kind is TargetKind.PROCESS else None
        past_runs = self._past_runs.of_new(key, info)
        if past_runs is not None:
            state.past_runs = past_runs
        return state

    def _sealed(self, key: Key, level: int, segment_ms: int, block: Block) -> SealedBlock:
        return SealedBlock(*key, self.plan.levels[level], segment_ms, block)

    def _note(self, values: Mapping[Key, int]) -> None:
        of_process, of_host = TargetKind.PROCESS, TargetKind.HOST
        for (metric, target), value in values.items():
            if target.kind is of_process:
                continue  # most samples, and nothing of them is noted here
            self._facts.note(metric, target, value)
            if target.kind is of_host:
                self._capacity.note(metric, value)

    def set_processes(self, processes: Iterable[ProcessInfo]) -> None:
        """Say which processes there were when the stored samples that follow were taken."""
        with self._lock:
            self._process_table.update(processes)

    def _forget_vanished(self, judged: Mapping[Key, int], now_ms: int) -> None:
        for key in self._series.keys() - judged.keys():
            if self._count_series.is_only_not_asked_for(key):
                continue
            self._missing[key] = self._missing.get(key, 0) + 1
        for key in self._missing.keys() & judged.keys():
            del self._missing[key]
        vanished = [key for key, times in self._missing.items() if times >= VANISHED_AFTER]
        for key in vanished:
            self._past_runs.remember(key, now_ms, self._series)
            del self._series[key], self._missing[key]
            self._suspicions.forget(key)
            if key[1].kind is TargetKind.SLAB:
                self._facts.forget(key[1].key)
        if vanished:
            self._estimate_guard.forget(vanished)
            self._count_series.forget_gone()

    def snapshot(self, now_ms: int) -> dict[str, object]:
        """Return what is to be stored since the last call, by key of the store's state; None of what is to be dropped.

        Past lives are a key a program, and only what has changed is among them: all of them at every evaluation would
        be most of what a store writes.
        """
        with self._lock:
            self._past_runs.forget_old(now_ms)
            changed: dict[str, object] = {
                f"{LIFE}{whose}": past_runs for whose, past_runs in self._past_runs.changed().items()
            }
            if self._old_lives:
                changed[OLD_LIVES], self._old_lives = None, False
            sorts = self._count_series.to_values()
            if sorts != self._sorts_written:
                changed[SORTS], self._sorts_written = sorts, sorts
        return changed

    def restore(self, level: int, sealed: Iterable[SealedBlock], segments: Mapping[Key, int]) -> None:
        """Take the stored blocks of one span, oldest first, the coarse ones first.

        ``segments`` gives when each series' current segment began; older blocks only tell how high it has been.
        """
        with self._lock:
            for one in sealed:
                key = (one.metric, one.target)
                state = self._series.get(key)
                if state is None:
                    state = self._new_series(key)
                if one.segment_ms == segments.get(key):
                    state.restore(level, one.block, one.segment_ms)
                else:
                    state.remember(one.block.minimum)

    def restore_alarm_states(self, payloads: Mapping[Key, str], states: Mapping[str, Any]) -> None:
        """Take what was stored of climbs, and what ``snapshot`` gave.

        A restart makes no leak be announced or awaited again.
        """
        with self._lock:
            before = states.get(OLD_LIVES) or {}
            rows = {key[len(LIFE) :]: those for key, those in states.items() if key.startswith(LIFE)}
            self._past_runs.restore({**before, **rows})
            if before:
                self._old_lives = True
                self._past_runs.forget_stored()
            self._count_series.restore(states.get(SORTS, []))
            for key, state in self._series.items():
                state.past_runs = self._past_runs.of(key)
                state.recollect(payloads.get(key))
            self._suspicions.restore(payloads, self._series)

    def settle_backlog(self) -> None:
        """Judge what was fed from history when it has become much: every look holds a copy of its blocks until then."""
        with self._lock:
            waiting = sum(len(state.questions()) for state in self._series.values())
        if waiting >= BACKLOG:
            self._judge_all()

    def evaluate(self, now_ms: int) -> Evaluation:
        """Judge every series and return the findings of all services, processes and kernel caches."""
        self._judge_all()
        with self._lock:
            found = self._found(now_ms)
        return told(found, self._users, self._config.ignore)

    def _found(self, now_ms: int) -> Found:
        judged = {
            key: AssessedSeries(*key, self._checked(key, state.assessment))
            for key, state in self._series.items()
            if state.assessment is not None
        }
        owners: dict[str, int | None] = {}
        growers: dict[str, Growers] = {}
        of_memory = service_findings(judged, self._process_table, self._unread, owners, growers)
        suspicions = self._suspicions.changed(self._series)
        suspected, suspects = (
            suspected_ids(self._series, self._process_table),
            suspects_of(self._series, self._process_table),
        )
        self._estimate_guard.ask(suspects, now_ms)
        lives = {
            finding_id(service): info.identity.target.key for service, info in self._process_table.oldest().items()
        }
        evaluation = Evaluation(
            now_ms,
            (),
            suspicions,
            suspected=suspected,
            suspects=suspects,
            fastest_first=by_growth(suspects, self._series),
            lives=lives | self._count_series.lives(judged),
            running=self._process_table.pids(),
            counted=frozenset(k for k in self._series if k[0] in metrics.APART),
        )
        of_processes = [*of_memory, *self._count_series.findings(judged, of_memory, owners, growers)]
        kernel = [one for key, one in judged.items() if key[1].kind in OF_KERNEL]
        facts, largest, headroom = self._facts.frozen(), dict(self._largest), self._capacity.frozen()
        return Found(evaluation, of_processes, owners, growers, kernel, facts, largest, headroom)

    def _checked(self, key: Key, found: Assessment) -> Assessment:
        if key[0] in metrics.COUNTS:
            return counted(found)
        if key[0] in metrics.APART:
            return found  # no estimate goes into it
        return self._estimate_guard.checked(key, found, processes_of(key[1], self._process_table))

    def _judge_all(self) -> None:
        """Bring every series' assessment up to date; sampling goes on while the questions are answered.

        What could not be answered is asked again the next time.
        """
        with self._lock:
            for key, state in self._series.items():
                state.criteria = self._criteria(key)
            # Series that begin meanwhile are settled the next time, those that end meanwhile in vain.
            states = dict(self._series)
            asked = [question for state in states.values() for question in state.questions()]
            wanted = {key: self._whose_room(key, state) for key, state in states.items()}
            headroom = self._capacity.frozen()
        answers = dict(zip(asked, self._judge(asked), strict=True))
        rooms = {key: _room_of(headroom, key[0], *of) for key, of in wanted.items()}
        with self._lock:
            for key, state in states.items():
                state.settle(answers, rooms[key])

    def _whose_room(self, key: Key, state: SeriesState) -> tuple[int | None, tuple[int, float] | None]:
        """Return the process whose limit matters, of suspects alone, and a series' newest sample."""
        processes = processes_of(key[1], self._process_table) if state.is_suspected else ()
        info = next((info for one in processes if (info := self._process_table.process(one)) is not None), None)
        return info.identity.pid if info else None, state.previous

    def _criteria(self, key: Key) -> LeakCriteria:
        metric, target = key
        members = [
            info
            for one in processes_of(target, self._process_table)
            if (info := self._process_table.process(one)) is not None
        ]
        service = members[0].service.name if members and members[0].service else ""
        return criteria_for(self._config, metric, target, [info.name for info in members], service)

    def forget_stored(self) -> None:
        """Mark everything unsaved: the next evaluation and snapshot hand over all of it."""
        with self._lock:
            self._suspicions.forget_stored()
            self._past_runs.forget_stored()
            self._sorts_written = None


def _room_of(headroom: Capacity, metric: str, pid: int | None, newest: tuple[int, float] | None) -> int | None:
    """Return what is left to grow into, None when unknown: no suspect may wait for longer than its limit lasts."""
    if metric in metrics.COUNTS:
        return headroom.of_count(metric, pid, newest)
    return headroom.left_of(pid, metric)
