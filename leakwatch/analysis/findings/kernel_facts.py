"""What is known of the kernel's memory beside its size, and what a finding says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.kernel.account import STACK_CALLERS
from leakwatch.model.identity import Target, TargetKind
from leakwatch.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

ALIASES_NAMED = 6
"""Of the caches merged into one, those a note names; the others are counted."""
_OF_GROUPS = ("mem_cgroup", "memcg", "cgroup")
"""How the caches begin that hold control groups themselves."""


def no_aliases(_cache: str) -> tuple[str, ...]:
    """Return that nothing is known of merged caches."""
    return ()


@dataclass(slots=True)
class KernelFacts:
    """The newest samples that say what the kernel's memory is."""

    aliases: Callable[[str], tuple[str, ...]] = no_aliases
    """The other names of a slab cache; asked of suspects only."""
    reclaimable: dict[str, bool] = field(default_factory=dict)
    object_bytes: dict[str, int] = field(default_factory=dict)
    slab_objects: dict[str, int] = field(default_factory=dict)
    """Objects of each cache that fit in one of its slabs."""
    host: dict[str, int] = field(default_factory=dict)

    def frozen(self) -> KernelFacts:
        """Return a copy that no later sample changes."""
        return KernelFacts(
            self.aliases, dict(self.reclaimable), dict(self.object_bytes), dict(self.slab_objects), dict(self.host)
        )

    def forget(self, cache: str) -> None:
        """Forget a slab cache that is gone."""
        for known in (self.reclaimable, self.object_bytes, self.slab_objects):
            known.pop(cache, None)

    def note(self, metric: str, target: Target, value: int) -> None:
        """Take one sample."""
        if metric == metrics.SLAB_RECLAIMABLE:
            self.reclaimable[target.key] = bool(value)
        elif metric == metrics.SLAB_OBJECT:
            self.object_bytes[target.key] = value
        elif metric == metrics.SLAB_OBJECTS:
            self.slab_objects[target.key] = value
        elif metric in (metrics.KERNEL_DYING_CGROUPS, metrics.KERNEL_UNCERTAINTY):
            self.host[metric] = value

    def words(self, metric: str, target: Target, *, suspect: bool, along: bool = False) -> str:
        """Return what a finding about a series adds to its name; ``along`` for a cache that goes with reclaimable ones.

        It begins with "reclaimable" for what can be watched at most.
        """
        if target.kind is TargetKind.SLAB:
            known = self.reclaimable.get(target.key)
            kind = "slab cache" if known is None else "reclaimable slab cache" if known else "unreclaimable slab cache"
            if along and not known:
                kind = "reclaimable with the caches whose objects it describes"
            names = self.aliases(target.key.partition("@")[0]) if suspect else ()
            return ", ".join(filter(None, (kind, _merged(names), self._dying(of_groups=_is_of_groups(target.key)))))
        if target.kind is TargetKind.VMALLOC:
            if target.key in STACK_CALLERS:
                return "vmalloc: kernel stacks, one a thread"
            return "vmalloc, by the function that asked for it"
        if metric == metrics.KERNEL_UNACCOUNTED and metrics.KERNEL_UNCERTAINTY in self.host:
            return f"at any one moment right within {format_bytes(self.host[metrics.KERNEL_UNCERTAINTY])}"
        return self._dying(of_groups=metric == metrics.KERNEL_PERCPU)

    def _dying(self, *, of_groups: bool) -> str:
        dying = self.host.get(metrics.KERNEL_DYING_CGROUPS, 0)
        return f"{dying} control groups are removed and still held" if of_groups and dying > 1 else ""


def _is_of_groups(cache: str) -> bool:
    return cache.startswith(_OF_GROUPS)


def _merged(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - ALIASES_NAMED} more" if len(names) > ALIASES_NAMED else ""
    return f"merged with {', '.join(names[:ALIASES_NAMED])}{more}"
