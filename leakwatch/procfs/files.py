"""Opening files below /proc and /sys, and the meaning of each refusal."""

# Paths are strings here: a Path costs more than the system call it leads to.
# ruff: noqa: PTH110, PTH115, PTH116, PTH208

from __future__ import annotations

import contextlib
import errno
import os
import threading

from leakwatch.model.sample import Absence, AbsenceReason

SMALL = 8192
"""A read for files of one process: all but smaps and long command lines come in one piece."""
LARGE = 1 << 18
"""A read for host files; slabinfo and vmallocinfo have some 100 KiB."""

MOST_BYTES = 128 << 20
"""Of a file that no kernel writes longer: smaps of 180,000 mappings, three times what one process may have. A recorded
tree may hold anything, a device that never ends among it."""
here = threading.local()
"""``here.may_wait`` is set in a thread that can be given up. In any other a pipe in a recorded tree must not be waited
for; the files of a real /proc take no notice of O_NONBLOCK."""
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_MISSING = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR})
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.ENODEV, errno.EOPNOTSUPP})


def read_file(path: str, chunk: int = SMALL, limit: int | None = None) -> bytes:
    """Return the whole file, or its first ``limit`` bytes; raises OSError, EFBIG where it does not end.

    Reads until the kernel answers with nothing: a seq_file returns a page or less at a time, whatever was asked for,
    so a short read is not the end. ``os.read`` costs half of what ``open`` does here.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if getattr(here, "may_wait", False) else os.O_NONBLOCK)
    descriptor = os.open(path, flags)
    try:
        pieces = [os.read(descriptor, chunk)]
        size = len(pieces[0])
        while pieces[-1] and (limit is None or size < limit):
            if size > MOST_BYTES:
                raise OSError(errno.EFBIG, "it does not end")
            pieces.append(os.read(descriptor, chunk))
            size += len(pieces[-1])
    finally:
        os.close(descriptor)
    return b"".join(pieces)[:limit]


def exists(path: str) -> bool:
    """Return whether there is such a file; a refusal counts as no."""
    return os.path.exists(path)


def listed(path: str) -> list[str]:
    """Return the names in a directory; raises OSError."""
    return os.listdir(path)


def file_stat(path: str) -> os.stat_result | None:
    """Return what is known of a file without opening it, None where that is nothing."""
    try:
        return os.stat(path)
    except OSError:
        return None


def link_target(path: str) -> str:
    """Return what a symbolic link names; raises OSError."""
    return os.readlink(path)


def named_links(path: str) -> list[tuple[str, str]]:
    """Return the symbolic links in a directory with what they name, but for those that went; raises OSError."""
    found = []
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                found.append((name, os.readlink(name, dir_fd=directory)))
    finally:
        os.close(directory)
    return found


def absence(path: str, error: OSError, missing: AbsenceReason) -> Absence:
    """Return why a file could not be read; ``missing`` is what it means here that it does not exist.

    A refusal is DENIED (EACCES, EPERM), a file system without the operation UNSUPPORTED. Everything else (EIO,
    ENOMEM, EISDIR, our own EMFILE) is MALFORMED: an answer that no format describes, named in the detail.
    """
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    if error.errno in _DENIED:
        reason = AbsenceReason.DENIED
    elif error.errno in _MISSING:
        reason = missing
    else:
        reason = AbsenceReason.UNSUPPORTED if error.errno in _UNSUPPORTED else AbsenceReason.MALFORMED
    return Absence(reason, f"{path}: {name}")
