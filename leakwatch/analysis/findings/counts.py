"""Counts, and what else a process has beside its memory: what is judged, what verdicts are called, the findings.

Nine processes in ten hold the same few descriptors and threads for life. A judged series takes 13 kB, so one is begun
only once it has risen by half of what matters, which no leak can avoid.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import SUSPECT
from leakwatch.analysis.findings.services_and_kernel import Member, finding_id, weight, workers
from leakwatch.analysis.series.derived import Key
from leakwatch.analysis.thresholds import COUNT_RATIO
from leakwatch.model.identity import Service, ServiceKind, Target, TargetKind
from leakwatch.model.verdict import SEVERITY, Assessment, Criterion, Finding, FindingKind, Phrase, Sort

RISEN_SHARE = 0.5
"""Of the growth worth telling; the detector's own first look asks for as much (``alarm_state.RANGE_SHARE``)."""


def least_ratio(metric: str) -> float:
    """Return the share of its level that growth must reach: a count moves by some at all times."""
    return COUNT_RATIO if metric in metrics.COUNTS else 0.0


class CountScreen:
    """Remembers the lowest each of ``metrics.SCREENED`` has been, until it has risen."""

    __slots__ = ("_lowest",)

    def __init__(self) -> None:
        self._lowest: dict[Key, int] = {}

    def risen(
        self, values: Mapping[Key, int], judged: Mapping[Key, object], least: Callable[[Key], float]
    ) -> dict[Key, int]:
        """Return those of the samples that are to be judged: those that are, and those that have risen.

        ``least`` is the growth worth telling, asked only of what has moved at all.
        """
        out: dict[Key, int] = {}
        for key, value in values.items():
            if key[0] not in metrics.SCREENED:
                continue
            if key in judged:
                out[key] = value
                continue
            low = self._lowest.setdefault(key, value)
            if value < low:
                self._lowest[key] = value
            elif value - low >= RISEN_SHARE * least_ratio(key[0]) * low and value - low >= RISEN_SHARE * least(key):
                out[key] = value
                del self._lowest[key]
        return out

    def keep(self, processes: Iterable[Target]) -> None:
        """Forget all processes but these."""
        there = set(processes)
        gone = [k for k in self._lowest if k[1].kind is TargetKind.PROCESS and k[1] not in there]
        for key in gone:
            del self._lowest[key]


_UNITS = {"bytes": "count", "bytes/h": "count/h"}
_OF_COUNTS = {"memory_given_back": "most_are_gone", "confirmed_by_exhaustion": "limit_comes_first"}
"""Reasons that speak of memory, and what stands for them where a number is judged."""


def counted(found: Assessment) -> Assessment:
    """Return the assessment of a count in a count's units."""
    reasons = tuple(replace(one, code=_OF_COUNTS.get(one.code, one.code)) for one in found.reasons)
    return replace(found, unit="count", reasons=reasons, evidence=tuple(_criterion(test) for test in found.evidence))


def _criterion(test: Criterion) -> Criterion:
    return replace(test, unit=_UNITS.get(test.unit, test.unit))


def count_target(service: Target, metric: str) -> Target:
    """Return the target a service's finding about one of its counts has its id from."""
    return Target(service.kind, f"{service.key} {metric}")


def count_finding(service: Service, metric: str, members: Sequence[Member], memory: Finding | None) -> Finding:
    """Return the one finding about a count, or bytes apart, of a service; ``members`` are those in which it has risen.

    Named is the process that grows most: a limit on open files, threads or mappings is each process's own. ``memory``
    is what is said of the service's memory, if anything.
    """
    lead = max(members, key=lambda member: weight(member.judged.assessment))
    growing = [m for m in members if SEVERITY[m.judged.assessment.verdict] >= SUSPECT]
    of_program = service.kind is ServiceKind.PROGRAM
    notes = list(workers(members, growing))
    if memory is not None and SEVERITY[memory.assessment.verdict] >= SUSPECT:
        notes.append(Phrase("its_memory_grows", (memory.id,)))
    return Finding(
        id=finding_id(count_target(service.target, metric)),
        kind=FindingKind.PROCESS if of_program else FindingKind.SERVICE,
        name=lead.info.name if of_program else service.name,
        metric=metric,
        assessment=lead.judged.assessment,
        pid=lead.info.identity.pid,
        service=service.name,
        notes=tuple(notes),
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
