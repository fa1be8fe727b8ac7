"""The vocabulary every layer shares, as frozen values; invariants only, no I/O, no rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbsenceReason(StrEnum):
    """Why a value is missing. A missing value is never 0 and never None."""

    GONE = "gone"
    """The process ended between two reads."""
    DENIED = "denied"
    """The kernel refused (EACCES, EPERM)."""
    NO_ADDRESS_SPACE = "no_address_space"
    """A kernel thread or a zombie: there is no memory to measure."""
    UNSUPPORTED = "unsupported"
    """This kernel or architecture does not have the file or field, or its counter is known to lie."""
    MALFORMED = "malformed"
    """The bytes were not what the format says."""
    SKIPPED = "skipped"
    """Not read this time, on purpose."""
    NO_ANSWER = "no_answer"
    """The process hangs with its memory map locked: reading it would wait for as long."""


@dataclass(frozen=True, slots=True)
class Absence:
    """The typed stand-in for a value that could not be read."""

    reason: AbsenceReason
    detail: str = ""
    """File and cause, for the operator: ``/proc/12/smaps_rollup: EACCES``."""


class TargetKind(StrEnum):
    """What a series can belong to."""

    PROCESS = "process"
    SERVICE = "service"
    SLAB = "slab"
    VMALLOC = "vmalloc"
    HOST = "host"
    COLLECTOR = "collector"
    MEMORY_CLASS = "class"
    """A class of one process's mappings, see ``memclass``: it ends with its process."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whose a series is; ``key`` is unique within its kind and stable over restarts of leakwatch."""

    kind: TargetKind
    key: str


HOST = Target(TargetKind.HOST, "host")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One run of one process: a pid is reused, this is not (proc(5): starttime is in ticks since boot)."""

    boot_id: str
    pid: int
    start_ticks: int

    @property
    def target(self) -> Target:
        """The target of this process's series."""
        return Target(TargetKind.PROCESS, f"{self.boot_id}/{self.pid}/{self.start_ticks}")


def identity_of(key: str) -> ProcessIdentity:
    """Return whose target has this key."""
    boot_id, pid, start_ticks = key.rsplit("/", 2)
    return ProcessIdentity(boot_id, int(pid), int(start_ticks))


class ServiceKind(StrEnum):
    """What a service's name was taken from, strongest first."""

    UNIT = "unit"
    CONTAINER = "container"
    CGROUP = "cgroup"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Service:
    """What stays the same over restarts and over forked workers."""

    kind: ServiceKind
    name: str

    @property
    def target(self) -> Target:
        """The target of this service's summed series."""
        return Target(TargetKind.SERVICE, f"{self.kind}:{self.name}")


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """Who a process is: what changes rarely and names it in a report."""

    identity: ProcessIdentity
    name: str
    """``comm`` as the kernel gives it, undecodable bytes as surrogate escapes; escape at every output."""
    command: str
    """The command line, arguments separated by spaces; empty for kernel threads."""
    uid: int | None
    service: Service | None
    """None for kernel threads."""
    unanswered: bool = field(default=False, compare=False)
    """Whether it hung when it was asked for its command line."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a service is, as far as its control group's path tells; what it does not tell is empty."""

    groups: tuple[str, ...] = ()
    """Its own control groups where the memory controller has them: several for workers that are units of their own."""
    engine: str = ""
    """``docker``, ``podman``, ``containerd``, ``cri-o``, ``lxc``, ``nspawn``, ``machine``."""
    container: str = ""
    """The container's full id, or the name its engine gave the group."""
    pod: str = ""
    qos: str = ""
    """Kubernetes' class: ``guaranteed``, ``burstable``, ``besteffort``."""
    user_slice: str = ""
    """``user-1000.slice`` of what a person has started."""
    session: str = ""
    """``session-3.scope`` of what was started from a login."""


@dataclass(frozen=True, slots=True)
class OomKill:
    """Processes the kernel killed for want of memory between two looks."""

    count: int
    service: Target | None
    """Whose they were; None where that cannot be told."""
    certain: bool = True
    """False where the group is gone with its own count: then the service is the only one it can have been."""
    group: str = ""
    limit_bytes: int | None = None
    """What bound the group, None without a limit: then the machine itself ran out."""
    candidates: tuple[str, ...] = ()
    """Keys of the services it may have been, where none is named."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One integer of one series at the time of the scrape it is in."""

    metric: str
    target: Target
    value: int
    estimated: bool = False
    """Whether it was worked out from cheaper counters instead of being read itself."""


@dataclass(frozen=True, slots=True)
class CollectorOutcome:
    """How one collector fared in one scrape."""

    collector: str
    duration_us: int
    targets_read: int
    absences: Mapping[AbsenceReason, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    """A few of the absences in words, at most one line each."""
    error: str = ""
    """Non-empty when the collector failed as a whole; then it delivered no samples."""


@dataclass(frozen=True, slots=True)
class Tick:
    """When a scrape was taken, and what was irregular about it."""

    ts_ms: int
    """Of the timeline, see ``timeline``."""
    boot_id: str
    late_ms: int = 0
    """How long after its time it began."""
    missed: int = 0
    """Ticks that did not happen since the last scrape."""
    suspended_ms: int = 0
    """Time the machine slept since the last scrape."""
    clock_step_ms: int = 0
    """By how much the time of day was set since the last scrape; signed. A note: ``ts_ms`` does not step."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A process that hangs with its memory map locked, so that nothing can be read of its memory."""

    pid: int
    name: str
    for_s: float
    """Time since it was first asked in vain."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """All samples of one tick, plus each collector's outcome."""

    tick: Tick
    samples: tuple[Sample, ...]
    processes: tuple[ProcessInfo, ...]
    outcomes: tuple[CollectorOutcome, ...]
    duration_us: int = 0
    unreadable: tuple[Target, ...] = ()
    """Processes that were to be read fully for a suspicion and are too large even for that: estimates must do."""
    unanswered: tuple[Unanswered, ...] = ()
    hidepid: str = ""
    """How /proc is mounted where that hides other users' processes from us."""
    owners: Mapping[Target, Owner] | None = None
    """Of every service, None where they were not looked at."""
    oom_kills: tuple[OomKill, ...] = ()
    """Since the scrape before."""
    largest: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of what belongs to nobody, by metric: the largest in words, names escaped; only where they were looked for."""
    thread_names: Mapping[Target, Mapping[str, int]] = field(default_factory=dict)
    """How many threads of each name there are, of those in whom threads have risen; not at every tick."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fixed span of a series reduced to what trends need: the unit of analysis and of roll-up."""

    start_ms: int
    n: int
    """Samples in it, at least 1; a carried-forward value is no sample."""
    minimum: float
    median: float
    maximum: float
    last: float


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block that will not change any more, with whose it is."""

    metric: str
    target: Target
    span_s: int
    segment_ms: int
    """When the segment it lies in began: blocks of two segments are never joined by a line."""
    block: Block


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
    reason: str = ""
    """One line in an operator's words."""
    unit: str = ""
    """What its numbers are: empty for bytes, or ``count``."""


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
    note: str = ""
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
    def is_lower_bound(self) -> bool:
        """Whether processes it is the sum of are not read."""
        return self.processes_read is not None
