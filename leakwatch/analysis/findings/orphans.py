"""Findings about what belongs to nobody, among those about the kernel: the largest, and what they explain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.analysis.findings.reclaimable import PART_OF_TOTAL, SUSPECT
from leakwatch.model.verdict import SEVERITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leakwatch.model.verdict import Finding


def attach_orphans(findings: Sequence[Finding], largest: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return the kernel's findings with what belongs to nobody named, and without the totals that it explains.

    ``largest`` are the largest of it in words, by metric.
    """
    known = {finding.metric: finding for finding in findings}
    hidden = {total for total, parts in metrics.ORPHANS_OF_TOTAL.items() if _explained(known, total, parts)}
    return [_named(finding, known, largest) for finding in findings if finding.metric not in hidden]


def _named(finding: Finding, known: Mapping[str, Finding], largest: Mapping[str, Sequence[str]]) -> Finding:
    memory = known.get(metrics.HELD_BY.get(finding.metric, ""))
    if memory is not None and SEVERITY[memory.assessment.verdict] >= SUSPECT:
        return replace(finding, note=f"their memory grows, too: {memory.id}")
    if largest.get(finding.metric):
        return replace(finding, note=f"largest: {', '.join(largest[finding.metric])}")
    return finding


def _explained(known: Mapping[str, Finding], total: str, parts: Sequence[str]) -> bool:
    """Return whether what belongs to nobody makes up half of a total's growth, and is as surely growing."""
    if total not in known or SEVERITY[known[total].assessment.verdict] < SUSPECT:
        return False
    whole = known[total].assessment
    growing = [
        known[part].assessment.slope_bytes_per_hour or 0.0
        for part in parts
        if part in known and SEVERITY[known[part].assessment.verdict] >= SEVERITY[whole.verdict]
    ]
    return sum(growing) >= PART_OF_TOTAL * (whole.slope_bytes_per_hour or 0.0) > 0
