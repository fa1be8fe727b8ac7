"""Files in memory: how much a tmpfs holds, which files, and whether any process has them open or mapped.

Reached through ``/proc/1/root``, which is the machine's own view where the reader has a private /tmp, as services do;
it takes the permission of ptrace. A file counts with the blocks it has, not with its length: it may have holes.
"""

# Paths are strings here, as in ``files``.
# ruff: noqa: PTH116

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from leakwatch.model import Absence
from leakwatch.procfs.files import named_links, read_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from leakwatch.procfs.answers import Answers

BLOCK = 512
"""What st_blocks counts in, whatever the file system (stat(2))."""

Inode = tuple[int, int]
"""Device and number."""


@dataclass(frozen=True, slots=True)
class TmpFile:
    """One file."""

    path: str
    inode: Inode
    bytes: int
    uid: int


def used(path: str, device: str) -> int | None:
    """Return the bytes a tmpfs mounted at ``path`` holds; None where another is mounted over it, or it is refused."""
    try:
        found = os.stat(path)
        if f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}" != device:
            return None
        size = os.statvfs(path)
    except OSError:
        return None
    return (size.f_blocks - size.f_bfree) * size.f_frsize


def files_below(path: str, most: int) -> tuple[list[TmpFile], bool]:
    """Return the files of the file system mounted at ``path``, and whether these are all: ``most`` names are looked at.

    A file with several names is found once; what goes meanwhile is left out. Raises OSError where it is refused.
    """
    found: dict[Inode, TmpFile] = {}
    waiting, looked = [path], 0
    device = os.stat(path).st_dev
    while waiting:
        directory = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                looked += 1
                if looked > most:
                    return list(found.values()), False
                with contextlib.suppress(OSError):
                    _take(entry, device, found, waiting)
    return list(found.values()), True


def _take(entry: os.DirEntry[str], device: int, found: dict[Inode, TmpFile], waiting: list[str]) -> None:
    one = entry.stat(follow_symlinks=False)
    if one.st_dev != device:
        return
    if stat.S_ISDIR(one.st_mode):
        waiting.append(entry.path)
    elif stat.S_ISREG(one.st_mode) and one.st_blocks:
        inode = one.st_dev, one.st_ino
        found[inode] = TmpFile(entry.path, inode, one.st_blocks * BLOCK, one.st_uid)


def held(root: str, pids: Iterable[int], wanted: Collection[TmpFile], answers: Answers) -> set[Inode] | None:
    """Return which of these files any of the processes has open or mapped; None where most of them do not let us see.

    Only what is called as one of the wanted is looked at closer: that works in any mount namespace, and leaves files on
    servers that do not answer alone.
    """
    names = {one.path.rpartition("/")[2] for one in wanted}
    inodes = {one.inode for one in wanted}
    found: set[Inode] = set()
    devices = {f" {os.major(device):02x}:{os.minor(device):02x} ".encode(): device for device, _ in inodes}
    asked = refused = 0
    for pid in pids:
        asked += 1
        try:
            _open_files(f"{root}/{pid}/fd", names, inodes, found)
        except PermissionError:
            refused += 1
        except OSError:
            continue  # it has ended
        with contextlib.suppress(OSError):
            data = answers.ask(pid, partial(read_file, f"{root}/{pid}/maps"))
            if isinstance(data, Absence):
                refused += 1
                continue
            for name, device in devices.items():
                if name in data:  # of most processes it is not
                    _mapped_files(data, name, device, found)
    return found & inodes if 2 * refused <= asked else None


def _mapped_files(data: bytes, name: bytes, device: int, found: set[Inode]) -> None:
    for part in data.split(name)[1:]:
        number = part.split(None, 1)[0]
        if number.isdigit():
            found.add((device, int(number)))


def _open_files(directory: str, names: Collection[str], inodes: Collection[Inode], found: set[Inode]) -> None:
    for number, target in named_links(directory):
        if target.startswith("/") and target.rpartition("/")[2].removesuffix(" (deleted)") in names:
            with contextlib.suppress(OSError):
                one = os.stat(f"{directory}/{number}")
                if (one.st_dev, one.st_ino) in inodes:
                    found.add((one.st_dev, one.st_ino))
