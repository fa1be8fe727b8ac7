"""Processes that leak, or only use, what is counted: ``python count_workloads.py KIND DIRECTORY``.

Each prints ``ready`` and ends with its standard input. What is leaked comes at 5 a second, some 18,000 an hour.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PER_S = 5.0
STEP_S = 0.1
SEGMENT_BYTES = 256 * 1024
PR_SET_NAME = 15
POOL = 60
POOL_FILLS_S = 8.0
CLIENTS, WAVE_S = 80, 9.0

kept: list[object] = []


def _sockets(directory: Path) -> None:
    kept.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))


def _pipes(directory: Path) -> None:
    if len(kept) % 2 == 0:  # two descriptors each, at the same rate
        kept.append(os.pipe())
    else:
        kept.append(None)


def _eventfds(directory: Path) -> None:
    kept.append(os.eventfd(0))


def _files(directory: Path) -> None:
    kept.append((directory / "log.txt").open("a"))


def _threads(directory: Path) -> None:
    threading.Thread(target=_wait_as, args=(b"poller-%d" % threading.active_count(),), daemon=True).start()


def _wait_as(name: bytes) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
    threading.Event().wait()


def _zombies(directory: Path) -> None:
    child = subprocess.Popen(["/bin/true"])
    child.returncode = 0  # so that nobody waits for it, not even Python
    kept.append(child)


def _mappings(directory: Path) -> None:
    for _ in range(4):
        # Every second one may not be written: neighbours of one sort would be one mapping.
        access = mmap.PROT_READ | (mmap.PROT_WRITE if len(kept) % 2 else 0)
        kept.append(mmap.mmap(-1, mmap.PAGESIZE, prot=access, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _segments(directory: Path) -> None:
    """Have a child make a segment, write to it and end."""
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        number = libc.shmget(0, SEGMENT_BYTES, 0o1600)  # IPC_CREAT | 0600, key IPC_PRIVATE
        address = libc.shmat(number, None, 0)
        ctypes.memset(address, 1, SEGMENT_BYTES)
        os._exit(0)
    os.waitpid(pid, 0)


def _shm_files(directory: Path) -> None:
    """Leave a file behind; ``directory`` lies in a tmpfs."""
    kept.append(None)
    (directory / f"left-{len(kept)}").write_bytes(bytes(SEGMENT_BYTES))


LEAKS: dict[str, Callable[[Path], None]] = {
    "leaks-socket": _sockets,
    "leaks-pipe": _pipes,
    "leaks-eventfd": _eventfds,
    "leaks-file": _files,
    "leaks-thread": _threads,
    "leaks-zombie": _zombies,
    "leaks-mapping": _mappings,
    "leaks-segment": _segments,
    "leaks-shm-file": _shm_files,
}


def _follow_load(seconds: float) -> None:
    """Hold as many sockets as there are clients, who come in waves."""
    wanted = round(CLIENTS * (1 - math.cos(2 * math.pi * seconds / WAVE_S)) / 2)
    while len(kept) < wanted:
        kept.append(socket.socket())
    while len(kept) > wanted:
        kept.pop().close()


def _fill_pool(seconds: float) -> None:
    """Start threads until the pool is full."""
    while len(kept) < min(POOL, POOL * seconds / POOL_FILLS_S):
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        kept.append(thread)


HEALTHY: dict[str, Callable[[float], None]] = {"follows-load": _follow_load, "fills-pool": _fill_pool}


def main() -> None:
    kind, directory = sys.argv[1], Path(sys.argv[2])
    print("ready", flush=True)
    began, done = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], STEP_S)[0]:
        seconds = time.monotonic() - began
        if kind in HEALTHY:
            HEALTHY[kind](seconds)
            continue
        while done < PER_S * seconds:
            LEAKS[kind](directory)
            done += 1


if __name__ == "__main__":
    main()
