"""``/proc/PID/status``: ``Name: value`` lines for people; leakwatch takes the owner and the memory counters.

The kernel leaves all ``Vm*`` and ``Rss*`` lines out for a process without an address space (a kernel thread, a
zombie), so None has two meanings there; ``stat`` tells which.

``/proc/PID/limits``: what setrlimit(2) allows a process; a table with the soft limit before the hard one.

``/proc/PID/cmdline``: the arguments, each ended by a NUL, as they stand in the process's own memory now.

A process may have overwritten them (setproctitle): then it is one text with spaces, padded with NULs or blanks to
the old length. Zombies and kernel threads have none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, count, kib, text

_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"e": b"\x1b"}


@dataclass(frozen=True, slots=True)
class PidStatus:
    """Who owns a process and how its resident memory divides; None means that the line is not there."""

    name: str
    """``Name``: comm with the kernel's escapes undone, so that it equals ``PidStat.comm``."""
    uid: int
    """``Uid``, first number: the real user id."""
    vm_size_bytes: int | None
    """``VmSize``: virtual size."""
    vm_rss_bytes: int | None
    """``VmRSS``: resident memory, the sum of the three below."""
    rss_anon_bytes: int | None
    """``RssAnon`` (4.5): resident anonymous memory."""
    rss_file_bytes: int | None
    """``RssFile`` (4.5): resident pages of files."""
    rss_shmem_bytes: int | None
    """``RssShmem`` (4.5): resident shared memory: System V, tmpfs, shared anonymous mappings."""
    vm_swap_bytes: int | None
    """``VmSwap`` (2.6.34): swapped-out anonymous memory, without shared memory."""
    threads: int | None
    """``Threads``: threads in the process."""
    vm_data_bytes: int | None = None
    """``VmData``: private writable mappings but stacks, touched or not: what RLIMIT_DATA limits since 4.7."""


def parse(data: bytes) -> PidStatus:
    """Return the record; raises MalformedError."""
    # The first of two equal names wins: a name cannot forge a line (newlines are escaped), so this is only order.
    lines = dict(_pairs(data)[::-1])
    uid = lines.get(b"Uid", b"").split()
    if b"Name" not in lines or not uid:
        raise MalformedError("status: no Name or Uid line")
    threads = lines.get(b"Threads")
    return PidStatus(
        name=text(_unescape(lines[b"Name"])),
        uid=count(uid[0]),
        vm_size_bytes=_size(lines, b"VmSize"),
        vm_rss_bytes=_size(lines, b"VmRSS"),
        rss_anon_bytes=_size(lines, b"RssAnon"),
        rss_file_bytes=_size(lines, b"RssFile"),
        rss_shmem_bytes=_size(lines, b"RssShmem"),
        vm_swap_bytes=_size(lines, b"VmSwap"),
        threads=None if threads is None else count(threads.strip()),
        vm_data_bytes=_size(lines, b"VmData"),
    )


def _pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return (name, value) of each line. The tab behind the colon is dropped, blanks that belong to a name are not."""
    pairs = (line.partition(b":") for line in data.split(b"\n"))
    return [(name, value[1:]) for name, colon, value in pairs if colon]


def _size(lines: dict[bytes, bytes], name: bytes) -> int | None:
    value = lines.get(name)
    if value is None:
        return None
    number, _, unit = value.strip().partition(b" ")
    if unit != b"kB":
        raise MalformedError(f"status: {text(name)} is not in kB")
    return kib(number)


def _unescape(name: bytes) -> bytes:
    r"""Undo ``\n`` and ``\\`` (every kernel) and the further C escapes that newer ones use."""
    if b"\\" not in name:
        return name
    return _ESCAPE.sub(lambda found: _character(found[1]), name)


def _character(code: bytes) -> bytes:
    if len(code) == 3:
        return bytes([int(code, 8) & 0xFF])
    return _ESCAPES.get(code, code)


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


def parse_limits(data: bytes) -> PidLimits:
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


def parse_cmdline(data: bytes) -> tuple[str, ...]:
    """Return the arguments; any bytes are a command line, so this never raises.

    Empty arguments at the end cannot be told from padding and are dropped.
    """
    used = data.rstrip(b"\0")
    if not used:
        return ()
    if b"\0" not in used:  # one argument: perhaps an overwritten title padded with blanks
        used = used.rstrip(b" ")
    return tuple(text(argument) for argument in used.split(b"\0"))
