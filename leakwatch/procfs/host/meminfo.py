"""``/proc/meminfo``: the kernel's account of the machine's memory.

Which lines exist depends on the kernel's version, architecture and configuration, so the record is a mapping. Some
counters have a history that the metric registry, not this parser, knows (``VmallocUsed`` reads 0 from 4.4 to 5.2).

``/proc/zoneinfo``: of some 100 lines a zone those that no other file has.

Free pages on the CPUs' own lists (``pagesets``) are neither in ``MemFree`` nor in any other line of meminfo; since 6.7
the lists of all CPUs together may hold an eighth of a zone. A node's counters stand before its first zone's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leakwatch.procfs.files import KIB, LARGEST, MalformedError, count, text


@dataclass(frozen=True, slots=True)
class Meminfo:
    """All lines by name."""

    fields: Mapping[str, int]
    """Bytes where the file says kB; plain counts for ``HugePages_Total``, ``_Free``, ``_Rsvd`` and ``_Surp``."""

    def get(self, name: str) -> int | None:
        """Return the value of e.g. ``SUnreclaim``, or None when this kernel does not print it."""
        return self.fields.get(name)


def parse(data: bytes) -> Meminfo:
    """Return the record; raises MalformedError when there is no MemTotal line.

    Lines of another form are passed over, and the first of two lines of one name counts. A counter that ran below
    zero and is printed as a number near 2**64 kB is left out (``Committed_AS`` of old kernels).
    """
    fields: dict[str, int] = {}
    for line in data.split(b"\n"):
        name, colon, rest = line.partition(b":")
        value = _value(rest.split())
        if colon and value is not None:
            fields.setdefault(text(name.strip()), value)
    if "MemTotal" not in fields:
        raise MalformedError("meminfo: no MemTotal line")
    return Meminfo(MappingProxyType(fields))


def _value(words: list[bytes]) -> int | None:
    """Return the bytes or the count of a line's words; None for anything else."""
    if not words or not words[0].isdigit() or len(words[0]) > 20 or words[1:] not in ([], [b"kB"]):
        return None
    value = int(words[0]) * (KIB if len(words) == 2 else 1)
    return value if value <= LARGEST else None


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


def parse_zoneinfo(data: bytes) -> Zoneinfo:
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
