"""``/proc/PID/auxv``: the numbers the kernel hands a program when it starts, in the machine's own words.

Used for one thing: a recorded tree's page size, when nothing else in the tree tells it. The recording may come from
a machine of another word size or byte order, so all four layouts are tried.
"""

from __future__ import annotations

import struct

from leakwatch.procfs.errors import MalformedError

AT_NULL = 0
AT_PAGESZ = 6
PAGE_SIZES = frozenset(1 << shift for shift in range(12, 19))
"""4 KiB to 256 KiB: every page size Linux has been built with."""


def parse(data: bytes) -> int:
    """Return the page size in bytes; raises MalformedError."""
    for layout in ("<QQ", "<II", ">QQ", ">II"):
        pair = struct.Struct(layout)
        whole = data[: len(data) // pair.size * pair.size]
        entries = dict(list(pair.iter_unpack(whole))[::-1])
        if AT_NULL in entries and entries.get(AT_PAGESZ) in PAGE_SIZES:
            return int(entries[AT_PAGESZ])
    raise MalformedError("auxv: no AT_PAGESZ entry in any layout")
