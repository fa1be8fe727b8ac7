"""What the links of ``/proc/PID/fd`` say of the files they lead to (proc_pid_fd(5)): what sort each is.

``socket:[4711]``, ``pipe:[4711]``, ``anon_inode:[eventfd]`` (``anon_inode:inotify`` before 2.6.27 and for some to this
day), ``/memfd:name (deleted)``, else a path, with `` (deleted)`` behind it when that is gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_ANONYMOUS = {
    "eventfd": "eventfd",
    "eventpoll": "epoll",
    "timerfd": "timerfd",
    "signalfd": "signalfd",
    "inotify": "inotify",
    "fanotify": "fanotify",
    "io_uring": "io_uring",
    "perf_event": "perf",
    "pidfd": "pidfd",
    "userfaultfd": "userfaultfd",
}
"""By the name the kernel gives such a file (anon_inode_getfile)."""
_NAME = re.compile(r"anon_inode:\[?([a-z_]+)")
_BEGINNINGS = (
    ("socket:", "socket"),
    ("pipe:", "pipe"),
    ("pidfd:", "pidfd"),  # a file system of its own since 6.9
    ("/memfd:", "memfd"),
    ("/dev/shm/", "shm"),  # noqa: S108 - nothing is written there
    ("/dmabuf:", "dmabuf"),
    ("/dev/", "device"),
)


def sort_of(link: str) -> str:
    """Return one of ``metrics.FD_SORTS``."""
    for beginning, sort in _BEGINNINGS:
        if link.startswith(beginning):
            return sort
    anonymous = _NAME.match(link)
    if anonymous:
        return "bpf" if anonymous[1].startswith("bpf") else _ANONYMOUS.get(anonymous[1], "other")
    if not link.startswith("/"):
        return "other"
    return "deleted" if link.endswith(" (deleted)") else "file"


def sorts(links: Iterable[str]) -> Counter[str]:
    """Return how many of each sort there are."""
    return Counter(map(sort_of, links))
