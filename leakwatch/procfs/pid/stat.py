"""``/proc/PID/stat``: one line of numbers, and a name that can hold anything.

The name (``comm``) is up to 15 bytes the process chooses itself (64 for kernel workers), in parentheses and not
escaped: it may contain spaces, parentheses, newlines and bytes that are not UTF-8. No field after it contains a
parenthesis, so the line is split at the *last* one. Fields are numbered as in proc_pid_stat(5).

``/proc/PID/statm``: seven numbers in pages, the cheapest look at a process's memory.

Of the last four (text, lib, data, dt) only text is kept: lib and dt have been 0 since 2.6, and nothing needs data.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, count, text

PF_KTHREAD = 0x00200000
"""The bit of ``flags`` that marks a kernel thread (include/linux/sched.h; the same since 2.6.27)."""
PF_EXITING = 0x00000004
"""The bit of ``flags`` of a process that is ending: its memory goes next, then it is a zombie."""

_ENDED = frozenset({"Z", "X", "x"})
_STATE, _PPID, _PGRP, _FLAGS, _MINFLT, _NUM_THREADS, _START, _VSIZE, _RSS = 0, 1, 2, 6, 7, 17, 19, 20, 21
"""Places behind the last parenthesis: the field's number in proc_pid_stat(5) minus 3."""


@dataclass(frozen=True, slots=True)
class PidStat:
    """One process, or one kernel thread, as the scheduler knows it."""

    pid: int
    """Field 1."""
    comm: str
    """Field 2: the name, undecodable bytes as surrogate escapes. Escape it at every output."""
    state: str
    """Field 3: one letter; R, S, D, T, t, Z, X, I (4.14) and, on old kernels, x, W, K, P."""
    ppid: int
    """Field 4: the parent, 0 for the first processes and for a parent outside the pid namespace."""
    pgrp: int
    """Field 5: the process group, which children are in unless they or their parent chose another."""
    flags: int
    """Field 9: the PF_* bits."""
    num_threads: int
    """Field 20 (2.6): threads that exist, a dead one that nobody collected included."""
    start_ticks: int
    """Field 22: when the process started, in clock ticks since boot. With the boot id and pid it is an identity."""
    vsize_bytes: int
    """Field 23: virtual size."""
    rss_pages: int
    """Field 24: resident pages, signed in the kernel. It lags behind by hundreds of kB; ``statm`` is no better."""

    @property
    def is_kernel_thread(self) -> bool:
        """Whether it runs in the kernel only and therefore has no memory of its own to measure."""
        return bool(self.flags & PF_KTHREAD)

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and waits to be collected; not so when only its main thread has."""
        return self.state in _ENDED and self.num_threads <= 1

    @property
    def has_lost_main_thread(self) -> bool:
        """Whether the main thread has ended while others run on.

        Such a process shows state Z and zeros in its files and yet keeps all of its memory, which the files of its
        other threads (``task/TID``) show. A true zombie counts 1 thread, or 0 once it is being collected.
        """
        return self.state in _ENDED and self.num_threads > 1

    @property
    def is_exiting(self) -> bool:
        """Whether it is ending right now: what its memory files say is then cut short."""
        return bool(self.flags & PF_EXITING)


def parse(data: bytes) -> PidStat:
    """Return the record; raises MalformedError."""
    opening, closing = data.find(b" ("), data.rfind(b") ")
    if opening < 1 or closing < opening + 2:
        raise MalformedError("stat: no name in parentheses")
    rest = data[closing + 2 :].split()
    if len(rest) <= _RSS or len(rest[_STATE]) != 1:
        raise MalformedError("stat: fewer than 24 fields")
    return PidStat(
        pid=count(data[:opening]),
        comm=text(data[opening + 2 : closing]),
        state=text(rest[_STATE]),
        ppid=count(rest[_PPID]),
        pgrp=_signed(rest[_PGRP]),  # -1 where the group is outside the pid namespace
        flags=count(rest[_FLAGS]),
        num_threads=count(rest[_NUM_THREADS]),
        start_ticks=count(rest[_START]),
        vsize_bytes=count(rest[_VSIZE]),
        rss_pages=_signed(rest[_RSS]),
    )


def minor_faults(data: bytes) -> int:
    """Return field 10 alone, page faults that needed no disk: each may have copied a page shared after a fork.

    Raises MalformedError. For a look at every tick, where the whole record would cost three times as much.
    """
    words = data[data.rfind(b") ") + 2 :].split(None, _MINFLT + 1)
    if len(words) <= _MINFLT:
        raise MalformedError("stat: fewer than 10 fields")
    return count(words[_MINFLT])


def _signed(word: bytes) -> int:
    return -count(word[1:]) if word.startswith(b"-") else count(word)


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


def parse_statm(data: bytes) -> PidStatm:
    """Return the record; raises MalformedError."""
    words = data.split()
    if len(words) != 7:
        raise MalformedError(f"statm: expected 7 numbers, found {len(words)}")
    return PidStatm(count(words[0]), count(words[1]), count(words[2]), count(words[3]))
