"""``/proc/vmallocinfo``: every area of the kernel's vmalloc space, and the function that asked for it.

A line is ``0x<start>-0x<end> <size> <caller> <words>``, e.g.::

    0x00000000c0f72655-0x0000000076897eff   20480 kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4
    0xf7e1c000-0xf7e21000   20480 load_module+0x1a4/0x1d5c [nf_tables] pages=4 vmalloc
    0x00000000557d651b-0x00000000166ad830   20480 unpurged vm_area

Addresses are hashed (4.15) or zero (kptr_restrict) and not used. Only an area with ``pages=`` owns memory: ``ioremap``
and ``phys=`` areas show a device, a plain ``vmap`` pages that belong to somebody else, ``vm_map_ram`` and ``unpurged``
areas only occupy addresses. The size has one guard page more than the pages. Reading it needs root.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, count, name_of

NO_CALLER = "unknown"
"""The caller of an area whose line names none."""

_AREA = re.compile(rb"^0x\S*[ \t]+(\S.*)$", re.MULTILINE)
_WORDS = frozenset({b"ioremap", b"vmalloc", b"vmap", b"user", b"dma-coherent", b"sparse", b"vpages"})


@dataclass(frozen=True, slots=True)
class VmallocCaller:
    """All areas one function asked for."""

    caller: str
    """``symbol``, ``symbol [module]``, a raw ``0x`` address where the kernel has no symbols, ``vm_map_ram``,
    ``unpurged vm_area`` or ``unknown``. The offset into the function is dropped: it changes with every build."""
    areas: int
    size_bytes: int
    """Virtual size, guard pages included."""
    pages: int
    """Pages of memory the areas own; 0 is a true zero, for callers that only map."""

    def memory_bytes(self, page_size: int) -> int:
        """Return the memory the areas own."""
        return self.pages * page_size


def parse(data: bytes) -> tuple[VmallocCaller, ...]:
    """Return one record a caller, in order of first appearance; raises MalformedError.

    Lines that differ in their addresses alone are parsed once: a kernel has an area a thread, all alike.
    """
    alike = Counter(_AREA.findall(data))
    if alike.total() != sum(map(bool, data.split(b"\n"))):
        bad = next(line for line in data.split(b"\n") if line and not _AREA.match(line))
        raise MalformedError(f"vmallocinfo: expected an address range and a size: {bad[:64]!r}")
    sums: dict[str, list[int]] = {}
    for rest, areas in alike.items():
        words = rest.split()
        total = sums.setdefault(_caller(words), [0, 0, 0])
        total[0] += areas
        total[1] += areas * count(words[0])
        total[2] += areas * _pages(words)
    return tuple(VmallocCaller(caller, *total) for caller, total in sums.items())


def _caller(words: list[bytes]) -> str:
    """Return the caller without its offset: ``symbol+0x94/0x3e0 [module]`` is ``symbol [module]``.

    ``words`` are those of a line without its addresses.
    """
    if len(words) == 1 or words[1] in _WORDS or words[1].startswith((b"pages=", b"phys=")):
        return NO_CALLER
    symbol = name_of(words[1].partition(b"+0x")[0]) or NO_CALLER
    if len(words) > 2 and (words[2].startswith(b"[") or words[1] == b"unpurged"):
        return f"{symbol} {name_of(words[2])}"
    return symbol


def _pages(words: list[bytes]) -> int:
    """Return the number behind ``pages=``, which stands right behind the caller, or 0."""
    for word in words[1:4]:
        if word.startswith(b"pages="):
            return count(word[6:])
    return 0
