"""Processes that the kernel killed for want of memory, and the counts they are found by."""

from __future__ import annotations

from dataclasses import dataclass, field

from leakwatch.model.identity import Target


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
