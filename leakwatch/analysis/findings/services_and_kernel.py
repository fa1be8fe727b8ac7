"""From assessments of series to findings about things: one a service, naming the process; one a kernel cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import SUSPECT, KernelFacts, is_explained, with_reclaim
from leakwatch.kernel.account import STACK_CALLERS
from leakwatch.model.identity import ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.verdict import SEVERITY, AssessedSeries, Assessment, Finding, FindingKind, Phrase, Phrases, Verdict
from leakwatch.text.escape import as_text

_UNDECIDED = frozenset({Verdict.OK, Verdict.LEARNING})


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a service, judged."""

    info: ProcessInfo
    judged: AssessedSeries


def finding_id(target: Target) -> str:
    """Return a short name that stays the same as long as the target is called the same."""
    digest = blake2s(as_text(f"{target.kind}:{target.key}").encode(), digest_size=4).hexdigest()
    return f"{target.kind[0]}{digest}"


@dataclass(frozen=True, slots=True)
class Partly:
    """Of a service whose processes are not all read: how many there are, and how many are read."""

    processes: int
    read: int

    @property
    def phrase(self) -> Phrase:
        """Which of them are read, for a reason."""
        return Phrase("processes_read", (self.read, self.processes))


def service_finding(
    service: Service, members: Sequence[Member], total: AssessedSeries | None, partly: Partly | None = None
) -> Finding:
    """Return the one finding of a service.

    ``members`` are the processes that are judged, ``total`` is the judged sum, if any: one of them there must be. What
    carries the growth is named: the process when it is one, the service when it is all of them together. A service of
    which some processes are not read is never called ok: what is not measured is not known to be fine.
    """
    finding = _service_finding(service, members, total)
    found = finding.assessment
    if partly is None or (found.verdict not in _UNDECIDED and finding.metric != metrics.SERVICE_USS_SWAP):
        return finding  # what one process that is read says of itself needs no other
    if found.verdict in _UNDECIDED:
        least = Phrase("at_least", (found.current_bytes,))
        found = replace(found, verdict=Verdict.LEARNING, reasons=(least, partly.phrase))
    else:
        found = replace(found, reasons=(*found.reasons, partly.phrase))
    return replace(finding, assessment=found, processes=partly.processes, processes_read=partly.read)


def _service_finding(service: Service, members: Sequence[Member], total: AssessedSeries | None) -> Finding:
    if not members:
        assert total is not None
        name, id_ = service.name, finding_id(service.target)
        return Finding(id_, FindingKind.SERVICE, name, total.metric, total.assessment, service=name)
    lead = max(members, key=lambda member: weight(member.judged.assessment))
    growing = [m for m in members if SEVERITY[m.judged.assessment.verdict] >= SUSPECT]
    # One that leaks among others that are only watched carries the growth: the sum would blur its rate with theirs.
    alone = sum(m.judged.assessment.verdict is lead.judged.assessment.verdict for m in growing) == 1
    by_total = (
        total is not None
        and not alone
        and ((not growing and len(members) > 1) or weight(total.assessment) >= weight(lead.judged.assessment))
    )
    judged = total if by_total and total is not None else lead.judged
    single = len(members) == 1 or alone
    if service.kind is ServiceKind.PROGRAM and single and not by_total:
        kind, name = FindingKind.PROCESS, lead.info.name
    else:
        kind, name = FindingKind.SERVICE, service.name
    return Finding(
        id=finding_id(service.target),
        kind=kind,
        name=name,
        metric=judged.metric,
        assessment=judged.assessment,
        pid=lead.info.identity.pid if single or growing else None,
        service=service.name,
        notes=workers(members, growing),
    )


def weight(assessment: Assessment) -> tuple[int, float]:
    """Return what series of one thing are compared by: how sure it is, how fast."""
    return SEVERITY[assessment.verdict], assessment.slope_bytes_per_hour or 0.0


