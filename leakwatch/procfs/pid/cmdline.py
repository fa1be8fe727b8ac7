"""``/proc/PID/cmdline``: the arguments, each ended by a NUL, as they stand in the process's own memory now.

A process may have overwritten them (setproctitle): then it is one text with spaces, padded with NULs or blanks to
the old length. Zombies and kernel threads have none.
"""

from __future__ import annotations

from leakwatch.procfs.fields import text


def parse(data: bytes) -> tuple[str, ...]:
    """Return the arguments; any bytes are a command line, so this never raises.

    Empty arguments at the end cannot be told from padding and are dropped.
    """
    used = data.rstrip(b"\0")
    if not used:
        return ()
    if b"\0" not in used:  # one argument: perhaps an overwritten title padded with blanks
        used = used.rstrip(b" ")
    return tuple(text(argument) for argument in used.split(b"\0"))
