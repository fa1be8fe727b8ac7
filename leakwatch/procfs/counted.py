"""What is counted, and what belongs to nobody, in a /proc tree: the part of ``ProcFS`` that is asked for seldom.

What the links of ``/proc/PID/fd`` say of the files they lead to (proc_pid_fd(5)): what sort each is.

``socket:[4711]``, ``pipe:[4711]``, ``anon_inode:[eventfd]`` (``anon_inode:inotify`` before 2.6.27 and for some to this
day), ``/memfd:name (deleted)``, else a path, with `` (deleted)`` behind it when that is gone.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import process
from leakwatch.procfs.answers import Answers
from leakwatch.procfs.files import MalformedError, count, exists, listed, named_links, read_file, text
from leakwatch.procfs.host import mounts, shared_memory, sysfs
from leakwatch.procfs.pid import cgroup as pid_cgroup
from leakwatch.procfs.pid import status as pid_limits

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


_NUMBER = re.compile(r"[0-9]+")


class Counted:
    """Every reading method returns what it read, or the ``Absence`` that says why there is none, as in ``ProcFS``."""

    def __init__(self, root: str, sys_root: str | None, answers: Answers) -> None:
        self._root = root
        self._answers = answers
        self._sys_root = sys_root
        self._tmpfs_root = ""
        self._mount_points: set[str] = set()

    def fd_sorts(self, pid: int) -> Counter[str] | Absence:
        """Return how many open files of each sort there are; needs the permission of ptrace. A readlink a file."""
        path = f"{self._root}/{pid}/fd"
        try:
            return sorts(target for _, target in named_links(path))
        except OSError as error:
            return process.missing(self._root, pid, path, error, AbsenceReason.UNSUPPORTED)

    def thread_names(self, pid: int) -> Counter[str] | Absence:
        """Return how many threads there are of each name, digits in it as ``N``; needs no privilege. A file a thread.

        The names are as the kernel gives them, undecodable bytes as surrogate escapes: escape them at every output.
        """
        path = f"{self._root}/{pid}/task"
        try:
            threads = listed(path)
        except OSError as error:
            return process.missing(self._root, pid, path, error, AbsenceReason.UNSUPPORTED)
        names: Counter[str] = Counter()
        for thread in threads:
            with contextlib.suppress(OSError):  # it has ended
                names[_NUMBER.sub("N", text(read_file(f"{path}/{thread}/comm").removesuffix(b"\n")))] += 1
        return names

    def mapping_count(self, pid: int) -> int | Absence:
        """Return the number of mappings; needs the permission of ptrace.

        The kernel takes the process's memory lock for a page of lines at a time, some fifty mappings, not for all.
        """
        return self._answers.ask(pid, lambda: process.read(self._root, pid, "maps", _lines))

    def limits(self, pid: int) -> pid_limits.PidLimits | Absence:
        """Return the process's own limits; another user's need the permission of ptrace."""
        return process.read(self._root, pid, "limits", pid_limits.parse_limits)

    def sysctl(self, name: str) -> tuple[int, ...] | Absence:
        """Return the numbers of a file below /proc/sys, such as ``vm/max_map_count``."""
        return process.read_host(self._root, f"sys/{name}", lambda data: tuple(count(word) for word in data.split()))

    def thread_total(self) -> int | Absence:
        """Return how many threads there are in all: behind the slash in /proc/loadavg."""
        return process.read_host(self._root, "loadavg", _threads)

    def pids_limits(self, cgroup: pid_cgroup.CgroupPaths) -> tuple[sysfs.PidsLimit, ...]:
        """Return the limits on threads of a control group and those around it; nothing where there are none."""
        return sysfs.pids_limits(self._sys_root, cgroup)

    def shm_segments(self) -> tuple[shared_memory.ShmSegment, ...] | Absence:
        """Return System V shared memory of this IPC namespace."""
        return process.read_host(self._root, "sysvipc/shm", shared_memory.parse_shm)

    def message_queues(self) -> tuple[shared_memory.Queue, ...] | Absence:
        """Return System V message queues of this IPC namespace."""
        return process.read_host(self._root, "sysvipc/msg", shared_memory.parse_msg)

    def semaphore_sets(self) -> int | Absence:
        """Return how many sets of System V semaphores this IPC namespace has."""
        return process.read_host(self._root, "sysvipc/sem", shared_memory.parse_sem)

    def tmpfs_used(self) -> dict[str, tuple[str, int]] | Absence:
        """Return by device where each tmpfs is mounted and the bytes it holds, as process 1 sees it, else as we do."""
        whose = "1" if exists(f"{self._root}/1/root/") else "self"
        found = process.read_host(self._root, f"{whose}/mountinfo", mounts.parse)
        if isinstance(found, Absence):
            return found
        self._tmpfs_root = f"{self._root}/{whose}/root"
        used: dict[str, tuple[str, int]] = {}
        self._mount_points = {f"{self._tmpfs_root}{mount.path}" for mount in found}
        for mount in found:
            if mount.kind == "tmpfs" and mount.device not in used and mounts.reachable(mount, found):
                size = shared_memory.used(f"{self._tmpfs_root}{mount.path}", mount.device)
                if size is not None:
                    used[mount.device] = mount.path, size
        return used

    def tmpfs_files(self, path: str, most: int) -> tuple[list[shared_memory.TmpFile], bool]:
        """Return the files below a path of ``tmpfs_used``, as named there; and whether these are all of them."""
        found, whole = shared_memory.files_below(f"{self._tmpfs_root}{path}", most, self._mount_points)
        return [replace(one, path=one.path.removeprefix(self._tmpfs_root)) for one in found], whole

    def tmpfs_held(
        self, pids: Iterable[int], files: Collection[shared_memory.TmpFile]
    ) -> set[shared_memory.Inode] | None:
        """Return which of the files any of the processes has open or mapped, None where most do not let us see.

        Looks at all files of all of them: dear.
        """
        return shared_memory.held(self._root, pids, files, self._answers) if files else set()


def _lines(data: bytes) -> int:
    return data.count(b"\n")


def _threads(data: bytes) -> int:
    words = data.split()
    if len(words) < 4 or b"/" not in words[3]:
        raise MalformedError("loadavg: no number of threads")
    return count(words[3].partition(b"/")[2])
