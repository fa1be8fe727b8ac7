"""Reads a file that somebody names, whatever it is: bounded in bytes, and in how long nothing may come."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

SILENT_S = 10.0
"""A pipe or a terminal that gives nothing for so long has no writer."""
_PART = 1 << 16


def read_whole(path: str | Path, most_bytes: int) -> bytes:
    """Return what a file or a pipe holds.

    Raises OSError: EFBIG where there is more, as in a device that never ends, and ETIMEDOUT where nothing comes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        parts, size = [b""], 0
        while True:
            if not ready.poll(SILENT_S * 1000):
                raise OSError(errno.ETIMEDOUT, "nothing has come from it for 10 s")
            part = os.read(descriptor, _PART)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise OSError(errno.EFBIG, f"it holds more than {most_bytes >> 20} MiB")
    finally:
        os.close(descriptor)
