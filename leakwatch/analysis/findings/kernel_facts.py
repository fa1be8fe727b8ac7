"""What is known of the kernel's memory beside its size, what a finding says of it, and what the kernel gives back.

Growth of memory that the kernel gives back when asked, and of what goes along with it, is no leak by itself.
Where memory control groups account for kernel memory (since 5.9), each slab of objects they pay for has an array with a
pointer for each object (``slabobj_ext`` of mm/slub.c), which lies in an unreclaimable ``kmalloc`` cache. So a walk over
a million files makes ``kmalloc-192`` grow straight, by 192 bytes for every 21 dentries; it goes back with them.
Measured on 6.18: 332 KiB/h beside dentries of 6.63 MiB/h (318 by this rule), 184 KiB/h in ``kmalloc-512`` beside
``buffer_head`` of 0.99 MiB/h and ``kmalloc-rcl-96`` of 0.44 MiB/h (182 by this rule).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwatch import metrics
from leakwatch.kernel.account import STACK_CALLERS
from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.verdict import SEVERITY, AssessedSeries, Assessment, Phrase, Phrases, Verdict

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

    def notes(self, metric: str, target: Target, *, suspect: bool, along: bool = False) -> Phrases:
        """Return what is said of a series beside its name; ``along`` for a cache that goes with reclaimable ones."""
        if target.kind is TargetKind.SLAB:
            known = self.reclaimable.get(target.key)
            kind = "slab_cache" if known is None else "reclaimable_slab_cache" if known else "unreclaimable_slab_cache"
            if along and not known:
                kind = "reclaimable_with_others"
            names = self.aliases(target.key.partition("@")[0]) if suspect else ()
            merged = (Phrase("merged_with", names),) if names else ()
            return (Phrase(kind), *merged, *self._dying(of_groups=target.key.startswith(_OF_GROUPS)))
        if target.kind is TargetKind.VMALLOC:
            return (Phrase("vmalloc_stacks" if target.key in STACK_CALLERS else "vmalloc_caller"),)
        if metric == metrics.KERNEL_UNACCOUNTED and metrics.KERNEL_UNCERTAINTY in self.host:
            return (Phrase("right_within", (self.host[metrics.KERNEL_UNCERTAINTY],)),)
        return self._dying(of_groups=metric == metrics.KERNEL_PERCPU)

    def _dying(self, *, of_groups: bool) -> Phrases:
        dying = self.host.get(metrics.KERNEL_DYING_CGROUPS, 0)
        return (Phrase("dying_groups", (dying,)),) if of_groups and dying > 1 else ()


SUSPECT = SEVERITY[Verdict.WATCH]
PART_OF_TOTAL = 0.5
"""A growth is explained by another when that makes up half of it."""
_POINTER = 8
_CLASSES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
"""What kmalloc rounds up to (``kmalloc_info`` of mm/slab_common.c)."""
_PLAIN = re.compile(r"kmalloc-(?:rnd-\d+-)?(\d+)(k?)")
"""Neither -cg- (itself paid for by groups), nor -rcl-, nor dma-; ``rnd`` since 6.6 where the kernel spreads them."""


def with_reclaim(
    judged: Sequence[AssessedSeries], facts: KernelFacts, unavailable: Assessment | None
) -> list[AssessedSeries]:
    """Return the series with the verdicts of what can be reclaimed made milder.

    ``unavailable`` is the assessment of MemTotal - MemAvailable: such growth matters only as far as available memory
    falls with it.
    """
    arrays = _arrays(judged, facts)
    out = []
    for one in judged:
        if one.target.kind is not TargetKind.SLAB or SEVERITY[one.assessment.verdict] < SUSPECT:
            out.append(one)
        elif facts.reclaimable.get(one.target.key):
            out.append(_milder(one, "reclaimable", unavailable))
        elif _goes_along(one, arrays):
            out.append(_milder(one, "notes_of_reclaimable", unavailable))
        else:
            out.append(one)
    return out


def _milder(judged: AssessedSeries, why: str, unavailable: Assessment | None) -> AssessedSeries:
    found = judged.assessment
    falling = unavailable is not None and SEVERITY[unavailable.verdict] >= SUSPECT
    share = (unavailable.slope_bytes_per_hour or 0.0) / (found.slope_bytes_per_hour or 1.0) if unavailable else 0.0
    if falling and share >= PART_OF_TOTAL:
        reasons = (*found.reasons, Phrase(f"{why}_available_falls"))
        return replace(judged, assessment=replace(found, verdict=Verdict.WATCH, reasons=reasons))
    return replace(judged, assessment=replace(found, verdict=Verdict.OK, reasons=(Phrase(f"{why}_available_holds"),)))


def array_of(objects: int, object_bytes: int) -> tuple[int, float]:
    """Return the size of the kmalloc cache that has the arrays of a cache, and their bytes for each byte it grows by.

    ``objects`` fit in one of its slabs.
    """
    array = next((known for known in _CLASSES if known >= objects * _POINTER), 0)
    return array, array / (objects * object_bytes)


def _goes_along(judged: AssessedSeries, arrays: Mapping[int, float]) -> bool:
    size = class_named(judged.target.key)
    slope = judged.assessment.slope_bytes_per_hour or 0.0
    return size is not None and is_explained(slope, arrays.get(size, 0.0))


def is_explained(grown: float, along: float) -> bool:
    """Return whether growth is that of the arrays which grow beside it, both in bytes or in bytes an hour."""
    return along >= PART_OF_TOTAL * grown > 0


def class_named(cache: str) -> int | None:
    """Return the size of the objects of a plain kmalloc cache, None of any other."""
    found = _PLAIN.fullmatch(cache.partition("@")[0])
    return None if found is None else int(found[1]) * (1024 if found[2] else 1)


def _arrays(judged: Sequence[AssessedSeries], facts: KernelFacts) -> dict[int, float]:
    """Return by kmalloc's size how fast the arrays of growing reclaimable caches grow, in bytes an hour."""
    grown: dict[int, float] = {}
    for one in judged:
        key, slope = one.target.key, one.assessment.slope_bytes_per_hour or 0.0
        objects, size = facts.slab_objects.get(key, 0), facts.object_bytes.get(key, 0)
        if one.target.kind is not TargetKind.SLAB or not facts.reclaimable.get(key) or not objects * size or slope <= 0:
            continue
        array, share = array_of(objects, size)
        grown[array] = grown.get(array, 0.0) + slope * share
    return grown
