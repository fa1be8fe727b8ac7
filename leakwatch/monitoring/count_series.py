"""Counts, and bytes apart, of a scan: which of them are judged, what they are made of, and the findings about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from leakwatch import metrics
from leakwatch.analysis.findings.counts import CountScreen, Sorts, count_finding, count_target, without_stacks
from leakwatch.analysis.findings.process_table import ProcessTable, owner_of
from leakwatch.analysis.findings.services_and_kernel import Member, finding_id
from leakwatch.analysis.series.derived import Key
from leakwatch.model.identity import HOST, Service, Target, TargetKind
from leakwatch.model.verdict import AssessedSeries, Finding
from leakwatch.monitoring.capacity import Growers
from leakwatch.monitoring.suspects import growers_of

_OF_COUNTS = metrics.SCREENED | metrics.FDS_BY_SORT
"""Few of the samples of a scrape: picked out once."""


class CountSeries:
    """Knows ``metrics.SCREENED`` of whoever is in the process table, and of the machine."""

    def __init__(self, process_table: ProcessTable) -> None:
        self._process_table = process_table
        self._screen = CountScreen()
        self._sorts = Sorts()

    def risen(
        self, ts_ms: int, values: Mapping[Key, int], judged: Mapping[Key, object], least: Callable[[Key], float]
    ) -> dict[Key, int]:
        """Take the samples of one time; return those that are to be judged, see ``CountScreen.risen``."""
        of_counts = {key: value for key, value in values.items() if key[0] in _OF_COUNTS}
        self._sorts.note(ts_ms, of_counts)
        known = {key: value for key, value in of_counts.items() if key[0] in metrics.SCREENED and self._is_there(key)}
        return self._screen.risen(known, judged, least) if known else known

    def is_only_not_asked_for(self, key: Key) -> bool:
        """Return whether a series' lack of a sample says nothing: it is not sampled at every tick, and its owner is."""
        return key[0] in metrics.SELDOM and self._is_there(key)

    def _is_there(self, key: Key) -> bool:
        return key[1] == HOST or self._process_table.process(key[1]) is not None

    def forget_gone(self) -> None:
        """Forget all that is known of processes that are not there any more."""
        there = self._process_table.targets()
        self._screen.keep(there)
        self._sorts.keep(there)

    def findings(
        self,
        judged: Mapping[Key, AssessedSeries],
        of_memory: Iterable[Finding],
        owners: dict[str, int | None],
        growers: dict[str, Growers],
    ) -> list[Finding]:
        """Return the findings about what processes have beside their memory; note each one's user and what grows."""
        members: dict[tuple[Service, str], list[Member]] = {}
        for (metric, target), one in judged.items():
            info = self._process_table.process(target) if metric in metrics.APART else None
            if info is not None and info.service is not None:
                members.setdefault((info.service, metric), []).append(Member(info, one))
        memory = {finding.id: finding for finding in of_memory}
        found = [
            self._finding(service, metric, those, memory.get(finding_id(service.target)))
            for (service, metric), those in members.items()
        ]
        for finding, those in zip(found, members.values(), strict=True):
            owners[finding.id] = owner_of(member.info for member in those)
            if finding.metric not in metrics.COUNTS:  # those take no memory that anything is foretold by
                growers[finding.id] = growers_of(those, None)
        return without_stacks(found)

    def _finding(self, service: Service, metric: str, those: list[Member], memory: Finding | None) -> Finding:
        finding = count_finding(service, metric, those, memory)
        lead = next(m.info.identity.target for m in those if m.info.identity.pid == finding.pid)
        sorts, since_ms = self._sorts.of((metric, lead))
        return replace(finding, sorts=sorts, sorted_since_ms=since_ms)

    def lives(self, judged: Iterable[Key]) -> dict[str, str]:
        """Return the oldest process of every service of which a count is judged, by the id of the finding about it."""
        oldest = self._process_table.oldest()
        counted = {
            (metric, self._process_table.process(target)) for metric, target in judged if metric in metrics.APART
        }
        services = {(metric, info.service.target) for metric, info in counted if info is not None and info.service}
        return {
            finding_id(count_target(service, metric)): oldest[service].identity.target.key
            for metric, service in services
        }

    def note_threads(self, ts_ms: int, names: Mapping[Target, Mapping[str, int]]) -> None:
        """Take how many threads of each name there are."""
        for target, of_name in names.items():
            self._sorts.take(ts_ms, (metrics.PROCESS_THREADS, target), of_name)

    def to_values(self) -> list[list[object]]:
        """Return what counts were made of when that was first looked at, as values the store can keep."""
        return self._sorts.to_values()

    def restore(self, stored: Sequence[Sequence[Any]]) -> None:
        """Take what ``to_values`` gave, of the processes that are still there."""
        known = {
            (metric, Target(TargetKind.PROCESS, key)): (since_ms, first) for metric, key, since_ms, first in stored
        }
        self._sorts.restore({key: value for key, value in known.items() if self._is_there(key)})
