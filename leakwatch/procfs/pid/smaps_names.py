"""``/proc/PID/smaps`` summed by what is mapped: a file's path, ``[heap]``, ``[stack]``, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.pid import mappings as pid_mappings

ANONYMOUS = "<anonymous>"
"""The name of mappings without one: ``malloc``'s large blocks and arenas, stacks of threads, ``mmap`` of no file."""


@dataclass(frozen=True, slots=True)
class NameUse:
    """What the mappings of one name hold together."""

    mappings: int
    vss_bytes: int
    """Addresses taken, with or without memory behind them."""
    rss_bytes: int
    pss_bytes: int
    """Up to 1 KiB a mapping too little: the kernel rounds each down to whole kB."""
    uss_bytes: int
    """``Private_Clean + Private_Dirty + Private_Hugetlb``."""
    swap_bytes: int | None
    """None where the kernel has no such line (before 2.6.26)."""


def parse(data: bytes) -> dict[str, NameUse]:
    """Return the sums by name, in order of first appearance; raises MalformedError, also for a file cut short."""
    found, lacking = pid_mappings.parse(data)
    if not found:
        raise MalformedError("smaps: no mapping in it")
    sums: dict[str, list[int]] = {}
    for one in found:
        private = one.clean + one.dirty + one.hugetlb
        total = sums.setdefault(one.path, [0] * 6)
        for place, number in enumerate((1, one.size, one.rss, one.pss, private, one.swap)):
            total[place] += number
    told = b"Swap:" not in lacking
    return {
        name or ANONYMOUS: NameUse(count, vss, rss, pss, uss, swap if told else None)
        for name, (count, vss, rss, pss, uss, swap) in sums.items()
    }
