"""How much memory the control groups around a process leave it, by what each of them holds.

A group's limit is met by all that is in it. What it holds is what the kernel cannot give back just so: its memory
without page cache and reclaimable slab. Version 2 limits memory (``memory.max``) and swap (``memory.swap.max``) each by
itself, version 1 memory (``memory.limit_in_bytes``) and both together (``memory.memsw.limit_in_bytes``).
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.model.sample import Absence
from leakwatch.procfs.cgroup.memory import Group, GroupMemory, read_memory
from leakwatch.procfs.host.sysfs import ancestors, limit_in


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """One group around a process; what is not limited is None."""

    path: str
    limit: int | None
    held: int | None
    """What counts against the limit, None where that cannot be read."""
    swap_left: int | None = None
    both_left: int | None = None
    """Of memory and swap together, in version 1."""


def levels_of(group: Group, page_size: int) -> tuple[GroupLimit, ...]:
    """Return the group and those around it that limit anything, innermost first."""
    found = (_level(group.at(path), page_size) for path in ancestors(group.path))
    return tuple(one for one in found if one is not None)


def _level(group: Group, page_size: int) -> GroupLimit | None:
    of_version_2 = group.version == 2
    limit = _limit(group, "memory.max" if of_version_2 else "memory.limit_in_bytes", page_size)
    swap = _limit(group, "memory.swap.max", page_size) if of_version_2 else None
    both = None if of_version_2 else _limit(group, "memory.memsw.limit_in_bytes", page_size)
    swappable = of_version_2 or limit_in(f"{group.directory}/memory.swappiness", page_size) != 0
    if limit is None and swap is None and both is None and swappable:
        return None
    memory = read_memory(group)
    held = None if isinstance(memory, Absence) else memory.held_bytes
    swapped = _swapped(memory)
    swap_left = None if swap is None else max(0, swap - swapped)
    both_left = None if both is None or held is None else max(0, both - held - swapped)
    return GroupLimit(group.path, limit, held, swap_left if swappable else 0, both_left)


def _swapped(memory: GroupMemory | Absence) -> int:
    return 0 if isinstance(memory, Absence) else memory.numbers.get("swap", 0)


def _limit(group: Group, file: str, page_size: int) -> int | None:
    limit = limit_in(f"{group.directory}/{file}", page_size)
    return None if isinstance(limit, Absence) else limit
