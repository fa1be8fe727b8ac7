"""``smaps`` → a table, a line a file or kind of mapping, the largest first: what a person looks for in it. Pure."""

from __future__ import annotations

from leakwatch.collectors.processes.mapping_classes import summed
from leakwatch.procfs.pid import mappings
from leakwatch.procfs.pid.mappings import Mapping
from leakwatch.text.escape import printable

COLUMNS = ("mapping", "count", "size_bytes", "rss_bytes", "pss_bytes", "private_bytes", "swap_bytes")


def summary(smaps: bytes) -> bytes:
    """Return tab-separated lines with a heading; sizes in bytes. Raises MalformedError."""
    found = mappings.parse(smaps).mappings
    rows = [
        (one.key, one.mappings, one.size_bytes, one.rss_bytes, one.pss_bytes, one.uss_bytes, one.swap_bytes)
        for one in sorted(summed(found, map(_name, found)).values(), key=lambda one: (-one.held_bytes, one.key))
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in (COLUMNS, *rows)).encode()


def _name(one: Mapping) -> str:
    if one.path:
        return printable(one.path)
    return "[shared, nameless]" if one.permissions.endswith("s") else "[nameless]"
