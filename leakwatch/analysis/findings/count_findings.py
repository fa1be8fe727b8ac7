"""From the assessments of counts to findings: one a service and what is counted, beside the one about its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.analysis.findings.reclaimable import SUSPECT
from leakwatch.analysis.findings.services_and_kernel import finding_id, weight, workers
from leakwatch.model.identity import ServiceKind, Target
from leakwatch.model.verdict import SEVERITY, Finding, FindingKind, Sort

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from leakwatch.analysis.findings.services_and_kernel import Member
    from leakwatch.analysis.series.derived import Key
    from leakwatch.model.identity import Service


def count_target(service: Target, metric: str) -> Target:
    """Return the target a service's finding about one of its counts has its id from."""
    return Target(service.kind, f"{service.key} {metric}")


def count_finding(service: Service, metric: str, members: Sequence[Member], memory: Finding | None) -> Finding:
    """Return the one finding about a count of a service; ``members`` are its processes in which that has risen.

    Named is the process that grows most: a limit on open files, threads or mappings is each process's own. ``memory``
    is what is said of the service's memory, if anything.
    """
    lead = max(members, key=lambda member: weight(member.judged.assessment))
    growing = [m for m in members if SEVERITY[m.judged.assessment.verdict] >= SUSPECT]
    of_program = service.kind is ServiceKind.PROGRAM
    notes = [workers(members, growing)]
    if memory is not None and SEVERITY[memory.assessment.verdict] >= SUSPECT:
        notes.append(f"its memory grows, too: {memory.id}")
    return Finding(
        id=finding_id(count_target(service.target, metric)),
        kind=FindingKind.PROCESS if of_program else FindingKind.SERVICE,
        name=lead.info.name if of_program else service.name,
        metric=metric,
        assessment=lead.judged.assessment,
        pid=lead.info.identity.pid,
        service=service.name,
        note="; ".join(filter(None, notes)),
    )


MAPPINGS_A_THREAD = 3
"""Its stack, the guard page below it, and at times an arena of its own."""


def without_stacks(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings but those about mappings that are the stacks of threads which grow as surely."""
    threads = {(one.service, one.pid): one for one in findings if one.metric == metrics.PROCESS_THREADS}
    return [
        one
        for one in findings
        if one.metric != metrics.PROCESS_MAPPINGS or not _are_stacks(one, threads.get((one.service, one.pid)))
    ]


def _are_stacks(mappings: Finding, threads: Finding | None) -> bool:
    severity = SEVERITY[mappings.assessment.verdict]
    if threads is None or severity < SUSPECT or SEVERITY[threads.assessment.verdict] < severity:
        return False
    stacks = MAPPINGS_A_THREAD * (threads.assessment.slope_bytes_per_hour or 0.0)
    return stacks >= (mappings.assessment.slope_bytes_per_hour or 0.0) > 0


@dataclass(slots=True)
class _Made:
    """What one count was made of when it was first looked at, and is now."""

    since_ms: int
    first: dict[str, int]
    now: dict[str, int] = field(default_factory=dict)


class Sorts:
    """What open files and threads are made of, of the processes in which they have risen."""

    def __init__(self) -> None:
        self._made: dict[Key, _Made] = {}

    def note(self, ts_ms: int, values: Mapping[Key, int]) -> None:
        """Take the samples of one time that tell sorts of files; others are passed over."""
        seen: dict[Target, dict[str, int]] = {}
        for (metric, target), value in values.items():
            if metric in metrics.FDS_BY_SORT:
                seen.setdefault(target, {})[metric.removeprefix(metrics.PROCESS_FDS_OF)] = value
        for target, now in seen.items():
            self.take(ts_ms, (metrics.PROCESS_FDS, target), now)

    def take(self, ts_ms: int, key: Key, now: Mapping[str, int]) -> None:
        """Take what a count is made of now."""
        made = self._made.setdefault(key, _Made(ts_ms, dict(now)))
        made.now = dict(now)

    def of(self, key: Key) -> tuple[tuple[Sort, ...], int | None]:
        """Return the sorts, what grew most first, and since when that is counted; nothing where it is not known."""
        made = self._made.get(key)
        if made is None or not made.now:
            return (), None
        names = made.first.keys() | made.now.keys()
        sorts = [Sort(name, made.now.get(name, 0), made.now.get(name, 0) - made.first.get(name, 0)) for name in names]
        return tuple(sorted(sorts, key=lambda sort: (-sort.grown, -sort.now, sort.name))), made.since_ms

    def keep(self, processes: Collection[Target]) -> None:
        """Forget all processes but these."""
        there = set(processes)
        for key in [key for key in self._made if key[1] not in there]:
            del self._made[key]

    def to_values(self) -> list[list[object]]:
        """Return when each was first looked at and what was found then, as values the store can keep."""
        return [[metric, target.key, made.since_ms, made.first] for (metric, target), made in self._made.items()]

    def restore(self, first: Mapping[Key, tuple[int, dict[str, int]]]) -> None:
        """Take what ``to_values`` gave, by series."""
        self._made = {key: _Made(since_ms, found) for key, (since_ms, found) in first.items()}
