"""One use case: scrapes in, findings out. Holds the series under watch and applies the configuration to them.

The daemon feeds it live; after a restart it is fed from the store, by the same methods.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leakwatch import metrics
from leakwatch.analysis.counts import counted
from leakwatch.analysis.derive import Key, judged_values
from leakwatch.analysis.findings import Member, finding_id, kernel_findings, service_finding
from leakwatch.analysis.judged import Judged
from leakwatch.analysis.kernel_facts import KernelFacts, no_aliases
from leakwatch.analysis.nobodys import told_with_nobodys
from leakwatch.analysis.spans import plan_of
from leakwatch.analysis.state import SeriesState
from leakwatch.config import matches
from leakwatch.evaluation import Evaluation
from leakwatch.headroom import Headroom
from leakwatch.judging import in_process
from leakwatch.knobs import criteria_for
from leakwatch.model import HOST, SealedBlock, TargetKind, Verdict
from leakwatch.pastlives import PastLives
from leakwatch.proof import Proof
from leakwatch.roster import Roster
from leakwatch.suspects import by_growth, processes_of, suspected_ids, suspects_of
from leakwatch.tallies import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.question import Question
    from leakwatch.analysis.spans import Plan
    from leakwatch.config import Config
    from leakwatch.headroom import Limits
    from leakwatch.judging import Judge
    from leakwatch.model import Assessment, Block, Finding, ProcessInfo, Scrape, Service

BACKLOG = 2000
"""Looks to be judged that may wait: 13 kB each."""
VANISHED_AFTER = 3
"""Scrapes a process, cache or caller must be missing before its series is forgotten: a single failed read is no end."""


class Scan:
    """All series under watch; ``feed`` and ``evaluate`` may be called from two threads."""

    def __init__(
        self,
        config: Config,
        limits: Limits,
        judge: Judge = in_process,
        aliases: Callable[[str], tuple[str, ...]] = no_aliases,
    ) -> None:
        self._config = config
        self._judge = judge
        self._headroom = Headroom(limits)
        self._proof = Proof()
        self.plan: Plan = plan_of(config.analysis.windows_s, config.sampling.interval_s)
        self._lock = threading.Lock()
        self._series: dict[Key, SeriesState] = {}
        self._missing: dict[Key, int] = {}
        self._roster = Roster(config.ignore)
        self._facts = KernelFacts(aliases)
        self._written: dict[Key, str] = {}
        self._lives = PastLives()
        self.tallies = Tallies(self._roster)
        self._largest: dict[str, tuple[str, ...]] = {}
        """Of what belongs to nobody, by metric, as last told."""

    def feed(self, scrape: Scrape) -> list[SealedBlock]:
        """Take a scrape; return the blocks it completed."""
        values = {(sample.metric, sample.target): sample.value for sample in scrape.samples}
        processes_known = any(o.collector == "processes" and not o.error for o in scrape.outcomes)
        with self._lock:
            if processes_known:
                self._roster.update(scrape.processes)
                self._proof.note(scrape)
            self._largest |= scrape.largest
            self.tallies.note_threads(scrape.tick.ts_ms, scrape.thread_names)
            if scrape.tick.clock_step_ms:
                self.end_segments(scrape.tick.ts_ms)
            return self.feed_values(scrape.tick.ts_ms, values)

    def end_segments(self, ts_ms: int) -> None:
        """Begin new segments everywhere: the clock was set, no line may join before and after."""
        for state in self._series.values():
            state.end_segment(ts_ms, remember=True)

    def feed_values(self, ts_ms: int, values: Mapping[Key, int]) -> list[SealedBlock]:
        """Take the samples of one time, as from the store."""
        self._note(values)
        judged = judged_values(values, self._roster.services()) | self.tallies.risen(
            ts_ms, values, self._series, lambda key: self._criteria(key).min_growth_bytes
        )
        changed = self._roster.changed_services()
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
        info = self._roster.process(key[1]) if key[1].kind is TargetKind.PROCESS else None
        lives = self._lives.of_new(key, info)
        if lives is not None:
            state.lives = lives
        return state

    def _sealed(self, key: Key, level: int, segment_ms: int, block: Block) -> SealedBlock:
        return SealedBlock(*key, self.plan.levels[level], segment_ms, block)

    def _note(self, values: Mapping[Key, int]) -> None:
        for (metric, target), value in values.items():
            if target.kind is TargetKind.PROCESS:
                continue  # most samples, and nothing of them is noted here
            self._facts.note(metric, target, value)
            if target.kind is TargetKind.HOST:
                self._headroom.note(metric, value)

    def set_processes(self, processes: Iterable[ProcessInfo]) -> None:
        """Say which processes there were when the stored samples that follow were taken."""
        with self._lock:
            self._roster.update(processes)

    def _forget_vanished(self, judged: Mapping[Key, int], now_ms: int) -> None:
        for key in self._series.keys() - judged.keys():
            if self.tallies.is_only_not_asked_for(key):
                continue
            self._missing[key] = self._missing.get(key, 0) + 1
        for key in self._missing.keys() & judged.keys():
            del self._missing[key]
        vanished = [key for key, times in self._missing.items() if times >= VANISHED_AFTER]
        for key in vanished:
            self._lives.remember(key, now_ms, self._series)
            del self._series[key], self._missing[key]
            if key[1].kind is TargetKind.PROCESS:  # others may come back, and their forecast must be dropped then
                self._written.pop(key, None)
        if vanished:
            self._proof.forget(vanished)
            self.tallies.forget_gone()

    def past_lives(self) -> dict[str, list[list[object]]]:
        """Return what past lives taught, as values the store can keep."""
        with self._lock:
            return self._lives.to_json()

    def restore(self, level: int, sealed: Iterable[SealedBlock], segments: Mapping[Key, int]) -> None:
        """Take the stored blocks of one span, oldest first, the coarse ones first.

        ``segments`` gives when each series' current segment began; older blocks only tell how high it has been.
        """
        for one in sealed:
            key = (one.metric, one.target)
            state = self._series.get(key)
            if state is None:
                state = self._new_series(key)
            if one.segment_ms == segments.get(key):
                state.restore(level, one.block, one.segment_ms)
            else:
                state.remember(one.block.minimum)

    def restore_climbs(self, payloads: Mapping[Key, str], lives: Mapping[str, list[list[Any]]]) -> None:
        """Take what was stored of climbs and past lives: a restart makes no leak be announced or awaited again."""
        self._lives.restore(lives)
        for key, state in self._series.items():
            state.lives = self._lives.of(key)
            state.recollect(payloads.get(key))
        self._written = {key: payload for key, payload in payloads.items() if key in self._series}

    def settle_backlog(self) -> None:
        """Judge what was fed from history when it has become much: every look holds a copy of its blocks until then."""
        if sum(len(state.questions()) for state in self._series.values()) >= BACKLOG:
            self._judge_all()

    def evaluate(self, now_ms: int) -> Evaluation:
        """Judge every series and return the findings of all services, processes and kernel caches."""
        self._judge_all()
        with self._lock:
            judged = {
                key: Judged(*key, self._checked(key, state.assessment))
                for key, state in self._series.items()
                if state.assessment is not None
            }
            of_memory = self._of_processes(judged)
            found = (*of_memory, *self.tallies.findings(judged, of_memory), *self._of_kernel(judged))
            findings = [self._headroom.foretell(finding, now_ms) for finding in found]
            suspicions = self._changed_suspicions()
            suspected, suspects = suspected_ids(self._series, self._roster), suspects_of(self._series, self._roster)
            fastest_first = by_growth(suspects, self._series)
            self._proof.ask(suspects, now_ms)
            lives = {finding_id(service): info.identity.target.key for service, info in self._roster.oldest().items()}
            lives |= self.tallies.lives(judged)
            watched = frozenset(k for k in self._series if k[0] in metrics.COUNTS and k[1] != HOST)
        counts = {verdict: sum(f.assessment.verdict is verdict for f in findings) for verdict in Verdict}
        return Evaluation(
            now_ms, tuple(findings), suspicions, counts, suspected, suspects, fastest_first, lives, watched
        )

    def _checked(self, key: Key, found: Assessment) -> Assessment:
        if key[0] in metrics.COUNTS:
            return counted(found)
        return self._proof.checked(key, found, processes_of(key[1], self._roster))

    def _judge_all(self) -> None:
        """Bring every series' assessment up to date; sampling goes on while the questions are answered.

        What could not be answered is asked again the next time.
        """
        with self._lock:
            asked: list[tuple[SeriesState, list[Question]]] = []
            for key, state in self._series.items():
                state.criteria = self._criteria(key)
                asked.append((state, state.questions()))
            rooms = [self._room_of(key, state) for key, state in self._series.items()]
        answers = iter(self._judge([question for _, questions in asked for question in questions]))
        with self._lock:
            for (state, questions), room in zip(asked, rooms, strict=True):
                state.settle([next(answers) for _ in questions], room)

    def _room_of(self, key: Key, state: SeriesState) -> int | None:
        """Return what is left to grow into, None when unknown: no suspect may wait for longer than its limit lasts."""
        info = self._roster.process(key[1]) if state.is_suspected and key[1].kind is TargetKind.PROCESS else None
        if key[0] in metrics.COUNTS:
            return self._headroom.of_count(key[0], info.identity.pid if info else None, state.previous)
        return self._headroom.of(info.identity.pid if info else None, state.previous[1] if state.previous else 0)[0]

    def _criteria(self, key: Key) -> LeakCriteria:
        metric, target = key
        members = [
            info for one in processes_of(target, self._roster) if (info := self._roster.process(one)) is not None
        ]
        service = members[0].service.name if members and members[0].service else ""
        return criteria_for(self._config, metric, target, [info.name for info in members], service)

    def _of_processes(self, judged: Mapping[Key, Judged]) -> list[Finding]:
        members: dict[Service, list[Member]] = {}
        for (metric, target), one in judged.items():
            info = self._roster.process(target) if target.kind is TargetKind.PROCESS else None
            if info is not None and info.service is not None and metric not in metrics.COUNTS:
                members.setdefault(info.service, []).append(Member(info, one))
        findings = []
        for service, those in members.items():
            finding = service_finding(service, those, judged.get((metrics.SERVICE_USS_SWAP, service.target)))
            findings.append(replace(finding, user=self._roster.owner(member.info for member in those)))
        return findings

    def _of_kernel(self, judged: Mapping[Key, Judged]) -> list[Finding]:
        kernel = [
            one
            for (metric, target), one in judged.items()
            if target.kind in (TargetKind.SLAB, TargetKind.VMALLOC, TargetKind.HOST)
            and metric != metrics.KERNEL_UNAVAILABLE
            and not matches(self._config.ignore.kernel, target.key, metric, metrics.title(metric))
        ]
        unavailable = judged.get((metrics.KERNEL_UNAVAILABLE, HOST))
        found = kernel_findings(kernel, self._facts, unavailable.assessment if unavailable else None)
        return told_with_nobodys(found, self._largest)

    def forget_stored(self) -> None:
        """Take it that no suspicion is stored: the next evaluation hands over all of them."""
        with self._lock:
            self._written.clear()

    def _changed_suspicions(self) -> dict[Key, str | None]:
        changed: dict[Key, str | None] = {}
        for key, state in self._series.items():
            now = state.to_json()
            if now != self._written.get(key):
                changed[key] = now
                if now is None:
                    del self._written[key]
                else:
                    self._written[key] = now
        return changed
