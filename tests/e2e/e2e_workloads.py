"""Processes that behave in a known way: ``python e2e_workloads.py KIND LEDGER``.

Each prints ``ready`` once it has begun, or why it cannot, writes to its ledger how much it leaked and when, and ends
with its standard input, so that none outlives the test. KIND tells them apart in a report, too.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import random
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

KIB = 1024
MIB = KIB * KIB
STEP_S = 0.1
CLONE_NEWIPC = 0x08000000
IPC_NOWAIT = 0o4000
PR_SET_NAME = 15
MESSAGE_BYTES = 4000
"""With the kernel's header of 48 bytes one object of the 4 KiB slab cache."""
MESSAGES_A_QUEUE = 4
"""The default limit of a queue (msgmnb) is 16 KiB."""
ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(platform.machine(), (0, 0))
KEYCTL_JOIN_SESSION_KEYRING, SESSION_KEYRING = 1, -3

FILLED_BYTES = 100 * MIB
SAWTOOTH_BYTES = 20 * MIB
SAWTOOTH_S = 6.0
PLATEAU_BYTES = 60 * MIB
PLATEAU_TIME_CONSTANT_S = 20.0
STEP_BYTES = 50 * MIB
STEP_AT_S = 75.0
FILL_FROM_S, FILL_S = 12.0, 10.0

HOSTILE_NAMES = {
    "hostile-newline": b"ev\nil: leak: x",
    "hostile-escape": b"\x1b[31mred\x07",
    "hostile-markup": b"<b>|*_`[x](y)",
    "hostile-formula": b"=1+1",
    "hostile-bytes": b"\xff\xfe\xc3(",
}
OTHER_LEAKS = ("restart-leak", "user-leak", "root-leak", "incident-leak", "service-leak")
"""For the tests that run beside the shared one: processes of one name would be one service."""
RATES_BYTES_PER_S = {
    "py-leak": 200 * KIB,
    **dict.fromkeys(OTHER_LEAKS, 500 * KIB),
    **dict.fromkeys(HOSTILE_NAMES, 80 * KIB),
}
MESSAGES_PER_S = 10 * MIB / 60 / 4096
"""10 MiB a minute."""
KEYRINGS_PER_S = 200
EVENTFDS_PER_S = 90

Step = Callable[[float], int]
"""Takes the seconds since the start, brings the memory to what it should be then, returns bytes or objects leaked."""
kept: list[object] = []


class CannotError(Exception):
    """The kernel refuses what a workload is about."""


def leak(rate: float) -> Step:
    piece = 20 * KIB  # large enough that what Python adds to each does not count
    leaked = 0

    def step(elapsed_s: float) -> int:
        nonlocal leaked
        while leaked + piece <= rate * elapsed_s:
            kept.append(bytearray(b"x") * piece)
            leaked += piece
        return leaked

    return step


def idle() -> Step:
    return lambda _: 0


def holding(size_at: Callable[[float], float]) -> Step:
    """Hold what ``size_at`` says for each moment, in pieces of 256 KiB."""
    piece = 256 * KIB

    def step(elapsed_s: float) -> int:
        due = round(size_at(elapsed_s) / piece)
        while len(kept) < due:
            kept.append(bytearray(b"x") * piece)
        del kept[due:]
        return 0

    return step


def filled() -> Step:
    return holding(lambda elapsed_s: FILLED_BYTES * min(1.0, max(0.0, elapsed_s - FILL_FROM_S) / FILL_S))


def sawtooth() -> Step:
    return holding(lambda elapsed_s: SAWTOOTH_BYTES * (elapsed_s / SAWTOOTH_S % 1.0))


def plateau() -> Step:
    return holding(lambda elapsed_s: PLATEAU_BYTES * (1 - math.exp(-elapsed_s / PLATEAU_TIME_CONSTANT_S)))


def one_step() -> Step:
    return holding(lambda elapsed_s: STEP_BYTES * (elapsed_s >= STEP_AT_S))


def forker() -> Step:
    """Have two short-lived children a second, each with 4 MiB of its own."""
    born = 0

    def step(elapsed_s: float) -> int:
        nonlocal born
        if born <= elapsed_s * 2:
            born += 1
            if os.fork() == 0:
                _short_life()
        while _reaped():
            pass
        return 0

    return step


def _short_life() -> None:
    own = bytearray(b"x") * (4 * MIB)
    time.sleep(0.7)
    os._exit(len(own) & 0)


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def walk(folder: str) -> Step:
    """Look for files that are not there and make some that are: the kernel remembers both, as after an ``updatedb``."""
    asked = made = 0

    def step(elapsed_s: float) -> int:
        nonlocal asked, made
        while asked < elapsed_s * 2000:
            Path(folder, f"absent-{asked}").exists()
            asked += 1
        while made < elapsed_s * 200:
            os.close(os.open(f"{folder}/{made}", os.O_CREAT, 0o600))
            made += 1
        return 0

    return step


