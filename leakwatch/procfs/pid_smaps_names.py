"""``/proc/PID/smaps`` summed by what is mapped: a file's path, ``[heap]``, ``[stack]``, or nothing.

A mapping is a line of addresses, rights, offset, device, inode and name, and below it the same lines of sizes for
every mapping of one kernel. So each size is looked for once through the whole file, which is some ten times as fast as
going through it line by line, and the n-th of its numbers belongs to the n-th name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import KIB, text

ANONYMOUS = "<anonymous>"
"""The name of mappings without one: ``malloc``'s large blocks and arenas, stacks of threads, ``mmap`` of no file."""

_HEADER = re.compile(rb"\n[0-9a-f]+-[0-9a-f]+ [^ \n]+ [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ [0-9]+ *([^\n]*)(?=\n)")
# A name cannot forge a line: the kernel writes its newlines as \012.
_SIZES = {
    name: re.compile(rb"\n" + name + rb": +([0-9]{1,12}) kB(?=\n)")
    for name in (b"Size", b"Rss", b"Pss", b"Private_Clean", b"Private_Dirty", b"Private_Hugetlb", b"Swap")
}
_ALWAYS = (b"Size", b"Rss", b"Pss", b"Private_Clean", b"Private_Dirty")


@dataclass(frozen=True, slots=True)
class NameUse:
    """What the mappings of one name hold together."""

    mappings: int
    vss_bytes: int
    """``Size``: addresses taken, with or without memory behind them."""
    rss_bytes: int
    pss_bytes: int
    """Up to 1 KiB a mapping too little: the kernel rounds each down to whole kB."""
    uss_bytes: int
    """``Private_Clean + Private_Dirty + Private_Hugetlb``."""
    swap_bytes: int | None
    """None where the kernel has no such line (before 2.6.26)."""


def parse(data: bytes) -> dict[str, NameUse]:
    """Return the sums by name, in order of first appearance; raises MalformedError, also for a file cut short."""
    data = b"\n" + data
    names = _HEADER.findall(data)
    if not names:
        raise MalformedError("smaps: no mapping in it")
    sizes = {field: pattern.findall(data) for field, pattern in _SIZES.items()}
    for field, numbers in sizes.items():
        if len(numbers) != len(names) and (numbers or field in _ALWAYS):
            raise MalformedError(f"smaps: {len(numbers)} times {text(field)} in {len(names)} mappings")
    sums: dict[bytes, list[int]] = {}
    given = [field for field in _SIZES if sizes[field]]
    for name, *numbers in zip(names, *(map(int, sizes[field]) for field in given), strict=True):
        total = sums.setdefault(name, [0] * (1 + len(given)))
        total[0] += 1
        for place, number in enumerate(numbers, 1):
            total[place] += number
    return {
        text(name) or ANONYMOUS: _name_use(total[0], dict(zip(given, total[1:], strict=True)))
        for name, total in sums.items()
    }


def _name_use(mappings: int, kib: dict[bytes, int]) -> NameUse:
    private = kib[b"Private_Clean"] + kib[b"Private_Dirty"] + kib.get(b"Private_Hugetlb", 0)
    return NameUse(
        mappings=mappings,
        vss_bytes=kib[b"Size"] * KIB,
        rss_bytes=kib[b"Rss"] * KIB,
        pss_bytes=kib[b"Pss"] * KIB,
        uss_bytes=private * KIB,
        swap_bytes=kib[b"Swap"] * KIB if b"Swap" in kib else None,
    )
