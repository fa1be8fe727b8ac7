"""From the operator's words to the detector's criteria: the one place where the knobs of [thresholds] are turned.

Few on purpose: how sensitive, the smallest rate worth waking for, what growth is too small to matter, and the horizon
(which ranks and decides nothing). All else in ``analysis.criteria`` is a documented constant.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from leakwatch.analysis.criteria import COUNT_RATIO, LeakCriteria
from leakwatch.model import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.config import Config, Sensitivity, Thresholds
    from leakwatch.model import ProcessInfo, Target

SENSITIVITY: dict[Sensitivity, float] = {"low": 1.5, "normal": 1.0, "high": 0.75}
"""What growth must be relative to its noise, as a multiple of the detector's own threshold (6 times the noise, a slope
3.8 standard errors from flat). Half as much again for whoever would rather miss a leak than be told of a restless
program; a quarter less for whoever would rather look twice than miss one."""


def thresholds_for(config: Config, metric: str, target: Target, members: Sequence[ProcessInfo]) -> Thresholds:
    """Return the thresholds configured for a series; ``members`` are the processes it is about.

    What is set for a process goes before what is set for its service. A service with nothing of its own has what is set
    for its processes, where that is the same for all.
    """
    if target.kind is TargetKind.PROCESS:
        name = members[0].name if members else ""
        service = members[0].service.name if members and members[0].service else ""
        chosen = config.thresholds_for("process", name)
        return config.thresholds_for("service", service) if chosen is config.thresholds else chosen
    if target.kind is TargetKind.SERVICE:
        chosen = config.thresholds_for("service", target.key.partition(":")[2])
        of_members = {config.thresholds_for("process", info.name) for info in members}
        return of_members.pop() if chosen is config.thresholds and len(of_members) == 1 else chosen
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
