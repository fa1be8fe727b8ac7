"""``/proc/PID/statm``: seven numbers in pages, the cheapest look at a process's memory.

Of the last four (text, lib, data, dt) only text is kept: lib and dt have been 0 since 2.6, and nothing needs data.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count


@dataclass(frozen=True, slots=True)
class PidStatm:
    """Memory in pages of the machine's page size."""

    size_pages: int
    """Virtual size; exactly ``VmSize`` of status. 0 means that there is no address space."""
    resident_pages: int
    """Resident pages; from 6.2 on the counters are per CPU and may lag."""
    shared_pages: int
    """Resident pages of files and shared memory: ``RssFile + RssShmem`` of status (4.5)."""
    text_pages: int
    """Size of the program's code: another one after an exec of another program, else constant."""

    @property
    def anonymous_pages(self) -> int:
        """Resident private memory that no file backs; never below 0 though the two counters are not read at once."""
        return max(0, self.resident_pages - self.shared_pages)


def parse(data: bytes) -> PidStatm:
    """Return the record; raises MalformedError."""
    words = data.split()
    if len(words) != 7:
        raise MalformedError(f"statm: expected 7 numbers, found {len(words)}")
    return PidStatm(count(words[0]), count(words[1]), count(words[2]), count(words[3]))
