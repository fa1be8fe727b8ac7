"""What a collector hands over, and the boundary that keeps one collector's failure from the others."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from leakwatch import metrics
from leakwatch.clock import elapsed_us
from leakwatch.errors import LeakwatchError
from leakwatch.model.identity import Owner, ProcessInfo, Target, TargetKind
from leakwatch.model.sample import Absence, AbsenceReason, CollectorOutcome, OomKill, Sample, Unanswered

EXAMPLES = 3
"""Absences named in words, a reason: enough to know what it is about, whatever the number."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CollectorResult:
    """What a collector has read so far; filled by one collector in one scrape."""

    samples: list[Sample] = field(default_factory=list)
    processes: list[ProcessInfo] = field(default_factory=list)
    unreadable: list[Target] = field(default_factory=list)
    owners: dict[Target, Owner] | None = None
    oom_kills: list[OomKill] = field(default_factory=list)
    targets_read: int = 0
    unanswered: list[Unanswered] = field(default_factory=list)
    absences: Counter[AbsenceReason] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    largest: dict[str, tuple[str, ...]] = field(default_factory=dict)
    thread_names: dict[Target, dict[str, int]] = field(default_factory=dict)

    def absent(self, absence: Absence) -> None:
        """Count a value that could not be read, and keep the first few in words."""
        self.absences[absence.reason] += 1
        if absence.detail and self.absences[absence.reason] <= EXAMPLES:
            self.examples.append(f"{absence.reason}: {absence.detail}")


def run_isolated(name: str, collect: Callable[[CollectorResult], None]) -> tuple[CollectorResult, CollectorOutcome]:
    """Run one collector: whatever goes wrong in it is logged, counted and stays in it."""
    began = elapsed_us()
    result, error = CollectorResult(), ""
    try:
        collect(result)
    except Exception as problem:  # noqa: BLE001 - the boundary: the other collectors' samples must not be lost
        error = str(problem) if isinstance(problem, LeakwatchError) else f"{type(problem).__name__}: {problem}"
        log.error("collector %s failed: %s", name, error)
        result = CollectorResult()
    outcome = CollectorOutcome(
        collector=name,
        duration_us=elapsed_us() - began,
        targets_read=result.targets_read,
        absences=dict(result.absences),
        examples=tuple(result.examples),
        error=error,
    )
    return result, outcome


def outcome_samples(outcome: CollectorOutcome) -> list[Sample]:
    """Return the outcome as samples: how a collector fares is a series like any other."""
    target = Target(TargetKind.COLLECTOR, outcome.collector)
    values = {
        metrics.COLLECTOR_UP: int(not outcome.error),
        metrics.COLLECTOR_DURATION: outcome.duration_us,
        metrics.COLLECTOR_TARGETS: outcome.targets_read,
    }
    values |= {metrics.COLLECTOR_ABSENT + reason: count for reason, count in outcome.absences.items()}
    return [Sample(metric, target, value) for metric, value in values.items()]
