"""``/proc/stat``: of its many lines, when the machine started and how many processes it has started since.

``/proc/PID/net/sockstat`` and ``sockstat6``: how many sockets there are, and what waits in them.

    sockets: used 15
    TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 423
    UDP: inuse 0 mem 0
    FRAG: inuse 0 memory 0

``mem`` is in pages and, like ``orphan`` and ``alloc``, of the whole machine; ``used``, ``inuse`` and the fragments'
``memory`` (bytes) are of the network namespace of the process whose file it is. The pages are what the protocols
charge: a part of them lies in slab caches (``skbuff_*``, ``kmalloc-*``), a part comes straight from the page allocator.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, count


@dataclass(frozen=True, slots=True)
class HostStat:
    """The machine since boot."""

    btime_s: int
    """``btime``: boot time in seconds since the epoch. The kernel derives it from the wall clock when asked, so it
    moves when that clock is set."""
    forks: int | None
    """``processes``: forks since boot, threads included."""


def parse(data: bytes) -> HostStat:
    """Return the record; raises MalformedError."""
    lines = {line.partition(b" ")[0]: line for line in data.split(b"\n")}
    if b"btime" not in lines:
        raise MalformedError("stat: no btime line")
    return HostStat(_value(lines[b"btime"]), _value(lines[b"processes"]) if b"processes" in lines else None)


def _value(line: bytes) -> int:
    return count(line.partition(b" ")[2].strip())


@dataclass(frozen=True, slots=True)
class Sockstat:
    """The sums of one file."""

    used: int
    """Sockets of all families; 0 in sockstat6, which does not tell."""
    pages: int
    """What TCP and UDP charge for what waits."""
    fragment_bytes: int

    def memory_bytes(self, page_size: int) -> int:
        """Return the memory of what waits in sockets."""
        return self.pages * page_size + self.fragment_bytes


def parse_sockstat(data: bytes) -> Sockstat:
    """Return the record; raises MalformedError where there is no line of a protocol."""
    used = pages = fragment_bytes = found = 0
    for line in data.split(b"\n"):
        protocol, colon, rest = line.partition(b":")
        if not colon:
            continue
        found += 1
        words = rest.split()
        values = dict(zip(words[::2], words[1::2], strict=False))
        used += count(values[b"used"]) if protocol == b"sockets" and b"used" in values else 0
        pages += _signed(values[b"mem"]) if b"mem" in values else 0
        fragment_bytes += count(values[b"memory"]) if b"memory" in values else 0
    if not found:
        raise MalformedError("sockstat: no line of a protocol")
    return Sockstat(used, max(0, pages), fragment_bytes)


def _signed(word: bytes) -> int:
    """The sum over CPUs may be a little below 0 for a moment."""
    return 0 if word.startswith(b"-") and word[1:].isdigit() else count(word)
