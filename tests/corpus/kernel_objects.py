"""Kernel objects that a process can make and keep: each kind with how one is made and how it is given back.

Needs root for mounts, network namespaces, memory cgroups and BPF. Every `make` returns what `drop` takes.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import mmap
import os
import select
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
SYS_ADD_KEY, SYS_KEYCTL, SYS_BPF, SYS_PIDFD_OPEN = 248, 250, 321, 434
CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS = 0x40000000, 0x08000000, 0x04000000
SERIAL = itertools.count()


def checked(value: int) -> int:
    if value == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """``make(directory)`` creates one object; ``is_fd`` kinds cost one or two descriptors of the process each."""

    make: Callable[[Path], Any]
    drop: Callable[[Any], None]
    is_fd: bool = False


def fds(make: Callable[[Path], Any]) -> Kind:
    def drop(handle: Any) -> None:
        for fd in handle if isinstance(handle, tuple) else (handle,):
            os.close(fd)

    return Kind(make, drop, is_fd=True)


def message(size: int) -> Kind:
    """A System V message nobody reads; a queue takes 16 kB of them, then comes the next queue."""
    open_queue: list[int] = [-1, 0]
    waiting: dict[int, int] = {}

    def make(_: Path) -> int:
        if open_queue[0] < 0 or open_queue[1] + size > 16000:
            open_queue[:] = [checked(LIBC.msgget(0, 0o1600)), 0]
        queue = open_queue[0]
        checked(LIBC.msgsnd(queue, struct.pack("l", 1) + b"m" * size, ctypes.c_size_t(size), 0))
        open_queue[1] += size
        waiting[queue] = waiting.get(queue, 0) + 1
        return queue

    def drop(queue: int) -> None:
        """Reads one; the last one read of a full queue removes it."""
        LIBC.msgrcv(queue, ctypes.create_string_buffer(size + 8), ctypes.c_size_t(size), 0, 0o4000)
        waiting[queue] -= 1
        if waiting[queue] == 0:
            LIBC.msgctl(queue, 0, None)
            open_queue[0] = -1 if open_queue[0] == queue else open_queue[0]

    return Kind(make, drop)


def key(size: int) -> Kind:
    """A key in the process's own keyring, which goes with the process."""

    def make(_: Path) -> int:
        name = f"leak{os.getpid()}-{next(SERIAL)}".encode()
        return checked(LIBC.syscall(SYS_ADD_KEY, b"user", name, b"k" * size, ctypes.c_size_t(size), -2))

    return Kind(make, lambda serial: LIBC.syscall(SYS_KEYCTL, 9, serial, -2))


def pending_signal(_: Path) -> None:
    """A real-time signal that stays pending: the process must have blocked it."""
    LIBC.sigqueue(os.getpid(), 40, ctypes.c_void_p(0))


def unread_datagram(size: int) -> Kind:
    def make(_: Path) -> tuple[int, int]:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        left.setblocking(False)
        for _i in range(4):
            left.send(b"d" * size)
        return left.detach(), right.detach()

    return fds(make)


def tcp_pair(listener: list[socket.socket]) -> Callable[[Path], tuple[int, int]]:
    def make(_: Path) -> tuple[int, int]:
        if not listener:
            listener.append(socket.create_server(("127.0.0.1", 0), backlog=64))
        client = socket.create_connection(listener[0].getsockname())
        server, _address = listener[0].accept()
        return client.detach(), server.detach()

    return make


def timer(_: Path) -> int:
    fd = checked(LIBC.timerfd_create(1, 0))
    LIBC.timerfd_settime(fd, 0, struct.pack("qqqq", 0, 0, 86400 * 30, 0), None)
    return fd


def epoll(_: Path) -> tuple[int, int]:
    watched, poll = os.eventfd(0), select.epoll()
    poll.register(watched)
    fd = os.dup(poll.fileno())
    poll.close()
    return fd, watched


def watch() -> Kind:
    """An inotify watch on a file of its own, which it pins; an instance is limited in number, a watch hardly."""
    instance: list[int] = []

    def make(directory: Path) -> tuple[int, int, Path]:
        if not instance:
            instance.append(checked(LIBC.inotify_init1(0)))
        path = directory / f"watched{os.getpid()}-{next(SERIAL)}"
        path.touch()
        return instance[0], checked(LIBC.inotify_add_watch(instance[0], bytes(path), 0x2)), path

    def drop(handle: tuple[int, int, Path]) -> None:
        LIBC.inotify_rm_watch(*handle[:2])
        handle[2].unlink()

    return Kind(make, drop)


def record_lock() -> Kind:
    """Locks on every other byte of a file; the newest lies last in the kernel's list, which a new file keeps short."""
    held: list[int] = []

    def make(directory: Path) -> tuple[int, int]:
        if not held or held[1] >= 4000:
            name = directory / f"locked{os.getpid()}-{next(SERIAL)}"
            held[:] = [os.open(name, os.O_RDWR | os.O_CREAT), 0]
        offset = 2 * held[1]
        fcntl.lockf(held[0], fcntl.LOCK_EX, 1, offset)
        held[1] += 1
        return held[0], offset

    return Kind(make, lambda handle: fcntl.lockf(handle[0], fcntl.LOCK_UN, 1, handle[1]))


