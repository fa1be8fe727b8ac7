"""``/proc/meminfo``: the kernel's account of the machine's memory.

Which lines exist depends on the kernel's version, architecture and configuration, so the record is a mapping. Some
counters have a history that the metric registry, not this parser, knows (``VmallocUsed`` reads 0 from 4.4 to 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import KIB, LARGEST, text


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
