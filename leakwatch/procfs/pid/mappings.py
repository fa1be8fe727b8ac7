"""``/proc/PID/smaps`` mapping by mapping, and the files of ``/proc/PID/maps``; ``smaps`` has the sums.

A mapping's lines begin with ``START-END PERMS OFFSET DEVICE INODE PATH``; what follows are sizes in kB, more of them
with every kernel, and ``VmFlags`` (3.8). The text has 700 bytes a mapping, so it is read and parsed in pieces and never
lies in memory as a whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import process
from leakwatch.procfs.files import KIB, MalformedError, text
from leakwatch.procfs.host import mounts
from leakwatch.procfs.pid import smaps
from leakwatch.procfs.pid.smaps import MemoryUse

_HEADER = re.compile(
    rb"\n([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-rwxsp]{4}) [0-9a-f]+ ([0-9a-f]{1,8}:[0-9a-f]{1,8}) (\d{1,20}) *([^\n]*)"
)
_NEEDED = (b"Rss:", b"Pss:", b"Private_Clean:", b"Private_Dirty:")
_OPTIONAL = (b"Private_Hugetlb:", b"Swap:", b"SwapPss:", b"Anonymous:")
"""Of later kernels: where a file lacks one, the mappings have 0 and the sums None."""
_SIZES = {name: re.compile(rb"\n" + name + rb" +([0-9]{1,12}) kB\n") for name in (*_NEEDED, *_OPTIONAL)}
_FLAGS = re.compile(rb"\nVmFlags:([a-z0-9 ]*)")
_BEGIN = re.compile(rb"\n[0-9a-f]+-[0-9a-f]+ ")
_LONGEST = 1 << 14
"""Bytes one mapping takes at most: a path has 4096, each of which may be escaped by four."""
_LARGEST = 1 << 57
"""Bytes of the largest address space there is, x86's with five levels of page tables (Documentation/arch/x86)."""
_ESCAPED_NEWLINE = b"\\012"


class Mapping(NamedTuple):
    """One mapping; sizes in bytes."""

    start: int
    end: int
    permissions: str
    """``rw-p``: readable, writable, executable, private or shared."""
    device: str
    """Of the file's file system, ``fe:00``; ``00:00`` without a file."""
    inode: int
    """0 without a file."""
    path: str
    """A file's, with `` (deleted)`` behind it when it is gone; a name in brackets; or empty."""
    flags: str
    """Two letters each, see proc(5); empty before Linux 3.8."""
    rss: int
    pss: int
    clean: int
    dirty: int
    hugetlb: int
    """``Private_Hugetlb``: in no Rss."""
    swap: int
    swap_pss: int
    anonymous: int

    @property
    def size(self) -> int:
        """Bytes of address space."""
        return self.end - self.start


class MappingPart(NamedTuple):
    """Some mappings in a row."""

    mappings: list[Mapping]
    lacking: frozenset[bytes]
    """Optional fields that this file does not have."""


def parse(data: bytes) -> MappingPart:
    """Return the mappings of a text that holds all lines of each; raises MalformedError."""
    data = b"\n" + data
    headers = _HEADER.findall(data)
    columns, lacking = [], set[bytes]()
    for name, pattern in _SIZES.items():
        numbers = pattern.findall(data)
        if not numbers and name in _OPTIONAL:
            lacking.add(name)
            numbers = [b"0"] * len(headers)
        if len(numbers) != len(headers):
            raise MalformedError(f"smaps: {len(numbers)} times {text(name)} in {len(headers)} mappings")
        columns.append([int(number) * KIB for number in numbers])
    flags = _FLAGS.findall(data)
    if len(flags) != len(headers):
        flags = [b""] * len(headers)
    known = {raw: _decoded(raw) for raw in {*flags, *(word for words in headers for word in words[2:4] + words[5:])}}
    found = [
        Mapping(
            int(start, 16), int(end, 16), known[permissions], known[device], int(inode), known[path],
            known[flag], rss, pss, clean, dirty, hugetlb, swap, swap_pss, anonymous,
        )
        for (start, end, permissions, device, inode, path), flag, rss, pss, clean, dirty, hugetlb, swap, swap_pss,
        anonymous in zip(headers, flags, *columns, strict=True)
    ]  # fmt: skip
    if not all(0 < one.end - one.start <= _LARGEST for one in found):
        raise MalformedError("smaps: a mapping that ends before it begins, or is larger than any address space")
    return MappingPart(found, frozenset(lacking))


def _decoded(raw: bytes) -> str:
    return raw.replace(_ESCAPED_NEWLINE, b"\n").decode("utf-8", "surrogateescape")


def cut(data: bytes) -> tuple[bytes, bytes]:
    """Cut a text that may end anywhere before its last mapping: what can be parsed, and what is to come before more."""
    tail = max(0, len(data) - _LONGEST)
    last = max((found.start() for found in _BEGIN.finditer(data, tail)), default=-1)
    return data[: last + 1], data[last + 1 :]


def total(mappings: Iterable[Mapping], lacking: frozenset[bytes]) -> MemoryUse:
    """Return the sums, as ``pid_smaps`` does, with an estimate of ``Pss_Anon``, which smaps does not have.

    Pages shared after a fork are told by what Rss exceeds Pss in private mappings without a file; those few that were
    copied from files and are shared are not seen.
    """
    rss = pss = clean = dirty = hugetlb = swap = swap_pss = anonymous = lost = count = 0
    for one in mappings:
        count += 1
        rss += one.rss
        pss += one.pss
        clean += one.clean
        dirty += one.dirty
        hugetlb += one.hugetlb
        swap += one.swap
        swap_pss += one.swap_pss
        anonymous += one.anonymous
        if not one.inode and one.permissions[3] == "p" and one.anonymous == one.rss:
            lost += one.rss - one.pss
    told = b"Anonymous:" not in lacking
    return MemoryUse(
        rss,
        pss,
        clean + dirty + hugetlb,
        None if b"Swap:" in lacking else swap,
        None if b"SwapPss:" in lacking else swap_pss,
        anonymous if told else None,
        anonymous - lost if told else None,
        count,
    )


