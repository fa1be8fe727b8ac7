"""Takes memory of one kind: ``KIND AMOUNT [ARGUMENT]``. Run by ``kernel_room``; what it takes ends with it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWIPC = 0x08000000
MADV_PAGEOUT = 21
SYS_BPF = 321
KEPT: list[object] = []


def checked(value: int) -> int:
    if value == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return value


def anonymous(amount: int) -> Callable[[], None]:
    def take() -> None:
        area = mmap.mmap(-1, amount, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, amount, 4096):
            area[at] = 1
        KEPT.append(area)

    return take


def file_of(amount: int, path: str) -> Callable[[], None]:
    """A file without a name, so that nothing is left of it: in the page cache of its disk, or in tmpfs."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.unlink(path)  # noqa: PTH108
    piece = b"f" * (1 << 20)

    def take() -> None:
        for _ in range(amount // len(piece)):
            os.write(descriptor, piece)
        os.fsync(descriptor)

    return take


def messages(amount: int) -> Callable[[], None]:
    """Messages of System V in an IPC namespace of our own: its limits are its own, and it ends with us."""
    checked(LIBC.unshare(CLONE_NEWIPC))
    Path("/proc/sys/kernel/msgmnb").write_text(str(2 * amount))
    queue = checked(LIBC.msgget(0, 0o1600))
    text = struct.pack("l", 1) + b"m" * 4048  # a header of 48 bytes makes it a page

    def take() -> None:
        for _ in range(amount // 4096):
            checked(LIBC.msgsnd(queue, text, ctypes.c_size_t(4048), 0))

    return take


def threads(amount: int) -> Callable[[], None]:
    threading.stack_size(64 * 1024)

    def take() -> None:
        for _ in range(amount):
            threading.Thread(target=threading.Event().wait, daemon=True).start()

    return take


def bpf_map(amount: int, kind: str) -> Callable[[], None]:
    """Maps of BPF: an array (2), in vmalloc space, or arrays for each CPU (6)."""
    value_size, entries, maps = 4096, amount // 4096, 1
    if kind == "6":
        value_size, entries, maps = 16384, 1, amount // (16384 * (os.cpu_count() or 1))
    attributes = struct.pack("IIIII", int(kind), 4, value_size, entries, 0).ljust(128, b"\0")

    def take() -> None:
        for _ in range(maps):
            checked(LIBC.syscall(SYS_BPF, 0, attributes, len(attributes)))  # open until we end

    return take


def swapped_in(amount: int) -> Callable[[], None]:
    """Memory that was swapped out and read again: it stays in the swap cache while it is mapped."""
    area = mmap.mmap(-1, amount, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, amount, 4096):
        area[at : at + 8] = os.urandom(8)
    KEPT.append(area)

    def take() -> None:
        area.madvise(MADV_PAGEOUT)
        for at in range(0, amount, 4096):
            area[at]

    return take


def full_sockets(amount: int) -> Callable[[], None]:
    """TCP connections whose other end does not read."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def take() -> None:
        sent = 0
        while sent < amount:
            client = socket.create_connection(listener.getsockname())
            KEPT.extend([client, listener.accept()])
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while sent < amount:
                    sent += client.send(b"s" * 65536)

    return take


KINDS: dict[str, Callable[..., Callable[[], None]]] = {
    "anonymous": anonymous,
    "file": file_of,
    "messages": messages,
    "threads": threads,
    "bpf": bpf_map,
    "swapped-in": swapped_in,
    "sockets": full_sockets,
}

if __name__ == "__main__":
    taken = KINDS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
    print("prepared", flush=True)
    sys.stdin.readline()
    taken()
    print("taken", flush=True)
    sys.stdin.read()
