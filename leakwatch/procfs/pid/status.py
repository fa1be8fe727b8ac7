"""``/proc/PID/status``: ``Name: value`` lines for people; leakwatch takes the owner and the memory counters.

The kernel leaves all ``Vm*`` and ``Rss*`` lines out for a process without an address space (a kernel thread, a
zombie), so None has two meanings there; ``stat`` tells which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count, kib, text

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
