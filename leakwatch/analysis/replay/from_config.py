"""What a replay needs of the configuration: the windows, and the thresholds of each series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.analysis.replay.prepare import Settings
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.settings import criteria_for
from leakwatch.model.identity import HOST, Target, TargetKind

if TYPE_CHECKING:
    from leakwatch.analysis.replay.series_name import Subject
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.config import Config

_METRICS = {field: metric for metric, field in metrics.FIELDS.items()}
_TARGETS = {SubjectKind.SLAB: TargetKind.SLAB, SubjectKind.GROUP: TargetKind.SERVICE}
_OF_TARGET = {TargetKind.SLAB: metrics.SLAB_ACTIVE, TargetKind.VMALLOC: metrics.VMALLOC_BYTES}


def settings_of(config: Config) -> Settings:
    """Return the settings under which series are judged with this configuration."""

    def for_subject(subject: Subject) -> LeakCriteria:
        metric, target = series_of(subject)
        return criteria_for(config, metric, target, subject.programs or (subject.owner,), subject.owner)

    return Settings(config.analysis.windows_s, for_subject)


def series_of(subject: Subject) -> tuple[str, Target]:
    """Return the metric and the target the daemon would know a captured series by."""
    if subject.kind is SubjectKind.KERNEL and not subject.service.startswith("vmalloc/"):
        return subject.count or _METRICS.get(subject.field, subject.field), HOST
    kind = TargetKind.VMALLOC if subject.kind is SubjectKind.KERNEL else _TARGETS.get(subject.kind, TargetKind.PROCESS)
    return subject.count or _OF_TARGET.get(kind, ""), Target(kind, subject.field or subject.owner)
