"""``/proc/stat``: of its many lines, when the machine started and how many processes it has started since."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count


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
