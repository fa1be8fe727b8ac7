"""What an account of RAM is made of, read from a /proc tree; ``accounting`` has what it means."""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch.kernel.account import Readings, contradiction, stacks_are_among
from leakwatch.model.sample import Absence
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.meminfo import Meminfo, Zoneinfo
from leakwatch.text.escape import printable

STEADY_BYTES = 1 << 20
"""Free memory that moves by less around a reading leaves it right enough."""


def counters(procfs: ProcFS, tries: int) -> tuple[Zoneinfo | Absence, Meminfo | Absence, int]:
    """Return both files of counters and by how much free memory moved around them, in bytes.

    They cannot be read at once, and a program that is being started takes a MiB in the 0.2 ms they take: so it is the
    quietest of several moments.
    """
    before, best = procfs.meminfo(), None
    for _ in range(tries):
        zoneinfo, after = procfs.zoneinfo(), procfs.meminfo()
        if isinstance(before, Absence) or isinstance(after, Absence):
            return zoneinfo, after, 0
        moved = abs((after.get("MemFree") or 0) - (before.get("MemFree") or 0))
        if best is None or moved < best[2]:
            best = zoneinfo, after, moved
        if moved < STEADY_BYTES:
            break
        before = after
    assert best is not None  # tries is 1 at least
    return best


def readings_of(
    meminfo: Meminfo,
    callers: Mapping[str, int] | None,
    zoneinfo: Zoneinfo | Absence,
    page_size: int,
    moved_bytes: int = 0,
) -> Readings:
    """Return the readings; ``callers`` are the bytes of each vmalloc caller, None where they cannot be read."""
    summed = None if callers is None else sum(callers.values())
    # Before 4.4 VmallocUsed counts address space, so where vmallocinfo can be read it is the better term; from 4.4 to
    # 5.3 it reads 0 (meminfo.c printed a constant): 0 is no value.
    vmalloc_bytes = summed if summed is not None else meminfo.get("VmallocUsed") or None
    stacks = stacks_are_among(callers, meminfo.get("KernelStack") or 0) if callers is not None else None
    if isinstance(zoneinfo, Absence):
        return Readings(meminfo.fields, vmalloc_bytes, stacks, moved_bytes=moved_bytes)
    return Readings(
        meminfo.fields,
        vmalloc_bytes,
        stacks,
        cpu_lists_bytes=zoneinfo.cpu_list_pages * page_size,
        zspages_bytes=None if zoneinfo.zspages is None else zoneinfo.zspages * page_size,
        node_lag_bytes=zoneinfo.node_threshold_pages * page_size,
        zone_lag_bytes=zoneinfo.zone_threshold_pages * page_size,
        moved_bytes=moved_bytes,
    )


def mixture(procfs: ProcFS, readings: Readings) -> str:
    """Return what shows that figures of a host and of a container are mixed in meminfo, empty where nothing does."""
    why = f"it is made by {printable(procfs.meminfo_stand_in)}" if procfs.meminfo_stand_in else ""
    shown = "; ".join(filter(None, (why, contradiction(readings))))
    mixed = "figures of the host and of a container are mixed and do not add up"
    return f"in {procfs.root}/meminfo {mixed} ({shown})" if shown else ""
