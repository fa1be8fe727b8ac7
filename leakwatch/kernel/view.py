"""What ``leakwatch kernel`` shows of one moment: the account of RAM, and slab caches and vmalloc callers one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leakwatch.kernel.account import Account


@dataclass(frozen=True, slots=True)
class CacheUse:
    """One slab cache."""

    key: str
    """As its series is called."""
    taken_bytes: int
    """Its pages, used or not: these are in the account."""
    active_bytes: int
    """Its objects in use."""
    object_bytes: int | None
    reclaimable: bool | None
    aliases: tuple[str, ...] = ()
    """Other caches merged into it: any of them may be what grows."""

    @property
    def objects(self) -> int | None:
        """Objects in use, None where their size is not known."""
        return self.active_bytes // self.object_bytes if self.object_bytes else None


@dataclass(frozen=True, slots=True)
class CallerUse:
    """All vmalloc areas of one function."""

    caller: str
    taken_bytes: int
    areas: int | None = None

    @property
    def function(self) -> str:
        """The function without its module."""
        return self.caller.partition(" [")[0]

    @property
    def module(self) -> str | None:
        """The module it lies in, None for the kernel itself."""
        return self.caller.partition(" [")[2].removesuffix("]") or None


@dataclass(frozen=True, slots=True)
class KernelView:
    """One moment."""

    at_ms: int
    account: Account
    caches: tuple[CacheUse, ...] | None
    """None where they cannot be read."""
    callers: tuple[CallerUse, ...] | None
    facts: Mapping[str, int] = field(default_factory=dict)
    """What says more about the parts and is none itself: by the names of ``FACTS``."""
    absences: tuple[str, ...] = ()
    slab_above_bytes: int | None = None
    """Single objects above this size are in slab and in no cache; None where what is in none is not explained."""
    booted_ms: int | None = None
    """When the machine was started: what was before is of other counters."""


FACTS = {
    "available_bytes": "available for programs without swapping",
    "mapped_bytes": "of the page cache and shared memory, mapped by programs",
    "locked_bytes": "locked in RAM",
    "swap_used_bytes": "in swap",
    "cma_used_bytes": "of CMA areas, in use by drivers, programs or files",
    "socket_bytes": "waiting in sockets, partly in slab caches, partly unaccounted",
    "sockets": "sockets of the first process's network",
    "dying_cgroups": "control groups removed and still held",
}
"""By name, in the order in which they are shown; what a doubt tells in words is not among them."""


def part_changes(now: KernelView, then: KernelView) -> dict[str, int | None]:
    """Return by how much each part changed, ``unaccounted`` among them; None where one of the two does not tell it.

    What one of them lacks is in its rest, so then no change of the rest is told either.
    """
    names = {**now.account.parts, **then.account.parts}
    told = {name: name in now.account.parts and name in then.account.parts for name in names}
    changes = {name: now.account.parts[name] - then.account.parts[name] if told[name] else None for name in names}
    hidden = any(view.account.parts.get(name) for view in (now, then) for name, both in told.items() if not both)
    return {**changes, "unaccounted": None if hidden else _rest(now) - _rest(then)}


def _rest(view: KernelView) -> int:
    """Return what is unaccounted, below 0 where the parts are more than there is: their change is right as well."""
    return view.account.unaccounted_bytes - view.account.excess_bytes


def sizes(uses: tuple[CacheUse, ...] | tuple[CallerUse, ...] | None) -> dict[str, int]:
    """Return what each of them takes, by its name."""
    return {(one.key if isinstance(one, CacheUse) else one.caller): one.taken_bytes for one in uses or ()}