def workers(members: Sequence[Member], growing: Sequence[Member]) -> Phrases:
    """Return how many of several processes grow and how fast, nothing of a single one."""
    if len(members) == 1:
        return ()
    if not growing:
        return (Phrase("processes", (len(members),)),)
    worst = sorted(growing, key=lambda member: weight(member.judged.assessment), reverse=True)[:3]
    rates = [(m.info.identity.pid, m.judged.assessment.slope_bytes_per_hour or 0.0) for m in worst]
    return (
        Phrase(
            "processes_grow",
            (
                len(growing),
                len(members),
                worst[0].judged.assessment.unit,
                *(number for rate in rates for number in rate),
            ),
        ),
    )


def kernel_findings(
    judged: Sequence[AssessedSeries], facts: KernelFacts, unavailable: Assessment | None
) -> list[Finding]:
    """Return the findings of slab caches, vmalloc callers and the kernel's totals.

    ``unavailable`` is the assessment of MemTotal - MemAvailable.
    """
    hidden = {metric for metric in metrics.TOTALS if _is_told_by_others(judged, metric, facts)}
    milder = with_reclaim(judged, facts, unavailable)
    return [
        _kernel_finding(after, facts, along=after is not before)
        for before, after in zip(judged, milder, strict=True)
        if after.metric not in hidden
    ]


def _kernel_finding(judged: AssessedSeries, facts: KernelFacts, *, along: bool) -> Finding:
    """Return the finding; ``along`` says that its verdict is milder because of what can be reclaimed."""
    target = judged.target
    if target.kind is TargetKind.HOST:
        name, key = metrics.title(judged.metric), Target(TargetKind.HOST, judged.metric)
    else:
        name, key = target.key, target
    suspect = SEVERITY[judged.assessment.verdict] >= SUSPECT
    return Finding(
        id=finding_id(key),
        kind=FindingKind.KERNEL,
        name=name,
        metric=judged.metric,
        assessment=judged.assessment,
        notes=facts.notes(judged.metric, target, suspect=suspect, along=along),
    )


def _is_told_by_others(judged: Sequence[AssessedSeries], total_metric: str, facts: KernelFacts) -> bool:
    """Return whether what says more about a total grows by half as much: then only that is reported."""
    total = next((one.assessment for one in judged if one.metric == total_metric), None)
    return _explained(total, (one.assessment for one in judged if _tells_of(one, total_metric, facts)))


def _explained(total: Assessment | None, parts: Iterable[Assessment]) -> bool:
    """Return whether parts make up half of a total's growth, and grow as surely."""
    if total is None or SEVERITY[total.verdict] < SUSPECT:
        return False
    sure = [part for part in parts if SEVERITY[part.verdict] >= SEVERITY[total.verdict]]
    return is_explained(total.slope_bytes_per_hour or 0.0, sum(part.slope_bytes_per_hour or 0.0 for part in sure))


def _tells_of(one: AssessedSeries, total_metric: str, facts: KernelFacts) -> bool:
    """Return whether a series says more of what grows than a total: as one of its parts, or as what lies in it."""
    if total_metric not in metrics.row(one.metric).part_of:
        return False
    if total_metric == metrics.KERNEL_STACK:
        return one.target.key in STACK_CALLERS
    return not facts.reclaimable.get(one.target.key)  # caches that are lie in another total


def attach_orphans(findings: Sequence[Finding], largest: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return the kernel's findings with orphaned memory named; ``largest`` are its largest in words, by metric."""
    known = {finding.metric: finding for finding in findings}
    return [_named(finding, known, largest) for finding in findings]


def _named(finding: Finding, known: Mapping[str, Finding], largest: Mapping[str, Sequence[str]]) -> Finding:
    memory = known.get(metrics.row(finding.metric).held_as)
    if memory is not None and SEVERITY[memory.assessment.verdict] >= SUSPECT:
        return replace(finding, notes=(Phrase("their_memory_grows", (memory.id,)),))
    if largest.get(finding.metric):
        return replace(finding, notes=(Phrase("largest", tuple(largest[finding.metric])),))
    return finding
