"""Files about what is counted: limits, what descriptors lead to, System V IPC, mounts, and files in tmpfs."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.model.sample import Absence
from leakwatch.procfs import counted
from leakwatch.procfs.answers import Answers
from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host import mounts, shared_memory
from leakwatch.procfs.host.shared_memory import TmpFile, files_below, held
from leakwatch.procfs.pid import status as pid_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = b"""Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 1048576              files
"""
SHM = b""" key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap
 0 3 1600 1048576 715 715 0 1000 1000 1000 1000 1700000001 1700000002 1700000000 262144 4096
-559038737 4 600 4096 800 801 2 0 0 0 0 1700000001 0 1700000000 4096 0
"""
OLD_SHM = b""" key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime
 0 3 1600 1048576 715 715 0 1000 1000 1000 1000 1700000001 1700000002 1700000000
"""
MSG = b""" key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime
 7 0 600 8000 2 4711 0 1000 1000 1000 1000 1700000005 0 1700000000
"""
SEM = b""" key semid perms nsems uid gid cuid cgid otime ctime
 0 0 600 1 0 0 0 0 0 1700000000
 0 1 600 5 0 0 0 0 0 1700000000
"""
MOUNTS = b"""24 1 0:23 / /dev/shm rw,nosuid shared:5 - tmpfs tmpfs rw
30 1 8:1 /var /mnt/with\\040space rw master:1 propagate_from:2 - ext4 /dev/sda1 rw
"""


def test_the_soft_limit_on_open_files() -> None:
    assert pid_limits.parse_limits(LIMITS).open_files == 1024
    assert pid_limits.parse_limits(LIMITS.replace(b"1024     ", b"unlimited")).open_files is None
    for bad in (b"", b"Max open files", LIMITS.replace(b"1024", b"many")):
        with pytest.raises(MalformedError):
            pid_limits.parse_limits(bad)


@pytest.mark.parametrize(
    ("link", "sort"),
    [
        ("socket:[4711]", "socket"),
        ("pipe:[4711]", "pipe"),
        ("anon_inode:[eventfd]", "eventfd"),
        ("anon_inode:inotify", "inotify"),
        ("anon_inode:[eventpoll]", "epoll"),
        ("anon_inode:[timerfd]", "timerfd"),
        ("anon_inode:bpf-map", "bpf"),
        ("anon_inode:[perf_event]", "perf"),
        ("anon_inode:[pidfd]", "pidfd"),
        ("pidfd:[12]", "pidfd"),
        ("anon_inode:[what_comes_next]", "other"),
        ("/memfd:x (deleted)", "memfd"),
        ("/dev/shm/x", "shm"),
        ("/dev/null", "device"),
        ("/var/log/a", "file"),
        ("/var/log/a (deleted)", "deleted"),
        ("net:[4026531840]", "other"),
        ("", "other"),
    ],
)
def test_what_a_descriptor_leads_to(link: str, sort: str) -> None:
    assert counted.sort_of(link) == sort
    assert sort in metrics.FD_SORTS
    assert metrics.PROCESS_FDS_OF + sort in metrics.METRICS


def test_segments_hold_what_is_in_ram_and_in_swap() -> None:
    orphan, used = shared_memory.parse_shm(SHM)
    assert (orphan.id, orphan.memory_bytes, orphan.creator_pid, orphan.attached, orphan.uid) == (
        3,
        266240,
        715,
        0,
        1000,
    )
    assert (used.id, used.attached) == (4, 2)
    assert shared_memory.parse_shm(OLD_SHM)[0].memory_bytes == 1048576
    (queue,) = shared_memory.parse_msg(MSG)
    assert (queue.bytes, queue.messages, queue.sender_pid, queue.receiver_pid, queue.used_s) == (
        8000, 2, 4711, 0, 1700000005,
    )  # fmt: skip
    assert shared_memory.parse_sem(SEM) == 2


@pytest.mark.parametrize("parse", [shared_memory.parse_shm, shared_memory.parse_msg, shared_memory.parse_sem])
def test_other_columns_are_refused(parse: Callable[[bytes], object]) -> None:
    for bad in (b"", b"what else\n1 2\n"):
        with pytest.raises(MalformedError):
            parse(bad)
    with pytest.raises(MalformedError):
        shared_memory.parse_shm(SHM.replace(b" 4096\n", b"\n"))


def test_mounts_with_optional_fields_and_escaped_paths() -> None:
    shm, other = mounts.parse(MOUNTS)
    assert (shm.device, shm.root, shm.path, shm.kind) == ("0:23", "/", "/dev/shm", "tmpfs")
    assert (other.path, other.kind) == ("/mnt/with space", "ext4")
    with pytest.raises(MalformedError):
        mounts.parse(b"24 1 0:23 / /dev/shm rw")


# The live kernel


def test_open_files_by_sort_and_mappings_of_this_process() -> None:
    procfs, pid = ProcFS(), os.getpid()
    before = procfs.counted.fd_sorts(pid)
    assert not isinstance(before, Absence)
    a, b = socket.socketpair()
    event = os.eventfd(0)
    after = procfs.counted.fd_sorts(pid)
    assert not isinstance(after, Absence)
    assert after - before == {"socket": 2, "eventfd": 1}
    os.close(event)
    a.close()
    b.close()
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 200 * page, flags=mmap.MAP_PRIVATE)
    mapped = procfs.counted.mapping_count(pid)
    assert not isinstance(mapped, Absence)
    # The kernel joins neighbours that are alike: split a mapping so that no two neighbours are.
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for part in range(1, 200, 2):
        address = ctypes.c_void_p(start + part * page)
        assert ctypes.CDLL(None).mprotect(address, ctypes.c_size_t(page), mmap.PROT_READ) == 0
    now = procfs.counted.mapping_count(pid)
    assert not isinstance(now, Absence)
    assert 195 <= now - mapped <= 205


def test_threads_by_name() -> None:
    import threading

    end, named = threading.Event(), threading.Barrier(4)

    def wait(name: bytes) -> None:
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)  # PR_SET_NAME, of this thread alone
        named.wait()
        end.wait()

    threads = [threading.Thread(target=wait, args=(name,)) for name in (b"pool-1-w12", b"pool-2-w7", b"io")]
    for thread in threads:
        thread.start()
    named.wait()
    found = ProcFS().counted.thread_names(os.getpid())
    end.set()
    for thread in threads:
        thread.join()
    assert not isinstance(found, Absence)
    assert (found["pool-N-wN"], found["io"]) == (2, 1)
    assert isinstance(ProcFS().counted.thread_names(2**22 + 1), Absence)


def test_the_limits_of_this_process_and_machine() -> None:
    import resource

    procfs = ProcFS()
    limits = procfs.counted.limits(os.getpid())
    assert not isinstance(limits, Absence)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert limits.open_files == (None if soft == resource.RLIM_INFINITY else soft)
    most = procfs.counted.sysctl("vm/max_map_count")
    assert not isinstance(most, Absence)
    assert most[0] > 1000
    threads = procfs.counted.thread_total()
    assert not isinstance(threads, Absence)
    assert threads > 1
    assert isinstance(procfs.counted.sysctl("vm/no_such"), Absence)


@pytest.fixture
def shm() -> Iterator[Path]:
    """Return a directory in a tmpfs."""
    if not Path("/dev/shm").is_mount():
        pytest.skip("/dev/shm is no mount")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def test_files_in_tmpfs_and_who_holds_them(shm: Path) -> None:
    procfs = ProcFS()
    before = procfs.counted.tmpfs_used()
    assert not isinstance(before, Absence)
    (shm / "left").write_bytes(bytes(300_000))
    os.link(shm / "left", shm / "again")
    (shm / "open").write_bytes(bytes(10_000))
    (shm / "mapped").write_bytes(bytes(10_000))
    (shm / "hole").touch()
    os.truncate(shm / "hole", 1 << 30)
    after = procfs.counted.tmpfs_used()
    assert not isinstance(after, Absence)
    (device,) = [device for device, (path, _) in after.items() if path == "/dev/shm"]
    assert after[device][1] - before[device][1] >= 300_000

    # Another process holds one open, and one mapped with its descriptor closed.
    program = (
        "import mmap, os, sys; f = open(sys.argv[1]); fd = os.open(sys.argv[2], os.O_RDWR); m = mmap.mmap(fd, 4096);"
        "os.close(fd); print('ready', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(shm / "open"), str(shm / "mapped")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        found, whole = procfs.counted.tmpfs_files("/dev/shm", 100_000)
        ours = [one for one in found if one.path.startswith(str(shm))]
        holding = procfs.counted.tmpfs_held(procfs.pids(), ours)
        assert holding is not None
        child.communicate(b"")
    assert whole
    sizes = {one.path.rpartition("/")[2]: one.bytes for one in ours}
    assert set(sizes) in ({"left", "open", "mapped"}, {"again", "open", "mapped"}), "each file once, none of holes"
    assert max(sizes.values()) == pytest.approx(300_000, abs=8192)
    assert {one.path.rpartition("/")[2] for one in ours if one.inode in holding} == {"open", "mapped"}
    assert procfs.counted.tmpfs_held(procfs.pids(), ours) == set(), "nobody holds them any more"
    assert procfs.counted.tmpfs_files("/dev/shm", 1)[1] is False


def test_where_most_processes_refuse_nothing_is_said(tmp_path: Path) -> None:
    wanted = [TmpFile("/dev/shm/x", (1, 2), 4096, 0)]
    for pid in (1, 2, 3):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "maps").write_bytes(b"")
    assert held(str(tmp_path), [1, 2, 3], wanted, Answers(str(tmp_path))) == set()
    for pid in (1, 2):
        (tmp_path / str(pid) / "fd").chmod(0)
    ours = os.geteuid()
    try:
        os.seteuid(ours or 65534)  # root is refused nothing
        assert held(str(tmp_path), [1, 2, 3], wanted, Answers(str(tmp_path))) is None
    finally:
        os.seteuid(ours)


@pytest.mark.parametrize(
    ("mounts", "is_held"),
    [
        ("5 1 {device} / /dev/shm rw - tmpfs tmpfs rw\n", True),
        ("5 1 0:999999 / /mnt rw - fuse.sshfs host: rw\n", False),  # not touched, whatever its name
        ("6 1 {device} / /dev/shm rw - tmpfs tmpfs rw\n", True),  # opened in a mount that it does not see
    ],
)
def test_an_open_file_is_looked_at_only_where_it_lies_on_the_same_file_system(
    tmp_path: Path, mounts: str, is_held: bool
) -> None:
    (tmp_path / "left").write_bytes(b"x")
    known = (tmp_path / "left").stat()
    device = f"{os.major(known.st_dev)}:{os.minor(known.st_dev)}"
    process = tmp_path / "proc" / "7"
    for name in ("fd", "fdinfo"):
        (process / name).mkdir(parents=True)
    (process / "maps").write_bytes(b"")
    (process / "fd" / "3").symlink_to(tmp_path / "left")
    (process / "fdinfo" / "3").write_text("pos:\t0\nflags:\t0100000\nmnt_id:\t5\n")
    (process / "mountinfo").write_text(mounts.format(device=device))
    wanted = [TmpFile("/dev/shm/left", (known.st_dev, known.st_ino), 4096, 0)]
    root = str(tmp_path / "proc")
    assert held(root, [7], wanted, Answers(root)) == ({wanted[0].inode} if is_held else set())


def test_no_way_leads_through_the_file_system_of_a_server() -> None:
    text = b"""\
20 1 0:20 / / rw - nfs4 server:/root rw
21 20 0:21 / /dev/shm rw - tmpfs tmpfs rw
22 20 0:22 / /mnt/far rw - nfs host:/x rw
23 22 0:23 / /mnt/far/tmp rw - tmpfs tmpfs rw
24 20 0:24 / /mnt/farther rw - tmpfs tmpfs rw
25 20 0:25 / /run/user/0 rw - tmpfs tmpfs rw
26 25 0:26 / /run/user/0/gvfs rw - fuse.gvfsd-fuse gvfs rw
27 20 0:27 / /over rw - tmpfs tmpfs rw
28 27 0:28 / /over rw - fuse.x x rw
"""
    mounted = mounts.parse(text)
    found = [one.path for one in mounted if one.kind == "tmpfs" and mounts.reachable(one, mounted)]
    assert found == ["/dev/shm", "/mnt/farther", "/run/user/0"]


def test_what_is_mounted_in_a_tmpfs_is_not_touched(tmp_path: Path) -> None:
    for name in ("gvfs", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(10_000))
    found, whole = files_below(str(tmp_path), 100, {f"{tmp_path}/gvfs"})
    assert ([one.path for one in found], whole) == ([f"{tmp_path}/own/file"], True)
