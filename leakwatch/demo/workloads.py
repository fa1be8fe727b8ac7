"""The processes of the demonstration; run as ``python -m leakwatch.demo.workloads NAME``.

Each really allocates, at a rate that is known. It prints ``ready``, or why it cannot do its work, and ends with its
standard input, so that none outlives the demo.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

KIB = 1024
READY = "ready"
LEAK_BYTES_PER_S = 200 * KIB
SAWTOOTH_BYTES = 20 * KIB * KIB
SAWTOOTH_S = 8
MESSAGES_PER_S = 43
"""Of one page each: 10 MiB a minute."""
MESSAGE_BYTES = 4000
"""With the kernel's header of 48 bytes one object of the 4 KiB slab cache."""
MESSAGES_A_QUEUE = 4
"""The default limit of a queue (msgmnb) is 16 KiB."""
CLONE_NEWIPC = 0x08000000
STEP_S = 0.1


def leak() -> Callable[[int], None]:
    """Keep every buffer."""
    kept: list[bytearray] = []
    return lambda _: kept.append(bytearray(b"x") * round(LEAK_BYTES_PER_S * STEP_S))


def sawtooth() -> Callable[[int], None]:
    """Fill and free, as a garbage collector does."""
    kept: list[bytearray] = []
    steps = round(SAWTOOTH_S / STEP_S)

    def step(number: int) -> None:
        if number % steps == 0:
            kept.clear()
        kept.append(bytearray(b"x") * (SAWTOOTH_BYTES // steps))

    return step


def messages() -> Callable[[int], None]:
    """Send System V messages that nobody receives: the kernel must keep them, in one of its slab caches.

    In an IPC namespace of its own, which the kernel clears when this process ends, however it ends.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWIPC) != 0:
        # Root in a container seldom may.
        raise OSError(f"unshare: {os.strerror(ctypes.get_errno())}")
    body = ctypes.create_string_buffer((1).to_bytes(ctypes.sizeof(ctypes.c_long), sys.byteorder) + b"x" * MESSAGE_BYTES)
    queue = -1
    sent = 0

    def step(number: int) -> None:
        nonlocal queue, sent
        while sent < MESSAGES_PER_S * number * STEP_S:
            if sent % MESSAGES_A_QUEUE == 0:
                queue = libc.msgget(0, 0o600)
            if queue < 0 or libc.msgsnd(queue, body, MESSAGE_BYTES, 0o4000) != 0:
                sys.exit(f"demo-messages: {os.strerror(ctypes.get_errno())}")
            sent += 1

    return step


def idle() -> Callable[[int], None]:
    """Do nothing."""
    return lambda _: None


def _every_step(step: Callable[[int], None]) -> None:
    began = time.monotonic()
    number = 0
    while True:
        step(number)
        number += 1
        wait_s = max(0.0, began + number * STEP_S - time.monotonic())
        if select.select([sys.stdin], [], [], wait_s)[0]:
            return


WORKLOADS = {"leak": leak, "sawtooth": sawtooth, "messages": messages, "idle": idle}


def main() -> None:
    """Run the workload named by the first argument, under a name that a report shows."""
    name = sys.argv[1]
    Path("/proc/self/comm").write_text(f"demo-{name}")
    try:
        step = WORKLOADS[name]()
    except OSError as error:
        print(error, flush=True)
        sys.exit(1)
    print(READY, flush=True)
    _every_step(step)


if __name__ == "__main__":
    main()
