"""Whether the way /proc is mounted hides processes of other users (proc(5), ``hidepid``)."""

from __future__ import annotations

import os

from leakwatch.procfs.files import read_file
from leakwatch.procfs.pid.mountinfo import mount_options

NAMES = {"1": "noaccess", "2": "invisible", "4": "ptraceable"}
"""Names of the older numbers (proc(5))."""
INVISIBLE = frozenset({"invisible", "ptraceable"})
"""With ``noaccess`` they are listed and refused one by one, which is counted."""
PTRACE_BIT = 19
"""CAP_SYS_PTRACE in CapEff (capability.h): who has it sees them all."""


def proc_options(root: str) -> dict[str, str]:
    """Return the options the /proc at ``root`` is mounted with; nothing for a recorded tree."""
    try:
        return mount_options(read_file(f"{root}/self/mountinfo"), root, "proc")
    except OSError:
        return {}


def hidepid(options: dict[str, str]) -> str:
    """Return the option by its name, empty where nothing is hidden."""
    found = options.get("hidepid", "")
    return "" if found in ("0", "off") else NAMES.get(found, found)


def effective_capabilities(root: str) -> int:
    """Return our own, as bits; none where they cannot be read."""
    try:
        status = read_file(f"{root}/self/status")
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith(b"CapEff:")), 0)


def hides_from_us(root: str) -> str:
    """Return the option's name where processes are hidden from us, so that nobody knows how many; else nothing."""
    options = proc_options(root)
    found = hidepid(options)
    if found not in INVISIBLE or effective_capabilities(root) >> PTRACE_BIT & 1:
        return ""
    gid = options.get("gid", "")
    may = found == "invisible" and gid.isdecimal() and int(gid) in {os.getegid(), *os.getgroups()}
    return "" if may else found
