"""All that is known of one series when it is explained, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leakwatch import metrics
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import TimePlan
from leakwatch.analysis.tracking.alarm_state import AlarmState, LevelHistory
from leakwatch.model.verdict import Assessment, Criterion, Verdict
from leakwatch.nextsteps.kernel_tools import Facts
from leakwatch.nextsteps.step import Patient
from leakwatch.report.build import ReportRow
from leakwatch.text.escape import printable


class What(StrEnum):
    """What the memory is of: decides where to look next."""

    PROCESS = "process"
    SLAB = "slab"
    VMALLOC = "vmalloc"
    COUNT = "count"
    """What a process has many of, such as open files."""
    KERNEL = "kernel"
    """One of the kernel's totals, such as page tables."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Case:
    """One series, its verdict and what the next verdicts start from."""

    name: str
    what: What
    assessment: Assessment
    as_of_ms: int
    """What was measured until then."""
    plan: TimePlan
    criteria: LeakCriteria
    field: str = ""
    """The cache, the caller or the metric, for ``What`` of the kernel."""
    pid: int | None = None
    alarm_state: AlarmState | None = None
    history: LevelHistory | None = None
    """None where nothing is remembered: it is not suspect and never was, or it is sampled too seldom."""
    sparse: bool = False
    """Sampled so seldom that samples are judged one by one."""
    interval_s: float | None = None
    """The usual time between two samples; None where it is not known."""
    at_most_watch: bool = False
    """The kernel gives it back when asked, or it is no use of memory: it is never called a leak."""
    every_s: float | None = None
    """Seconds between two evaluations; None for a captured series."""
    offset_ms: int = 0
    """By how much the times shown are ahead of the timeline, in whose blocks and looks it is judged."""
    row: ReportRow | None = None
    """What a report says of it; None for a captured series."""
    patient: Patient | None = None
    """The process as it is now, with what runs in it; None for the kernel and for a captured series."""
    facts: Facts | None = None
    """What this machine's kernel offers; None for a process and for a captured series."""
    alarm: str = ""
    """What makes all of it worthless unless it is known first."""

    @property
    def title(self) -> str:
        """The name as it is printed, with its process id."""
        name = printable(self.name)
        whose = name if self.pid is None or self.row is None else f"{name} (pid {self.pid})"
        return f"{whose}: {metrics.title(self.field)}" if self.field in metrics.APART else whose

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.assessment.verdict

    @property
    def failed(self) -> tuple[Criterion, ...]:
        """What speaks against a leak; waiving confirmation does not."""
        return tuple(test for test in self.assessment.evidence if not test.passed and not _waives(test))

    @property
    def passed(self) -> tuple[Criterion, ...]:
        """What speaks for one."""
        return tuple(test for test in self.assessment.evidence if test.passed or _waives(test))

    @property
    def suspected(self) -> bool:
        """Whether a forecast was made, which new data will bear out or not."""
        if self.verdict is not Verdict.WATCH or self.at_most_watch:
            return False
        return self.test("fresh_data") is not None or (
            self.alarm_state is not None and self.alarm_state.suspicion is not None
        )

    def test(self, criterion: str) -> Criterion | None:
        """Return the criterion of this name, None where it was not measured."""
        return next((test for test in self.assessment.evidence if test.criterion == criterion), None)

    @property
    def window_s(self) -> int | None:
        """The window that decided: of those judged the one that says most, or came closest; None if none was."""
        if len(self.assessment.evidence) < 2:
            return None  # it did not come to judging windows
        return next((test.window_s for test in self.assessment.evidence if test.window_s is not None), None)

    @property
    def checkpoint_ms(self) -> int:
        """When the newest look was taken: what is said follows from the data until then."""
        return self._begun_ms(self.as_of_ms, self._checkpoint_every_ms)

    @property
    def block_ms(self) -> int:
        """When the newest complete block ended: what is counted of the data is counted until then."""
        return self._begun_ms(self.as_of_ms, self.plan.base_s * 1000)

    def _begun_ms(self, ts_ms: int, every_ms: int) -> int:
        return (ts_ms - self.offset_ms) // every_ms * every_ms + self.offset_ms

    def next_checkpoint(self, wanted_ms: float) -> int:
        """Return when the first look at or after a time is taken, at least one after the newest."""
        every = self._checkpoint_every_ms
        wanted_ms -= self.offset_ms
        return max(self.checkpoint_ms + every, -int(-wanted_ms // every) * every + self.offset_ms)

    @property
    def _checkpoint_every_ms(self) -> int:
        return self.plan.checkpoint_blocks * self.plan.base_s * 1000


def _waives(test: Criterion) -> bool:
    return test.criterion == "outlasts_confirmation"
