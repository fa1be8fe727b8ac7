"""Which TCP ports a process listens on: ``/proc/PID/net/tcp`` joined with its open sockets."""

# Paths are strings here, as in procfs.

from __future__ import annotations

from leakwatch.procfs.files import link_target, listed, read_file

LISTEN = "0A"
MOST_FDS = 4096
"""Open files looked through: listening sockets are opened early."""


def listening(base: str) -> tuple[int, ...]:
    """Return the ports, ascending, of the process below ``base``; none where they cannot be read."""
    by_inode: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            by_inode |= parse(read_file(f"{base}/net/{name}", limit=1 << 22).decode("ascii", "replace"))
        except OSError:
            continue
    if not by_inode:
        return ()
    try:
        numbers = sorted(listed(f"{base}/fd"), key=len)[:MOST_FDS]
    except OSError:
        return ()
    return tuple(
        sorted({by_inode[inode] for number in numbers if (inode := _inode(f"{base}/fd/{number}")) in by_inode})
    )


def parse(text: str) -> dict[str, int]:
    """Return port by inode of the listening sockets of one of the two files."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == LISTEN:
            found[words[9]] = int(words[1].rpartition(":")[2], 16)
    return found


def _inode(path: str) -> str:
    try:
        target = link_target(path)
    except OSError:
        return ""
    return target.removeprefix("socket:[").removesuffix("]") if target.startswith("socket:[") else ""
