"""Makes kernel objects of one kind as they are asked for, and keeps them: ``KIND DIRECTORY``, then a number a line."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from pathlib import Path

from tests.corpus.kernel_objects import CLONE_NEWIPC, LIBC, Kind, checked, fds, kinds

UNREAD = 1 << 20
"""What a connection is sent at most."""


def full_pipe(_: Path) -> tuple[int, int]:
    """A pipe as full as it gets: its pages are in no counter."""
    ends = os.pipe2(os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(ends[1], b"p" * 65536)
    return ends


def full_connection(listener: list[socket.socket]) -> Kind:
    """A TCP connection whose other end does not read."""

    def make(_: Path) -> tuple[int, int]:
        if not listener:
            listener.append(socket.create_server(("127.0.0.1", 0), backlog=64))
        client = socket.create_connection(listener[0].getsockname())
        server, _address = listener[0].accept()
        client.setblocking(False)
        left = UNREAD
        with contextlib.suppress(BlockingIOError):
            while left > 0:
                left -= client.send(b"s" * min(left, 65536))
        return client.detach(), server.detach()

    return fds(make)


if __name__ == "__main__":
    checked(LIBC.unshare(CLONE_NEWIPC))  # messages would outlive us
    known = kinds() | {"full-pipe": fds(full_pipe), "full-connection": full_connection([])}
    kind, directory = known[sys.argv[1]], Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kept = []
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(abs(int(line))):
            if int(line) > 0:
                kept.append(kind.make(directory))
            elif kept:
                kind.drop(kept.pop())
        print("done", flush=True)
