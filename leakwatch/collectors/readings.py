"""What an account of RAM is made of, read from a /proc tree; ``accounting`` has what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.accounting import Readings, stacks_are_among
from leakwatch.model import Absence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leakwatch.procfs.meminfo import Meminfo
    from leakwatch.procfs.zoneinfo import Zoneinfo


def readings_of(
    meminfo: Meminfo, callers: Mapping[str, int] | None, zoneinfo: Zoneinfo | Absence, page_size: int
) -> Readings:
    """Return the readings; ``callers`` are the bytes of each vmalloc caller, None where they cannot be read."""
    summed = None if callers is None else sum(callers.values())
    # Before 4.4 VmallocUsed counts address space, so where vmallocinfo can be read it is the better term; from 4.4 to
    # 5.3 it reads 0 (meminfo.c printed a constant): 0 is no value.
    vmalloc_bytes = summed if summed is not None else meminfo.get("VmallocUsed") or None
    stacks = stacks_are_among(callers, meminfo.get("KernelStack") or 0) if callers is not None else None
    if isinstance(zoneinfo, Absence):
        return Readings(meminfo.fields, vmalloc_bytes, stacks)
    return Readings(
        meminfo.fields,
        vmalloc_bytes,
        stacks,
        cpu_lists_bytes=zoneinfo.cpu_list_pages * page_size,
        zspages_bytes=None if zoneinfo.zspages is None else zoneinfo.zspages * page_size,
        node_lag_bytes=zoneinfo.node_threshold_pages * page_size,
        zone_lag_bytes=zoneinfo.zone_threshold_pages * page_size,
    )
