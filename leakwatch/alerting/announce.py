"""Tells the log of leaks that were found and of leaks that are over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.alerting.journal import LEAK_FOUND, LEAK_OVER
from leakwatch.clock import rfc3339
from leakwatch.escape import printable
from leakwatch.units import format_bytes, format_rate

if TYPE_CHECKING:
    from leakwatch.model import Finding

log = logging.getLogger(__name__)


def announce_leak(finding: Finding) -> None:
    """Write a new leak to the log at warning priority."""
    found = finding.assessment
    slope, low, high = found.slope_bytes_per_hour or 0.0, found.slope_low or 0.0, found.slope_high or 0.0
    since = (
        f", {format_bytes(found.grown_bytes)} since {rfc3339(found.since_ms)}"
        if found.since_ms and found.grown_bytes
        else ""
    )
    text = (
        f"leak: {_who(finding)}: {metrics.title(finding.metric)} grows {format_rate(slope)} "
        f"({format_rate(low)} to {format_rate(high)}){since}; see: leakwatch report --name {finding.id}"
    )
    fields = {
        "id": finding.id,
        "kind": finding.kind,
        "name": finding.name,
        "pid": finding.pid or "",
        "service": finding.service or "",
        "metric": finding.metric,
        "slope_bytes_per_hour": round(slope),
    }
    log.warning("%s", text, extra={"message_id": LEAK_FOUND, "leakwatch": fields})


def announce_over(finding: Finding) -> None:
    """Write that a leak that was announced is one no longer."""
    text = f"leak over: {_who(finding)}: {finding.assessment.reason}; id {finding.id}"
    log.info("%s", text, extra={"message_id": LEAK_OVER, "leakwatch": {"id": finding.id, "name": finding.name}})


def _who(finding: Finding) -> str:
    parts = []
    if finding.pid is not None:
        parts.append(f"pid {finding.pid}")
    if finding.service and finding.service != finding.name:
        parts.append(finding.service)
    return printable(f"{finding.name} ({', '.join(parts)})" if parts else finding.name)
