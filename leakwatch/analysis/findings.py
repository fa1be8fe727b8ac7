"""From assessments of series to findings about things: one a service, naming the process; one a kernel cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.model import (
    SEVERITY,
    Assessment,
    Finding,
    FindingKind,
    ProcessInfo,
    Service,
    ServiceKind,
    Target,
    TargetKind,
    Verdict,
)
from leakwatch.units import format_growth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUSPECT = SEVERITY[Verdict.WATCH]
PART_OF_TOTAL = 0.5
"""A total's growth is explained by its parts when theirs makes up half of it: then only the parts are reported."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One series' assessment."""

    metric: str
    target: Target
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a service, judged."""

    info: ProcessInfo
    judged: Judged


def finding_id(target: Target) -> str:
    """Return a short name that stays the same as long as the target is called the same."""
    digest = blake2s(f"{target.kind}:{target.key}".encode(), digest_size=4).hexdigest()
    return f"{target.kind[0]}{digest}"


def service_finding(service: Service, members: Sequence[Member], total: Judged | None) -> Finding:
    """Return the one finding of a service; ``members`` must not be empty, ``total`` is the judged sum, if any.

    What carries the growth is named: the process when it is one, the service when it is all of them together.
    """
    lead = max(members, key=lambda member: weight(member.judged.assessment))
    growing = [m for m in members if SEVERITY[m.judged.assessment.verdict] >= SUSPECT]
    # One that leaks among others that are only watched carries the growth: the sum would blur its rate with theirs.
    alone = sum(m.judged.assessment.verdict is lead.judged.assessment.verdict for m in growing) == 1
    by_total = total is not None and not alone and weight(total.assessment) >= weight(lead.judged.assessment)
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
        note=workers(members, growing),
    )


def weight(assessment: Assessment) -> tuple[int, float]:
    """Return what series of one thing are compared by: how sure it is, how fast."""
    return SEVERITY[assessment.verdict], assessment.slope_bytes_per_hour or 0.0


def workers(members: Sequence[Member], growing: Sequence[Member]) -> str:
    """Return how many of several processes grow and how fast, empty of a single one."""
    if len(members) == 1:
        return ""
    if not growing:
        return f"{len(members)} processes"
    worst = sorted(growing, key=lambda member: weight(member.judged.assessment), reverse=True)[:3]
    rates = ", ".join(
        f"pid {m.info.identity.pid} {format_growth(found.slope_bytes_per_hour or 0.0, found.unit)}"
        for m in worst
        for found in [m.judged.assessment]
    )
    return f"{len(growing)} of {len(members)} processes grow: {rates}"


def kernel_findings(
    judged: Sequence[Judged], reclaimable: Mapping[str, bool], unavailable: Assessment | None
) -> list[Finding]:
    """Return the findings of slab caches, vmalloc callers and the kernel's totals.

    ``reclaimable`` tells it by cache, where known; ``unavailable`` is the assessment of MemTotal - MemAvailable.
    """
    judged = [_with_reclaim(one, reclaimable, unavailable) for one in judged]
    hidden = {metric for metric, parts in metrics.PARTS_OF_TOTAL.items() if _explained(judged, metric, parts)}
    return [_kernel_finding(one, reclaimable) for one in judged if one.metric not in hidden]


def _kernel_finding(judged: Judged, reclaimable: Mapping[str, bool]) -> Finding:
    target = judged.target
    if target.kind is TargetKind.HOST:
        name, key = metrics.title(judged.metric), Target(TargetKind.HOST, judged.metric)
    else:
        name, key = target.key, target
    note = ""
    if target.kind is TargetKind.SLAB:
        known = reclaimable.get(target.key)
        note = "slab cache" if known is None else "reclaimable slab cache" if known else "unreclaimable slab cache"
    elif target.kind is TargetKind.VMALLOC:
        note = "vmalloc, by the function that asked for it"
    return Finding(
        id=finding_id(key),
        kind=FindingKind.KERNEL,
        name=name,
        metric=judged.metric,
        assessment=judged.assessment,
        note=note,
    )


def _with_reclaim(judged: Judged, reclaimable: Mapping[str, bool], unavailable: Assessment | None) -> Judged:
    """Growth of memory the kernel gives back when asked matters only as far as available memory falls with it."""
    found = judged.assessment
    if judged.target.kind is not TargetKind.SLAB or not reclaimable.get(judged.target.key):
        return judged
    if SEVERITY[found.verdict] < SUSPECT:
        return judged
    falling = unavailable is not None and SEVERITY[unavailable.verdict] >= SUSPECT
    share = (unavailable.slope_bytes_per_hour or 0.0) / (found.slope_bytes_per_hour or 1.0) if unavailable else 0.0
    if falling and share >= PART_OF_TOTAL:
        reason = f"{found.reason}; reclaimable, but available memory falls with it"
        return replace(judged, assessment=replace(found, verdict=Verdict.WATCH, reason=reason))
    reason = "grows, but is reclaimable and available memory does not fall with it"
    return replace(judged, assessment=replace(found, verdict=Verdict.OK, reason=reason))


def _explained(judged: Sequence[Judged], total_metric: str, parts: TargetKind) -> bool:
    total = next((one.assessment for one in judged if one.metric == total_metric), None)
    if total is None or SEVERITY[total.verdict] < SUSPECT:
        return False
    growing = [
        one.assessment.slope_bytes_per_hour or 0.0
        for one in judged
        if one.target.kind is parts and SEVERITY[one.assessment.verdict] >= SEVERITY[total.verdict]
    ]
    return sum(growing) >= PART_OF_TOTAL * (total.slope_bytes_per_hour or 0.0) > 0