ANONYMOUS = "<anonymous>"
"""The name of mappings without one: ``malloc``'s large blocks and arenas, stacks of threads, ``mmap`` of no file."""


@dataclass(frozen=True, slots=True)
class NameUse:
    """What the mappings of one name hold together."""

    mappings: int
    vss_bytes: int
    """Addresses taken, with or without memory behind them."""
    rss_bytes: int
    pss_bytes: int
    """Up to 1 KiB a mapping too little: the kernel rounds each down to whole kB."""
    uss_bytes: int
    """``Private_Clean + Private_Dirty + Private_Hugetlb``."""
    swap_bytes: int | None
    """None where the kernel has no such line (before 2.6.26)."""


def parse_names(data: bytes) -> dict[str, NameUse]:
    """Return the sums by name, in order of first appearance; raises MalformedError, also for a file cut short."""
    found, lacking = parse(data)
    if not found:
        raise MalformedError("smaps: no mapping in it")
    sums: dict[str, list[int]] = {}
    for one in found:
        private = one.clean + one.dirty + one.hugetlb
        total = sums.setdefault(one.path, [0] * 6)
        for place, number in enumerate((1, one.size, one.rss, one.pss, private, one.swap)):
            total[place] += number
    told = b"Swap:" not in lacking
    return {
        name or ANONYMOUS: NameUse(count, vss, rss, pss, uss, swap if told else None)
        for name, (count, vss, rss, pss, uss, swap) in sums.items()
    }


_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mapped_files(data: bytes) -> tuple[str, ...]:
    r"""Return the paths, each once, in the order of addresses; ``[heap]`` and the like are none, nor is a memfd.

    Behind the path of a file that was removed stands `` (deleted)``; newlines in a path are spelled ``\012``.
    Never raises: a line that is cut short has no path.
    """
    found: dict[bytes, None] = {}
    for line in data.split(b"\n"):
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith(b"/") and not words[5].startswith((b"/memfd:", b"/dev/zero")):
            found[words[5]] = None
    return tuple(text(_ESCAPED.sub(lambda octal: bytes([int(octal[1], 8) & 0xFF]), path)) for path in found)


READ, PIECE = 1 << 14, 1 << 17


class Mapped(NamedTuple):
    """What ``smaps`` says, one mapping after another and in sum."""

    mappings: list[Mapping]
    use: MemoryUse


class MemoryDevices:
    """Which devices are file systems in memory, as far as it had to be asked."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[str, bool] = {}

    def among(self, pid: int, mappings: list[Mapping]) -> frozenset[str]:
        """Return the devices among those of a process's mappings that are memory.

        File systems without a disk have the major number 0. A number is given out again after an unmount: then a
        file may be called wrong, in memory or not, which costs a word in its title.
        """
        devices = {one.device for one in mappings if one.inode and one.device.startswith("00:")}
        if devices - self._known.keys():
            found = process.read(self._root, pid, "mountinfo", mounts.parse)
            mounted = () if isinstance(found, Absence) else found
            self._known |= {mount.mapped_device: mount.is_memory for mount in mounted}
            for device in devices:
                self._known.setdefault(device, False)  # the kernel's own: memfd, System V
        return frozenset(device for device in devices if self._known[device])


def read_mappings(root: str, pid: int, at_most: int | None) -> Mapped | Absence:
    """Return the mappings of a living process; SKIPPED where there are more than ``at_most``.

    Why there are none is what ``process.read_smaps`` says. One whose main thread has ended is UNSUPPORTED here.
    """
    path = f"{root}/{pid}/smaps"
    try:
        pieces = _pieces(path, at_most)
    except MalformedError as error:
        return Absence(AbsenceReason.MALFORMED, f"{path}: {error}")
    except OSError:
        pieces = []
    if pieces is None:
        return Absence(AbsenceReason.SKIPPED, f"{path}: more than {at_most} mappings")
    if not pieces:
        explained = process.read_smaps(root, pid, smaps.parse_smaps)
        if isinstance(explained, Absence):
            return explained
        return Absence(AbsenceReason.UNSUPPORTED, f"{path}: empty, as its main thread has ended")
    ended = process.ended_meanwhile(root, pid, path)
    if ended is not None:
        return ended
    found = list(chain.from_iterable(piece.mappings for piece in pieces))
    # Within one file all mappings have the same fields.
    return Mapped(found, total(found, pieces[0].lacking))


def _pieces(path: str, at_most: int | None) -> list[MappingPart] | None:
    """Return the file's mappings, None where there are too many; raises OSError and MalformedError."""
    pieces: list[MappingPart] = []
    count, rest = 0, b""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := os.read(descriptor, READ):
            rest += data
            if len(rest) >= PIECE:
                whole, rest = cut(rest)
                pieces += [parse(whole)] if whole else []
                count += len(pieces[-1].mappings) if whole else 0
                if at_most is not None and count > at_most:
                    return None
    finally:
        os.close(descriptor)
    return [*pieces, parse(rest)] if rest else pieces
