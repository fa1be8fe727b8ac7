"""From the operator's words to the detector's criteria: the one place where the knobs of [thresholds] are turned.

Few on purpose: how sensitive, the smallest rate worth waking for, what growth is too small to matter, and the horizon
(which ranks and decides nothing). All else in ``analysis.criteria`` is a documented constant.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from leakwatch import metrics
from leakwatch.analysis.thresholds import COUNT_RATIO, LeakCriteria
from leakwatch.config import Config, Sensitivity, Thresholds
from leakwatch.model.identity import Target, TargetKind

SENSITIVITY: dict[Sensitivity, float] = {"low": 1.5, "normal": 1.0, "high": 0.75}
"""What growth must be relative to its noise, as a multiple of the detector's own threshold (6 times the noise, a slope
3.8 standard errors from flat). Half as much again for whoever would rather miss a leak than be told of a restless
program; a quarter less for whoever would rather look twice than miss one."""


def criteria_for(
    config: Config, metric: str, target: Target, programs: Collection[str] = (), service: str = ""
) -> LeakCriteria:
    """Return the criteria of a series: what the daemon, a replay and an explanation all go by.

    ``programs`` are the names of the processes it is about, ``service`` that of the service they belong to.
    """
    return criteria_of(
        thresholds_for(config, metric, target, programs, service),
        beside_all_memory=metric == metrics.KERNEL_UNAVAILABLE,
        counted=metric in metrics.COUNTS,
    )


def thresholds_for(
    config: Config, metric: str, target: Target, programs: Collection[str] = (), service: str = ""
) -> Thresholds:
    """Return the thresholds configured for a series, by what it is of and never by how a report words it.

    What is set for a process goes before what is set for its service. A service with nothing of its own has what is set
    for its processes, where that is the same for all. The kernel's own totals go by their metric.
    """
    of_programs = {config.thresholds_for("process", name) for name in programs}
    own = of_programs.pop() if len(of_programs) == 1 else config.thresholds
    if target.kind is TargetKind.PROCESS:
        return config.thresholds_for("service", service) if own is config.thresholds else own
    if target.kind is TargetKind.SERVICE:
        chosen = config.thresholds_for("service", service or target.key.partition(":")[2])
        return own if chosen is config.thresholds else chosen
    return config.thresholds_for("kernel", target.key, metric)


@cache
def criteria_of(thresholds: Thresholds, *, beside_all_memory: bool = False, counted: bool = False) -> LeakCriteria:
    """Return the criteria these thresholds stand for, always the same object: thousands of series hold it.

    ``beside_all_memory``: the level is that of a whole machine, beside which nothing grows by a percent, and the
    question is only whether it grows. ``counted``: of a count, for which the floors are numbers instead of bytes.
    """
    if counted:
        return LeakCriteria(
            min_rate_bytes_per_hour=thresholds.min_rate_count_per_hour,
            min_growth_bytes=float(thresholds.min_growth_count),
            min_growth_ratio=max(COUNT_RATIO, thresholds.min_growth_ratio),
            sensitivity=SENSITIVITY[thresholds.sensitivity],
            straight_while_young=True,
        )
    return LeakCriteria(
        min_rate_bytes_per_hour=thresholds.min_rate_bytes_per_hour,
        min_growth_bytes=thresholds.min_growth_bytes,
        min_growth_ratio=0.0 if beside_all_memory else thresholds.min_growth_ratio,
        sensitivity=SENSITIVITY[thresholds.sensitivity],
    )
