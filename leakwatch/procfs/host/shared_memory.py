"""``/proc/sysvipc``: the shared memory, semaphores and messages of System V, of the reader's own IPC namespace.

Each file begins with a line of column names. ``shm`` has ``rss`` and ``swap`` since 2.6.35; before it a segment counts
with its size. What has no process that uses it stays until somebody removes it (ipcrm) or the machine stops.

Files in memory: how much a tmpfs holds, which files, and whether any process has them open or mapped.

Reached through ``/proc/1/root``, which is the machine's own view where the reader has a private /tmp, as services do;
it takes the permission of ptrace. A file counts with the blocks it has, not with its length: it may have holes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from leakwatch.model.sample import Absence
from leakwatch.procfs.answers import Answers
from leakwatch.procfs.files import MalformedError, count, named_links, nameless, read_file, text


@dataclass(frozen=True, slots=True)
class ShmSegment:
    """One shared memory segment."""

    id: int
    size_bytes: int
    """What it may hold."""
    memory_bytes: int
    """What it holds, in RAM and in swap."""
    creator_pid: int
    attached: int
    """How many mappings of it there are."""
    uid: int
    changed_s: int
    """When it was created or its rights were changed, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One message queue."""

    id: int
    bytes: int
    messages: int
    sender_pid: int
    receiver_pid: int
    """Of the last message sent and received; 0 where there was none."""
    uid: int
    used_s: int
    """When something was last sent or received, or the queue was made."""


def parse_shm(data: bytes) -> tuple[ShmSegment, ...]:
    """Return the segments; raises MalformedError."""
    return tuple(
        ShmSegment(
            row["shmid"],
            row["size"],
            row["rss"] + row.get("swap", 0) if "rss" in row else row["size"],
            row["cpid"],
            row["nattch"],
            row["uid"],
            row["ctime"],
        )
        for row in _rows(data, "shmid", "size", "cpid", "nattch", "uid", "ctime")
    )


def parse_msg(data: bytes) -> tuple[Queue, ...]:
    """Return the queues; raises MalformedError."""
    return tuple(
        Queue(
            row["msqid"],
            row["cbytes"],
            row["qnum"],
            row["lspid"],
            row["lrpid"],
            row["uid"],
            max(row["stime"], row["rtime"], row["ctime"]),
        )
        for row in _rows(data, "msqid", "cbytes", "qnum", "lspid", "lrpid", "uid", "stime", "rtime", "ctime")
    )


def parse_sem(data: bytes) -> int:
    """Return how many sets of semaphores there are; raises MalformedError."""
    return sum(1 for _ in _rows(data, "semid"))


def _rows(data: bytes, *needed: str) -> Iterator[dict[str, int]]:
    heading, *lines = data.split(b"\n")
    names = [name.decode("ascii", "replace") for name in heading.split()]
    if not set(needed) <= set(names):
        raise MalformedError(f"sysvipc: no columns {', '.join(sorted(set(needed) - set(names)))}")
    for line in lines:
        words = line.split()
        if not words:
            continue
        if len(words) != len(names):
            raise MalformedError(f"sysvipc: expected {len(names)} columns, found {len(words)}")
        yield {name: count(word.removeprefix(b"-")) for name, word in zip(names, words, strict=True)}


# Paths are strings here, as in ``files``.
# ruff: noqa: PTH116


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
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return (size.f_blocks - size.f_bfree) * size.f_frsize


def files_below(path: str, most: int, mount_points: Collection[str] = ()) -> tuple[list[TmpFile], bool]:
    """Return the files of the file system mounted at ``path``, and whether these are all: ``most`` names are looked at.

    A file with several names is found once; what goes meanwhile is left out. What is mounted below is not even looked
    at: it is another file system, whose server may not answer. Raises OSError where it is refused.
    """
    found: dict[Inode, TmpFile] = {}
    waiting, looked = [path], 0
    try:
        device = os.stat(path).st_dev
    except ValueError:
        raise nameless() from None
    while waiting:
        directory = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                looked += 1
                if looked > most:
                    return list(found.values()), False
                if entry.path not in mount_points:
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

    Only what is called as one of the wanted is looked at closer, which works in any mount namespace; and nothing that
    lies on another file system, as its server may not answer.
    """
    names: dict[str, set[Inode]] = {}
    for one in wanted:
        names.setdefault(one.path.rpartition("/")[2], set()).add(one.inode)
    inodes = {one.inode for one in wanted}
    found: set[Inode] = set()
    devices = {f" {os.major(device):02x}:{os.minor(device):02x} ".encode(): device for device, _ in inodes}
    asked = refused = 0
    for pid in pids:
        asked += 1
        try:
            _open_files(f"{root}/{pid}", names, found)
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


def _open_files(base: str, names: Mapping[str, set[Inode]], found: set[Inode]) -> None:
    mounts: dict[str, str] | None = None
    for number, target in named_links(f"{base}/fd"):
        inodes = names.get(target.rpartition("/")[2].removesuffix(" (deleted)"))
        if not target.startswith("/") or inodes is None:
            continue
        with contextlib.suppress(OSError):
            mounts = _devices(base) if mounts is None else mounts
            device = mounts.get(_mount_of(base, number))
            if device is None:  # a mount it does not see: one of that name is taken to be the one
                found |= inodes
            elif device in {f"{os.major(one)}:{os.minor(one)}" for one, _ in inodes}:
                opened = os.stat(f"{base}/fd/{number}")
                found.add((opened.st_dev, opened.st_ino))


def _devices(base: str) -> dict[str, str]:
    """Return the device of each mount a process sees, by its number."""
    lines = (line.split(None, 3) for line in read_file(f"{base}/mountinfo").split(b"\n") if line)
    return {text(words[0]): text(words[2]) for words in lines if len(words) > 2}


def _mount_of(base: str, number: str) -> str:
    """Return the number of the mount an open file lies in (``fdinfo``, since 3.15), empty where that is not told."""
    for line in read_file(f"{base}/fdinfo/{number}").split(b"\n"):
        if line.startswith(b"mnt_id:"):
            return text(line.split()[1])
    return ""
