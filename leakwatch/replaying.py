"""What a replay needs of the configuration: the windows, and the thresholds of each series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.analysis.hosted import Settings
from leakwatch.analysis.subject import SubjectKind
from leakwatch.knobs import criteria_of
from leakwatch.metrics import MEMINFO

if TYPE_CHECKING:
    from leakwatch.analysis.criteria import LeakCriteria
    from leakwatch.analysis.subject import Subject
    from leakwatch.config import Config


def settings_of(config: Config) -> Settings:
    """Return the settings under which series are judged with this configuration."""

    def criteria_for(subject: Subject) -> LeakCriteria:
        if subject.kind in (SubjectKind.SLAB, SubjectKind.KERNEL):
            metric = MEMINFO[subject.field].name if subject.field in MEMINFO else subject.field
            chosen = config.thresholds_for("kernel", subject.field, subject.service, metric)
        else:
            chosen = config.thresholds_for("process", subject.owner)
            if chosen is config.thresholds:
                chosen = config.thresholds_for("service", subject.owner)
        return criteria_of(chosen, counted=bool(subject.count))

    return Settings(config.analysis.windows_s, criteria_for)
