"""``/proc/PID/limits``: what setrlimit(2) allows a process; a table with the soft limit before the hard one."""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count

_OPEN_FILES = b"Max open files"
_ADDRESS_SPACE = b"Max address space"
_DATA = b"Max data size"


@dataclass(frozen=True, slots=True)
class PidLimits:
    """The limits that are asked for, the soft ones; None where it is unlimited."""

    open_files: int | None
    """RLIMIT_NOFILE: one more than the highest descriptor."""
    address_space: int | None = None
    """RLIMIT_AS: bytes of virtual size."""
    data: int | None = None
    """RLIMIT_DATA: bytes of private writable mappings since 4.7, of the heap that brk(2) makes before."""


def parse(data: bytes) -> PidLimits:
    """Return the record; raises MalformedError."""
    open_files = _soft(data, _OPEN_FILES)
    if open_files is None:
        raise MalformedError("limits: no line about open files")
    return PidLimits(_number(open_files), _number(_soft(data, _ADDRESS_SPACE)), _number(_soft(data, _DATA)))


def _soft(data: bytes, name: bytes) -> bytes | None:
    line = next((line for line in data.split(b"\n") if line.startswith(name)), None)
    words = line[len(name) :].split() if line is not None else []
    return words[0] if len(words) >= 2 else None


def _number(word: bytes | None) -> int | None:
    return None if word is None or word == b"unlimited" else count(word)
