"""All mappings of one process, read in pieces, so that their text never lies in memory as a whole."""

from __future__ import annotations

import os
from itertools import chain
from typing import NamedTuple

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import process
from leakwatch.procfs.fields import MalformedError
from leakwatch.procfs.host import mounts
from leakwatch.procfs.pid import mappings as pid_mappings
from leakwatch.procfs.pid import smaps
from leakwatch.procfs.pid.mappings import Mapping, MappingPart
from leakwatch.procfs.pid.smaps import MemoryUse

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
    return Mapped(found, pid_mappings.total(found, pieces[0].lacking))


def _pieces(path: str, at_most: int | None) -> list[MappingPart] | None:
    """Return the file's mappings, None where there are too many; raises OSError and MalformedError."""
    pieces: list[MappingPart] = []
    count, rest = 0, b""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := os.read(descriptor, READ):
            rest += data
            if len(rest) >= PIECE:
                whole, rest = pid_mappings.cut(rest)
                pieces += [pid_mappings.parse(whole)] if whole else []
                count += len(pieces[-1].mappings) if whole else 0
                if at_most is not None and count > at_most:
                    return None
    finally:
        os.close(descriptor)
    return [*pieces, pid_mappings.parse(rest)] if rest else pieces
