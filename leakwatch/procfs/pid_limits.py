"""``/proc/PID/limits``: what setrlimit(2) allows a process; a table with the soft limit before the hard one."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count

_OPEN_FILES = b"Max open files"


@dataclass(frozen=True, slots=True)
class PidLimits:
    """The limits that are asked for."""

    open_files: int | None
    """RLIMIT_NOFILE, the soft limit: one more than the highest descriptor; None where it is unlimited."""


def parse(data: bytes) -> PidLimits:
    """Return the record; raises MalformedError."""
    line = next((line for line in data.split(b"\n") if line.startswith(_OPEN_FILES)), None)
    words = line[len(_OPEN_FILES) :].split() if line is not None else []
    if len(words) < 2:
        raise MalformedError("limits: no line about open files")
    return PidLimits(None if words[0] == b"unlimited" else count(words[0]))
