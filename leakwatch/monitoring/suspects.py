"""Who looks like leaking, of the series under watch: processes to look into, and the findings that will name them.

What the store holds of climbs that go on, series by series: only what has changed is handed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from leakwatch import metrics
from leakwatch.analysis.findings.counts import count_target
from leakwatch.analysis.findings.process_table import ProcessTable, owner_of
from leakwatch.analysis.findings.services_and_kernel import Member, Partly, finding_id, service_finding
from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.series.derived import Key
from leakwatch.model.identity import ProcessInfo, Service, Target, TargetKind
from leakwatch.model.verdict import SUSPECT, AssessedSeries, Finding
from leakwatch.monitoring.capacity import Growers


def processes_of(target: Target, process_table: ProcessTable) -> Collection[Target]:
    """Return the processes whose memory a series is about, none for the kernel's."""
    if target.kind is TargetKind.PROCESS:
        return (target,)
    if target.kind is TargetKind.SERVICE:
        return [info.identity.target for info in process_table.members(target)]
    return ()


def suspected_ids(series: Mapping[Key, SeriesState], process_table: ProcessTable) -> frozenset[str]:
    """Return the ids of the findings that a series under suspicion is part of."""
    return frozenset(finding_id(_named(key, process_table)) for key, state in series.items() if state.is_suspected)


def _named(key: Key, process_table: ProcessTable) -> Target:
    """Return the target that the finding a series is part of has its id from."""
    metric, target = key
    if target.kind is TargetKind.HOST:
        return Target(TargetKind.HOST, metric)
    info = process_table.process(target) if target.kind is TargetKind.PROCESS else None
    if info is None or info.service is None:
        return target
    return count_target(info.service.target, metric) if metric in metrics.APART else info.service.target


def suspects_of(series: Mapping[Key, SeriesState], process_table: ProcessTable) -> frozenset[Target]:
    """Return the processes that look like leaking, themselves or as part of their service."""
    suspects: set[Target] = set()
    for (metric, target), state in series.items():
        if metric in metrics.APART:
            continue  # what its memory is said to be does not decide about them
        if state.is_suspected or (state.assessment and state.assessment.verdict in SUSPECT):
            suspects.update(processes_of(target, process_table))
    return frozenset(suspects)


def service_findings(
    judged: Mapping[Key, AssessedSeries],
    process_table: ProcessTable,
    unread: Collection[Target],
    owners: dict[str, int | None],
    growers: dict[str, Growers],
) -> list[Finding]:
    """Return the finding about the memory of each service; note each one's user and what of it grows, by its id."""
    members: dict[Service, list[Member]] = {}
    for (metric, target), one in judged.items():
        info = process_table.process(target) if target.kind is TargetKind.PROCESS else None
        if info is not None and info.service is not None and metric not in metrics.APART:
            members.setdefault(info.service, []).append(Member(info, one))
    findings = []
    for service, infos in process_table.by_service().items():
        those, total = members.get(service, []), judged.get((metrics.SERVICE_USS_SWAP, service.target))
        if not those and total is None:
            continue
        finding = service_finding(service, those, total, _partly(infos, those, unread))
        growers[finding.id] = growers_of(those, total)
        owners[finding.id] = owner_of(infos)
        findings.append(finding)
    return findings


def _partly(infos: Sequence[ProcessInfo], judged: Sequence[Member], unread: Collection[Target]) -> Partly | None:
    """Return how many of a service's processes are read where it is not all of them.

    A process alone in its service that refuses is judged by its anonymous memory, which the finding says itself.
    """
    read = sum(info.identity.target not in unread for info in infos)
    return None if read == len(infos) or (len(infos) == 1 and judged) else Partly(len(infos), read)


def growers_of(members: Sequence[Member], total: AssessedSeries | None) -> Growers:
    """Return what of a service grows: the processes that are suspect, or the sum where it grows in none of them."""
    rates = [(m.info.identity.pid, _rate(m.judged)) for m in members]
    growing = sorted((one for one in rates if one[1] > 0), key=lambda one: one[1], reverse=True)
    together = max(sum(rate for _, rate in growing), _rate(total) if total else 0.0)
    return Growers(together, tuple(growing) or tuple(rates[:1]))


def _rate(judged: AssessedSeries) -> float:
    found = judged.assessment
    return max(0.0, found.slope_bytes_per_hour or 0.0) if found.verdict in SUSPECT else 0.0


def by_growth(suspects: Iterable[Target], series: Mapping[Key, SeriesState]) -> tuple[Target, ...]:
    """Return processes in order of how fast each itself grows, as far as that is known, the fastest first."""

    def slope(process: Target) -> float:
        states = (series.get((metric, process)) for metric in metrics.OF_MEMORY)
        known = (state.assessment.slope_bytes_per_hour for state in states if state and state.assessment)
        return max((rate for rate in known if rate is not None), default=0.0)

    return tuple(sorted(suspects, key=slope, reverse=True))


class Suspicions:
    """Beside the series under watch: those that are gone are dropped from the store, and then forgotten."""

    def __init__(self) -> None:
        self._written: dict[Key, str] = {}
        self._dropped: set[Key] = set()
        """Series that are gone of which something is stored."""
        self._dropping: frozenset[Key] = frozenset()
        """Those of them that were handed over last."""

    def restore(self, payloads: Mapping[Key, str], series: Mapping[Key, SeriesState]) -> None:
        """Take what is stored."""
        self._written = {key: payload for key, payload in payloads.items() if key in series}
        self._dropped = payloads.keys() - series.keys()

    def forget(self, key: Key) -> None:
        """Take that a series is gone."""
        if self._written.pop(key, None) is not None:
            self._dropped.add(key)

    def changed(self, series: Mapping[Key, SeriesState]) -> dict[Key, str | None]:
        """Return what has changed since the last call, as JSON; None of what is to be dropped."""
        self._dropping, self._dropped = frozenset(self._dropped), set()
        changed: dict[Key, str | None] = dict.fromkeys(self._dropping)
        for key, state in series.items():
            now = state.to_json()
            if now != self._written.get(key):
                changed[key] = now
                if now is None:
                    del self._written[key]
                else:
                    self._written[key] = now
        return changed

    def forget_stored(self) -> None:
        """Mark everything unsaved: the next call hands over all of it."""
        self._written.clear()
        self._dropped |= self._dropping
