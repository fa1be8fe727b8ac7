"""``/proc/PID/maps``: which files a process maps; the addresses are of no interest here."""

from __future__ import annotations

import re

from leakwatch.procfs.fields import text

_ESCAPED = re.compile(rb"\\([0-7]{3})")


def parse(data: bytes) -> tuple[str, ...]:
    r"""Return the paths, each once, in the order of addresses; ``[heap]`` and the like are none, nor is a memfd.

    Behind the path of a file that was removed stands `` (deleted)``; newlines in a path are spelled ``\012``.
    Never raises: a line that is cut short has no path.
    """
    found: dict[bytes, None] = {}
    for line in data.split(b"\n"):
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith(b"/") and not words[5].startswith((b"/memfd:", b"/dev/zero")):
            found[words[5]] = None
    return tuple(text(_ESCAPED.sub(lambda octal: bytes([int(octal[1], 8) & 0xFF]), path)) for path in found)
