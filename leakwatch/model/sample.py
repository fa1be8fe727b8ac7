"""What is measured: samples, scrapes, blocks, and why a value is missing.

And processes that the kernel killed for want of memory, and the counts they are found by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from leakwatch.model.identity import Owner, ProcessInfo, Target


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
class GroupCount:
    """One group's count at one look."""

    inode: int
    kills: int


@dataclass(frozen=True, slots=True)
class LimitedGroup:
    """What else is known of a service's own group."""

    service: Target
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class OomCounts:
    """All counts at one time."""

    host: int | None = None
    """The machine's, None where it does not count."""
    own: dict[str, GroupCount] = field(default_factory=dict)
    """By path, of services."""
    around: dict[str, GroupCount] = field(default_factory=dict)
    """By path, of the groups around them and those programs lie in: in version 2, where a group counts all below it."""
    known: dict[str, LimitedGroup] = field(default_factory=dict)
    """By path, of services."""
    told: int = 0
    """Kills that were found in groups before the machine's count had them: not to be told again."""


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
