"""``/proc/PID/mountinfo`` (2.6.26): which file systems of a process are memory.

``36 35 98:0 / /mnt rw shared:1 - ext3 /dev/root rw``: the device is the third word, in decimal; the type follows the
dash. Devices are given in ``smaps``'s spelling, in hexadecimal.
"""

from __future__ import annotations

_OF_MEMORY = frozenset({b"tmpfs", b"ramfs", b"devtmpfs"})

_LONGEST = 21
"""Of a device: two numbers of 32 bits."""


def parse(data: bytes) -> dict[str, bool]:
    """Return of each device whether it is memory; lines that make no sense are left out."""
    found: dict[str, bool] = {}
    for line in data.splitlines():
        before, _, after = line.partition(b" - ")
        words, types = before.split(), after.split()
        if len(words) > 2 and types:
            major, _, minor = words[2].partition(b":")
            if major.isdigit() and minor.isdigit() and len(words[2]) <= _LONGEST:
                found[f"{int(major):02x}:{int(minor):02x}"] = types[0] in _OF_MEMORY
    return found
