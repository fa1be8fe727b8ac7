r"""``/proc/PID/mountinfo``: what is mounted where, as that process sees it (proc_pid_mountinfo(5)).

``36 35 98:0 /root /mnt/a rw,noatime master:1 - ext4 /dev/root rw``: the fields before the lone hyphen vary in number.
Spaces, tabs, newlines and backslashes in paths are written as ``\040`` and so on.

Whether the way /proc is mounted hides processes of other users (proc(5), ``hidepid``).

Which file system stands in for ``/proc/meminfo``: in many containers lxcfs or sysbox, through FUSE.

They put the container's limit and use in some lines and pass the host's others on, so the lines do not belong together
(``proc_meminfo_read`` of lxcfs, src/proc_fuse.c).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from leakwatch.procfs.files import MalformedError, link_target, read_file, text

_OF_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_SERVED = frozenset({
    "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs", "vboxsf", "virtiofs",
})  # fmt: skip
"""File systems of a server elsewhere, or of a program (fuse): where it does not answer, whoever looks waits with it."""
_LONGEST = 21
"""Of a device: two numbers of 32 bits."""
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount."""

    device: str
    """``MAJOR:MINOR``, the same for all mounts of one file system."""
    root: str
    """The part of the file system that is seen here; ``/`` where it is all of it."""
    path: str
    """Where; undecodable bytes as surrogate escapes."""
    kind: str
    """``tmpfs``, ``ext4``."""

    @property
    def mapped_device(self) -> str:
        """The device as ``maps`` and ``smaps`` spell it, in hexadecimal; empty where it makes no sense."""
        major, _, minor = self.device.partition(":")
        number = major.isdecimal() and minor.isdecimal() and len(self.device) <= _LONGEST
        return f"{int(major):02x}:{int(minor):02x}" if number else ""

    @property
    def is_served(self) -> bool:
        """Whether looking at it may wait for a server, and for as long as that does not answer."""
        return self.kind in _SERVED or self.kind.startswith("fuse")

    @property
    def is_memory(self) -> bool:
        """Whether its files are memory."""
        return self.kind in _OF_MEMORY


def parse(data: bytes) -> tuple[Mount, ...]:
    """Return the mounts, in the order in which they were made; raises MalformedError."""
    return tuple(_mount(line) for line in data.split(b"\n") if line)


def reachable(one: Mount, mounts: Iterable[Mount]) -> bool:
    """Return whether the way to a mount leads through no file system of a server, but for the root."""
    return not any(
        other.is_served and other.path != "/" and f"{one.path}/".startswith(f"{other.path.rstrip('/')}/")
        for other in mounts
    )


def mount_options(data: bytes, path: str, kind: str) -> dict[str, str]:
    """Return the options of the file system of this kind that is mounted at a path.

    Those without a value have an empty one. Of several mounts over one another the last is seen. Never raises.
    """
    found: dict[str, str] = {}
    for line in data.split(b"\n"):
        before, _, after = line.partition(b" - ")
        where, what = before.split(b" ")[4:5], after.split(b" ")
        if where == [os.fsencode(path)] and what[0] == kind.encode():
            pairs = (option.partition("=") for option in text(what[-1]).split(","))
            found = {name: value for name, _, value in pairs}
    return found


def _mount(line: bytes) -> Mount:
    before, hyphen, after = line.partition(b" - ")
    words, kind = before.split(b" "), after.split(b" ")[0]
    if not hyphen or len(words) < 6 or not kind:
        raise MalformedError("mountinfo: expected six fields, a hyphen and a type")
    return Mount(text(words[2]), _path(words[3]), _path(words[4]), text(kind))


def _path(word: bytes) -> str:
    return text(_OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), word))


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
        return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith(b"CapEff:")), 0)
    except (OSError, ValueError, IndexError):
        return 0


def hides_from_us(root: str) -> str:
    """Return the option's name where processes are hidden from us, so that nobody knows how many; else nothing."""
    options = proc_options(root)
    found = hidepid(options)
    if found not in INVISIBLE or effective_capabilities(root) >> PTRACE_BIT & 1:
        return ""
    gid = options.get("gid", "")
    may = found == "invisible" and gid.isdecimal() and int(gid) in {os.getegid(), *os.getgroups()}
    return "" if may else found


_FUSE = "fuse"


def stand_in(root: str) -> str:
    """Return the type of the file system mounted over a tree's meminfo, such as ``fuse.lxcfs``; else nothing."""
    live = _is_live(root)
    paths = {f"{root}/meminfo"} if live else {f"{root}/meminfo", "/proc/meminfo"}
    for pid in ("self",) if live else ("self", "1"):
        try:
            mounts = parse(read_file(f"{root}/{pid}/mountinfo"))
        except (OSError, MalformedError):
            continue
        found = next((mount.kind for mount in reversed(mounts) if mount.path in paths), "")
        return found if found.startswith(_FUSE) else ""
    return ""


def _is_live(root: str) -> bool:
    """Return whether a tree is the kernel's own, where ``self`` is this process, and no copy."""
    try:
        return link_target(f"{root}/self") == str(os.getpid())
    except OSError:
        return False
