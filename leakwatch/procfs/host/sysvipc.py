"""``/proc/sysvipc``: the shared memory, semaphores and messages of System V, of the reader's own IPC namespace.

Each file begins with a line of column names. ``shm`` has ``rss`` and ``swap`` since 2.6.35; before it a segment counts
with its size. What has no process that uses it stays until somebody removes it (ipcrm) or the machine stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leakwatch.procfs.errors import MalformedError
from leakwatch.procfs.fields import count


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
