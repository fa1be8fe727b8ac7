"""``/proc/slabinfo``: the caches from which the kernel allocates its objects.

Versions 2.0 and 2.1 print the same six numbers before ``: tunables`` and three in ``: slabdata``; kernels built with
the SLAB allocator and statistics add ``: globalstat`` and ``: cpustat``, which are passed over. Reading it needs root
on today's kernels (mode 0400).

The caches' pages sum up to less than ``Slab`` of meminfo: SLUB takes allocations above two pages (``kmalloc`` of more
than 8 KiB, with pages of 4 KiB) straight from the page allocator and counts them in ``SUnreclaim``, but they are in no
cache. On an idle 6.18 machine that was 5 % of ``Slab``. SLAB (until 6.7) has caches for these as well, and tunables
above 0.

Which slab caches are one: SLUB merges caches of like size and flags, and slabinfo shows the first one's name only.

``/sys/kernel/slab`` has a directory a cache, called ``:0000192`` where it may be merged, and a link for each name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, count, link_target, listed, name_of


@dataclass(frozen=True, slots=True)
class SlabCache:
    """One cache."""

    key: str
    """Unique in one file and stable from one read to the next; ``name`` unless another cache has that name."""
    name: str
    """As the kernel prints it. Caches of equal size are merged under one name; /sys/kernel/slab lists the others."""
    active_objs: int
    """Objects in use; too high by what lies in per-CPU lists, all objects of such slabs counting as used."""
    num_objs: int
    """Objects there is room for."""
    object_size_bytes: int
    """One object, padding and debugging included."""
    objects_per_slab: int
    pages_per_slab: int
    """The size of one slab, in pages."""
    active_slabs: int
    """Slabs with at least one used object."""
    num_slabs: int
    """All slabs, empty ones too."""
    cpu_list_objs: int = 0
    """The tunable ``limit`` of SLAB; SLUB prints 0."""

    @property
    def active_bytes(self) -> int:
        """What the used objects take."""
        return self.active_objs * self.object_size_bytes

    def pages_bytes(self, page_size: int) -> int:
        """Return what the cache takes from the machine: its slabs, used or not."""
        return self.num_slabs * self.pages_per_slab * page_size


def parse(data: bytes) -> tuple[SlabCache, ...]:
    """Return the caches in the file's order; raises MalformedError.

    A name may occur twice: a module may create a cache under a name that exists. The kernel lists the newest cache
    first (``kmem_cache_create`` adds at the head of ``slab_caches``), so keys are given from the last line up: the
    oldest keeps the bare name, a newer one is ``name@<object size>``, a further one of that size too
    ``name@<object size>#2``. So a key does not change when another cache of its name appears, nor when a newer one
    goes. Only when the oldest goes does the next one take over the bare name.
    """
    first, _, rest = data.partition(b"\n")
    if not first.startswith(b"slabinfo - version: 2."):
        raise MalformedError("slabinfo: the first line is not that of version 2.x")
    taken: set[str] = set()
    lines = [line for line in rest.split(b"\n") if line and not line.startswith(b"#")]
    return tuple([_cache(line, taken) for line in reversed(lines)][::-1])


def is_whole_of_slub(caches: Sequence[SlabCache]) -> bool:
    """Return whether these are all caches of a machine with SLUB: what is in none of them is then known.

    ``kmem_cache``, made first and printed last, is what every other cache is made from.
    """
    names = {cache.name for cache in caches}
    plain = any(name.startswith("kmalloc-") for name in names)
    return plain and "kmem_cache" in names and not any(cache.cpu_list_objs for cache in caches)


def _cache(line: bytes, taken: set[str]) -> SlabCache:
    """Return one line's cache and add its key to those taken."""
    head, _, tail = line.partition(b" : tunables ")
    words = head.rsplit(None, 5)  # from the right: nothing forbids a blank in a name
    slabdata = tail.partition(b" : slabdata ")[2].split(None, 3)
    if len(words) != 6 or len(slabdata) < 3:
        raise MalformedError(f"slabinfo: expected a name and five numbers, tunables and slabdata: {line[:64]!r}")
    name = name_of(words[0])
    active, total, size, per_slab, pages = map(count, words[1:])
    key = _key(name, size, taken)
    taken.add(key)
    limit = tail.split(None, 1)[0]
    listed = count(limit) if limit.isdigit() else 0
    return SlabCache(key, name, active, total, size, per_slab, pages, count(slabdata[0]), count(slabdata[1]), listed)


def _key(name: str, size: int, taken: set[str]) -> str:
    if name not in taken:
        return name
    key, number = f"{name}@{size}", 1
    while key in taken:
        number += 1
        key = f"{name}@{size}#{number}"
    return key


def slab_aliases(sys_root: str | None) -> Mapping[str, tuple[str, ...]]:
    """Return by each name the others of its cache, in order; nothing where there is no sysfs or nothing is merged."""
    if sys_root is None:
        return {}
    directory = f"{sys_root}/kernel/slab"
    try:
        names = listed(directory)
    except OSError:
        return {}
    caches: dict[str, list[str]] = {}
    for name in sorted(names):
        if not name.startswith(":"):
            try:
                caches.setdefault(link_target(f"{directory}/{name}"), []).append(name)
            except OSError:
                continue  # a directory of its own: not merged
    return {name: tuple(other for other in those if other != name) for those in caches.values() for name in those}
