"""Which slab caches are one: SLUB merges caches of like size and flags, and slabinfo shows the first one's name only.

``/sys/kernel/slab`` has a directory a cache, called ``:0000192`` where it may be merged, and a link for each name.
"""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch.procfs.files import link_target, listed


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