def thread() -> Kind:
    threading.stack_size(64 * 1024)

    def make(_: Path) -> threading.Event:
        done = threading.Event()
        threading.Thread(target=done.wait, daemon=True).start()
        return done

    return Kind(make, lambda done: done.set())


def zombie(_: Path) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return pid


def file_of(size: int) -> Kind:
    def make(directory: Path) -> Path:
        path = directory / f"file{os.getpid()}-{next(SERIAL)}"
        path.write_bytes(b"f" * size)
        return path

    return Kind(make, lambda path: path.unlink())


def memfd(_: Path) -> int:
    fd = os.memfd_create("leak")
    os.write(fd, b"f" * 65536)
    return fd


def mapping(_: Path) -> int:
    """Two neighbours of unlike protection, so that the kernel cannot merge them into one area."""
    address = LIBC.mmap(None, 2 * mmap.PAGESIZE, 1, 0x22, -1, 0)
    LIBC.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 3)
    return address


def page_table(_: Path) -> tuple[int, int]:
    """Reads one page in each 2 MiB of 64: tables and the shared page of zeros, no memory of its own."""
    size = 64 << 20
    address = LIBC.mmap(None, size, 1, 0x4022, -1, 0)
    for offset in range(0, size, 2 << 20):
        ctypes.c_char.from_address(address + offset).value  # noqa: B018 the read is what counts
    return address, size


def namespace(flag: int, name: str) -> Callable[[Path], int]:
    """A namespace kept by a descriptor, made in a thread of its own so that this one stays where it is."""

    def make(_: Path) -> int:
        found: list[int] = []

        def enter() -> None:
            checked(LIBC.unshare(flag))
            found.append(os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY))

        worker = threading.Thread(target=enter)
        worker.start()
        worker.join()
        return found[0]

    return make


def mount() -> Kind:
    def make(directory: Path) -> Path:
        path = directory / f"mount{os.getpid()}-{next(SERIAL)}"
        path.mkdir()
        checked(LIBC.mount(b"leak", bytes(path), b"tmpfs", 0, b"size=64k"))
        return path

    def drop(path: Path) -> None:
        LIBC.umount2(bytes(path), 2)
        path.rmdir()

    return Kind(make, drop)


def memory_group() -> Kind:
    root = Path("/sys/fs/cgroup/memory")
    root = root if root.is_dir() else root.parent

    def make(_: Path) -> Path:
        path = root / f"recorded{os.getpid()}-{next(SERIAL)}"
        path.mkdir()
        return path

    return Kind(make, lambda path: path.rmdir())


def bpf_map(kind: int, value_size: int, entries: int) -> Kind:
    """An array (kind 2, in vmalloc space) or one for each CPU (kind 6)."""

    def make(_: Path) -> int:
        attributes = struct.pack("IIIII", kind, 4, value_size, entries, 0).ljust(128, b"\0")
        return checked(LIBC.syscall(SYS_BPF, 0, attributes, len(attributes)))

    return fds(make)


def missing_name(directory: Path) -> None:
    """A look-up that fails leaves a negative dentry: reclaimable, and nobody's leak."""
    (directory / f"never-was-{os.getpid()}-{next(SERIAL)}").exists()


def kinds() -> dict[str, Kind]:
    return {
        "message-200": message(200),
        "message-900": message(900),
        "message-4000": message(4000),
        "key-24": key(24),
        "key-400": key(400),
        "eventfd": fds(lambda _: os.eventfd(0)),
        "pipe": fds(lambda _: os.pipe()),
        "unix-socket": fds(lambda _: socket.socket(socket.AF_UNIX).detach()),
        "udp-socket": fds(lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()),
        "tcp-connection": fds(tcp_pair([])),
        "unread-datagram": unread_datagram(400),
        "timerfd": fds(timer),
        "epoll": fds(epoll),
        "inotify-watch": watch(),
        "pidfd": fds(lambda _: checked(LIBC.syscall(SYS_PIDFD_OPEN, os.getpid(), 0))),
        "signal": Kind(pending_signal, lambda _: None),
        "record-lock": record_lock(),
        "thread": thread(),
        "zombie": Kind(zombie, lambda pid: os.waitpid(pid, 0) and None),
        "tmpfs-file": file_of(65536),
        "tmpfs-empty-file": file_of(0),
        "memfd": fds(memfd),
        "mapping": Kind(mapping, lambda address: LIBC.munmap(address, 2 * mmap.PAGESIZE)),
        "page-table": Kind(page_table, lambda where: LIBC.munmap(*where)),
        "netns": fds(namespace(CLONE_NEWNET, "net")),
        "ipcns": fds(namespace(CLONE_NEWIPC, "ipc")),
        "mount": mount(),
        "memory-group": memory_group(),
        "bpf-array": bpf_map(2, 64, 16384),
        "bpf-percpu": bpf_map(6, 256, 64),
        "missing-name": Kind(missing_name, lambda _: None),
    }
