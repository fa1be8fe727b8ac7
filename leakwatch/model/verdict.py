"""What is concluded: assessments of series, and findings about things."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leakwatch.model.identity import Target


class Verdict(StrEnum):
    """What leakwatch says of a series, mildest first."""

    OK = "ok"
    LEARNING = "learning"
    WATCH = "watch"
    LEAK = "leak"


SUSPECT = frozenset({Verdict.WATCH, Verdict.LEAK})
"""What is worth looking into."""


SEVERITY = {Verdict.OK: 0, Verdict.LEARNING: 1, Verdict.WATCH: 2, Verdict.LEAK: 3}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something to say, as a code with its parameters: ``report.phrases`` words it, and nothing else does."""

    code: str
    """A row of ``report.phrases``, or the id of a rule of the detector."""
    params: tuple[float | str, ...] = ()
    """Seconds, bytes, bytes an hour, numbers or names, as the row has it."""


Phrases = tuple[Phrase, ...]


def said(text: str) -> Phrases:
    """Return what a person has written, or a version before has worded, as it is."""
    return (Phrase("text", (text,)),) if text else ()


@dataclass(frozen=True, slots=True)
class Criterion:
    """One test of a rule: what was measured, what it was held against, and whether it passed."""

    criterion: str
    measured: float | None
    threshold: float | None
    passed: bool
    unit: str = ""
    """``bytes``, ``bytes/h``, ``count``, ``count/h``, ``ratio``, ``blocks``, ``s`` or empty for a plain number."""
    window_s: int | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """A robust line through one window's blocks."""

    window_s: int
    covered_s: int
    """The part of the window that holds data of the current segment."""
    blocks: int
    slope_bytes_per_hour: float
    slope_low: float
    slope_high: float
    """The ends of the 95 % interval of the slope."""
    verdict: Verdict
    shape: str
    """``ramp``, ``plateau``, ``step``, ``sawtooth`` or ``flat``."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the analysis says of one series; nobody recomputes any of it downstream.

    Of a count the numbers that are named bytes here are that count: ``unit`` says so.
    """

    verdict: Verdict
    current_bytes: int
    evidence: tuple[Criterion, ...] = ()
    windows: tuple[Trend, ...] = ()
    slope_bytes_per_hour: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    since_ms: int | None = None
    grown_bytes: int | None = None
    confidence: float = 0.0
    """0 to 1: how much of the evidence agrees; a weight for ranking, not a probability."""
    reasons: Phrases = ()
    """Why the verdict is what it is."""
    unit: str = ""
    """What its numbers are: empty for bytes, or ``count``."""


@dataclass(frozen=True, slots=True)
class AssessedSeries:
    """One series with its assessment: what findings are made of."""

    metric: str
    target: Target
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class CountLimit:
    """A limit on how many there may be of what is counted."""

    left: int
    total: int
    name: str


@dataclass(frozen=True, slots=True)
class Room:
    """What a memory limit leaves."""

    left: int
    """Bytes, with what may go to swap."""
    name: str
    group: str | None = None
    """Path of the control group that is limited with all in it; None for a limit on the process alone."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What all limits leave one process, the machine's memory apart."""

    limits: tuple[Room, ...] = ()
    swap_left: int | None = None
    """What its control groups let go to swap, None where they do not limit it."""
    group: str = ""
    """The path of its own control group."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of what a process has many of, such as its sockets among its open files, or its threads of one name."""

    name: str
    now: int
    grown: int
    """Since the finding's ``sorted_since_ms``."""


class FindingKind(StrEnum):
    """What a finding is about."""

    PROCESS = "process"
    SERVICE = "service"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Finding:
    """An assessment with a name: what a report lists."""

    id: str
    kind: FindingKind
    name: str
    metric: str
    assessment: Assessment
    pid: int | None = None
    service: str | None = None
    user: str | None = None
    limit_bytes: int | None = None
    """What is left to grow into, in bytes: below the limit of a control group or of the process, or on the machine."""
    limit_name: str = ""
    exhaustion_at_ms: int | None = None
    evaluated_at_ms: int = 0
    notes: Phrases = ()
    """What else belongs to this finding: workers, caches it explains."""
    limit_total: int | None = None
    """Of a count: the limit itself, of which ``limit_bytes`` is what is left."""
    sorts: tuple[Sort, ...] = ()
    """What a count is made of, what grew most first; empty where that is not known."""
    sorted_since_ms: int | None = None
    processes: int | None = None
    """Of a service not all of whose processes are read: how many there are, and how many are read. What is said of its
    size is then the least it can be."""
    processes_read: int | None = None

    @property
    def is_reclaimable(self) -> bool:
        """Whether the kernel gives it back when memory is asked for: it is watched at most."""
        return any(note.code.startswith("reclaimable") for note in self.notes)

    @property
    def is_lower_bound(self) -> bool:
        """Whether processes it is the sum of are not read."""
        return self.processes_read is not None
