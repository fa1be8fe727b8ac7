"""``smaps`` → a table, a line a file or kind of mapping, the largest first: what a person looks for in it. Pure."""

from __future__ import annotations

import re
from collections import defaultdict

from leakwatch.escape import printable
from leakwatch.procfs.fields import text

_HEAD = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ (?P<perms>\S+) \S+ \S+ \d+ *(?P<path>.*)$")
_FIELDS = (b"Size", b"Rss", b"Pss", b"Private_Clean", b"Private_Dirty", b"Swap")
COLUMNS = ("mapping", "count", "size_bytes", "rss_bytes", "pss_bytes", "private_bytes", "swap_bytes")


def summary(smaps: bytes) -> bytes:
    """Return tab-separated lines with a heading; sizes in bytes."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    now: list[int] | None = None
    for line in smaps.split(b"\n"):
        if head := _HEAD.match(line):
            now = sums[_name(head["path"], head["perms"])]
            now[0] += 1
        elif now is not None:
            name, _, value = line.partition(b":")
            if name in _FIELDS and value.endswith(b" kB"):
                now[_column(name)] += int(value[:-3]) * 1024
    rows = sorted(sums.items(), key=lambda item: (-item[1][4] - item[1][5], item[0]))
    lines = ["\t".join(COLUMNS), *("\t".join([name, *map(str, numbers)]) for name, numbers in rows)]
    return ("\n".join(lines) + "\n").encode()


def _column(name: bytes) -> int:
    return {b"Size": 1, b"Rss": 2, b"Pss": 3, b"Private_Clean": 4, b"Private_Dirty": 4, b"Swap": 5}[name]


def _name(path: bytes, perms: bytes) -> str:
    if path:
        return printable(text(path))
    return "[shared, nameless]" if perms.endswith(b"s") else "[nameless]"
