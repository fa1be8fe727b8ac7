"""``/proc/zoneinfo``: of some 100 lines a zone those that no other file has.

Free pages on the CPUs' own lists (``pagesets``) are neither in ``MemFree`` nor in any other line of meminfo; since 6.7
the lists of all CPUs together may hold an eighth of a zone. A node's counters stand before its first zone's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count


@dataclass(frozen=True, slots=True)
class Zoneinfo:
    """Sums over all zones and CPUs, in pages."""

    cpu_list_pages: int
    """Free pages on lists of CPUs."""
    zspages: int | None
    """Pages of zsmalloc, which zram and zswap store in; None where the kernel has none of it (before 4.8)."""
    node_threshold_pages: int
    """What all CPUs together may hold back of one counter of a node, summed over nodes."""
    zone_threshold_pages: int
    """The same of one counter of a zone, summed over zones."""


def parse(data: bytes) -> Zoneinfo:
    """Return the sums; raises MalformedError when there is no zone."""
    lists, zspages, zone_sum = 0, -1, 0
    thresholds: dict[tuple[bytes, bytes], int] = {}
    node = cpu = b""
    zones = 0
    for line in data.split(b"\n"):
        name, _, value = line.strip().partition(b" ")
        if name == b"Node":
            node, zones = value.partition(b",")[0], zones + 1
        elif name == b"cpu:":
            cpu = value.strip()
        elif name == b"count:":
            lists += count(value.strip())
        elif name == b"nr_zspages":
            zspages = max(zspages, 0) + count(value.strip())
        elif name == b"vm" and value.startswith(b"stats threshold:"):
            threshold = count(value[16:].strip())
            zone_sum += threshold
            thresholds[node, cpu] = max(threshold, thresholds.get((node, cpu), 0))
    if not zones:
        raise MalformedError("zoneinfo: no line of a zone")
    return Zoneinfo(lists, None if zspages < 0 else zspages, sum(thresholds.values()), zone_sum)
