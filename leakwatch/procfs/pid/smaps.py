"""``/proc/PID/smaps_rollup`` (4.14) and ``/proc/PID/smaps`` (2.6.14): the exact, expensive memory of a process.

Both walk the page tables of the process and hold its mmap lock meanwhile. ``smaps`` lists every mapping;
``smaps_rollup`` gives only the sum. Both need the same permission as ptrace.

Sums of ``smaps`` can be below the rollup's by up to 1 kB a mapping in ``Pss`` and ``SwapPss``: the kernel rounds
each mapping down to whole kB, and the rollup only once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leakwatch.procfs.files import KIB, MalformedError, kib, text

_NAMES = (
    b"Rss:", b"Pss:", b"Private_Clean:", b"Private_Dirty:",
    b"Private_Hugetlb:", b"Swap:", b"SwapPss:", b"Anonymous:", b"Pss_Anon:",
)  # fmt: skip
_MAPPING = re.compile(rb"\n[0-9a-f]+-[0-9a-f]+ ")
# A path cannot forge such a line: it stands behind the addresses, and the kernel writes its newlines as \012.
_SIZES = re.compile(rb"\n(Size:|" + b"|".join(_NAMES) + rb") +([0-9]{1,12}) kB(?=\n)")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a process holds in memory and swap; None means that this kernel's file has no such field."""

    rss_bytes: int
    """``Rss``: resident, shared pages counted in full. Huge pages of hugetlbfs are in no Rss."""
    pss_bytes: int
    """``Pss`` (2.6.25): resident, each page divided by the number of processes that map it."""
    uss_bytes: int
    """``Private_Clean + Private_Dirty + Private_Hugetlb``: what would come free if the process ended."""
    swap_bytes: int | None
    """``Swap``: in swap, pages shared after a fork counted in full; with shared memory (tmpfs) from 4.5 on."""
    swap_pss_bytes: int | None
    """``SwapPss`` (4.3): in swap, each page divided by the number of its users."""
    anonymous_bytes: int | None
    """``Anonymous``: resident anonymous memory, pages shared with a relative after fork counted in full."""
    pss_anon_bytes: int | None
    """``Pss_Anon`` (5.3, rollup only): the same divided; less than ``anonymous_bytes`` where pages are shared."""
    mappings: int | None
    """How many mappings were summed; None from the rollup, which does not say."""


def parse_rollup(data: bytes) -> MemoryUse:
    """Return the record of ``smaps_rollup``; raises MalformedError.

    The hot path: 23 lines of three words each are one split and one dict.
    """
    header, _, body = data.partition(b"\n")
    if not header.endswith(b"[rollup]"):
        raise MalformedError("smaps_rollup: the first line does not end in [rollup]")
    words = body.split()
    if words[2::3].count(b"kB") * 3 != len(words):
        raise MalformedError("smaps_rollup: expected lines of a name, a number and kB")
    sizes = dict(zip(words[0::3], words[1::3], strict=True))
    return _memory_use({name: kib(sizes[name]) for name in _NAMES if name in sizes}, None)


def parse_smaps(data: bytes) -> MemoryUse:
    """Return the sums over all mappings of ``smaps``; raises MalformedError, also for a file cut short."""
    return parse_sums(data)[0]


def parse_sums(data: bytes) -> tuple[MemoryUse, int | None]:
    """Return the same and the address space it takes: ``VmSize``, and the page shown as ``[vsyscall]``.

    Every mapping has the same lines: those of one name are every so many-th. Raises MalformedError.
    """
    data = b"\n" + data  # patterns that begin with a newline are five times as fast as ^ with MULTILINE
    mappings = len(_MAPPING.findall(data))
    found = _SIZES.findall(data)
    names, numbers = [name for name, _ in found], [number for _, number in found]
    lines = len(found) // mappings if mappings else 0
    of_each = names[:lines]
    if len(set(of_each)) != lines or names != of_each * mappings:
        raise MalformedError(f"smaps: {len(names)} sizes in {mappings} mappings, not the same of each")
    sizes = {name: sum(map(int, numbers[at::lines])) * KIB for at, name in enumerate(of_each)}
    return _memory_use(sizes, mappings), sizes.get(b"Size:")


def _memory_use(sizes: dict[bytes, int], mappings: int | None) -> MemoryUse:
    try:
        rss, pss = sizes[b"Rss:"], sizes[b"Pss:"]
        private = sizes[b"Private_Clean:"] + sizes[b"Private_Dirty:"]
    except KeyError as missing:
        raise MalformedError(f"smaps: no {text(missing.args[0])} line") from None
    return MemoryUse(
        rss,
        pss,
        private + sizes.get(b"Private_Hugetlb:", 0),
        sizes.get(b"Swap:"),
        sizes.get(b"SwapPss:"),
        sizes.get(b"Anonymous:"),
        sizes.get(b"Pss_Anon:"),
        mappings,
    )