def hostile(kind: str) -> Step:
    ctypes.CDLL(None).prctl(PR_SET_NAME, HOSTILE_NAMES[kind], 0, 0, 0)
    return leak(RATES_BYTES_PER_S[kind])


def messages() -> Step:
    """Send System V messages that nobody receives, in an IPC namespace that ends with this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWIPC) != 0:
        raise CannotError(f"unshare: {os.strerror(ctypes.get_errno())}")
    body = ctypes.create_string_buffer((1).to_bytes(ctypes.sizeof(ctypes.c_long), sys.byteorder) + b"x" * MESSAGE_BYTES)
    queue, sent = -1, 0

    def step(elapsed_s: float) -> int:
        nonlocal queue, sent
        while sent < MESSAGES_PER_S * elapsed_s:
            if sent % MESSAGES_A_QUEUE == 0:
                queue = libc.msgget(0, 0o600)
            if queue < 0 or libc.msgsnd(queue, body, MESSAGE_BYTES, IPC_NOWAIT) != 0:
                raise CannotError(f"msgsnd: {os.strerror(ctypes.get_errno())}")
            sent += 1
        return sent

    return step


def keyrings() -> Step:
    """Add keyrings to a session keyring of our own, which ends with this process and all it holds with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not ADD_KEY or libc.syscall(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, b"leakwatch-e2e") < 0:
        raise CannotError(f"keyctl: {os.strerror(ctypes.get_errno())}")
    added = 0

    def step(elapsed_s: float) -> int:
        nonlocal added
        while added < KEYRINGS_PER_S * elapsed_s:
            if (
                libc.syscall(
                    ADD_KEY, b"keyring", b"leakwatch-e2e-%d-%d" % (os.getpid(), added), None, 0, SESSION_KEYRING
                )
                < 0
            ):
                raise CannotError(f"add_key: {os.strerror(ctypes.get_errno())}")
            added += 1
        return added

    step(0.01)
    return step


def eventfds() -> Step:
    """Open eventfds and never close them."""
    needed = 20_000  # 200 seconds' worth
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, hard)))
    except (OSError, ValueError) as error:
        raise CannotError(f"{needed} open files: {error}") from error
    opened = 0

    def step(elapsed_s: float) -> int:
        nonlocal opened
        while opened < min(EVENTFDS_PER_S * elapsed_s, needed - 50):
            os.eventfd(0)
            opened += 1
        return opened

    return step


def redis_load(socket_path: str) -> Step:
    """Set and get values of 0.2 to 2 KiB under 2000 keys, each of which exists from the start."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect(socket_path)
    answers = channel.makefile("rb")
    chance = random.Random(1)

    def call(*words: bytes) -> None:
        parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)]
        channel.sendall(b"".join(parts))
        head = answers.readline()
        if head[:1] == b"$" and head != b"$-1\r\n":
            answers.read(int(head[1:]) + 2)

    def put(key: int) -> None:
        call(b"SET", b"key:%d" % key, b"v" * chance.randrange(200, 2000))

    for _ in range(5):
        for key in range(2000):
            put(key)
    done = 0

    def step(elapsed_s: float) -> int:
        nonlocal done
        while done < elapsed_s * 500:
            put(chance.randrange(2000))
            call(b"GET", b"key:%d" % chance.randrange(2000))
            done += 2
        return 0

    return step


PLAIN: dict[str, Callable[[], Step]] = {
    "idle": idle,
    "filled": filled,
    "sawtooth": sawtooth,
    "plateau": plateau,
    "one-step": one_step,
    "forker": forker,
    "messages": messages,
    "keyrings": keyrings,
    "eventfds": eventfds,
}
WITH_ARGUMENT: dict[str, Callable[[str], Step]] = {"walk": walk, "redis-load": redis_load}


def prepare(kind: str, arguments: list[str]) -> Step:
    if kind in HOSTILE_NAMES:
        return hostile(kind)
    if kind in RATES_BYTES_PER_S:
        return leak(RATES_BYTES_PER_S[kind])
    return WITH_ARGUMENT[kind](arguments[0]) if kind in WITH_ARGUMENT else PLAIN[kind]()


def run(step: Step, ledger: TextIO) -> None:
    began = time.monotonic()
    number = 0
    while True:
        leaked = step(time.monotonic() - began)
        print(time.time_ns() // 1_000_000, leaked, file=ledger, flush=True)
        number += 1
        wait_s = max(0.0, began + number * STEP_S - time.monotonic())
        if select.select([sys.stdin], [], [], wait_s)[0]:
            return


def main() -> None:
    kind, ledger, *arguments = sys.argv[1:]
    try:
        step = prepare(kind, arguments)
        print("ready", flush=True)
        with Path(ledger).open("w") as file:
            run(step, file)
    except CannotError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main()
