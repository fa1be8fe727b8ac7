"""Opening files below /proc and /sys, and the meaning of each refusal.

Files of living processes kept open from one look to the next.

Opening costs four times what reading ``statm`` does. The kernel binds an open file of /proc/PID to that very process:
it goes on after an exec, and once the process has ended it answers ESRCH, also when the pid is somebody else's by then
(fs/proc/base.c, ``proc_single_show``). So a file that still answers says that its process is still the same one.

Which processes exist: the one place that asks psutil.

Turning the words of a /proc file into integers and text, strictly.

``int()`` is too kind for this: it takes ``-5``, ``1_000`` and 4000 digits, none of which a kernel prints, and the
last of which no database holds.

Files of ``name number`` lines: ``memory.stat``, ``memory.events``, ``memory.oom_control``, ``/proc/vmstat``.

The kernel's documents call this "flat keyed" (admin-guide/cgroup-v2.rst). Newer kernels add names, none takes one away
without a reason; so what is not asked for is passed over, and what is asked for and not there is left out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import threading
import weakref
from collections.abc import Iterable

import psutil

from leakwatch.errors import ProcUnavailableError
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.text.escape import as_text

# Paths are strings here: a Path costs more than the system call it leads to.
# ruff: noqa: PTH110, PTH112, PTH115, PTH116, PTH208


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
    try:
        descriptor = os.open(path, flags)
    except ValueError:
        raise nameless() from None
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


def nameless() -> FileNotFoundError:
    """Return what is to be raised where a name of the kernel's or of a recorded tree can be no file's, for a NUL."""
    return FileNotFoundError(errno.ENOENT, "no file can be called so")


def exists(path: str) -> bool:
    """Return whether there is such a file; a refusal counts as no."""
    return os.path.exists(path)


def is_directory(path: str) -> bool:
    """Return whether there is such a directory; what cannot be looked at counts as no."""
    return os.path.isdir(path)


def listed(path: str) -> list[str]:
    """Return the names in a directory; raises OSError."""
    try:
        return os.listdir(path)
    except ValueError:
        raise nameless() from None


def file_stat(path: str) -> os.stat_result | None:
    """Return what is known of a file without opening it, None where that is nothing."""
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def link_target(path: str) -> str:
    """Return what a symbolic link names; raises OSError."""
    try:
        return os.readlink(path)
    except ValueError:
        raise nameless() from None


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


READ_AT_ONCE = 1024
"""Bytes: ``statm`` has some 50, ``stat`` some 350."""
SPARE = 192
"""Descriptors left for everything else: the store, the log, pipes to children, the dear files read one at a time."""
WANTED = 16_384
"""Processes the limit on open files is raised for, where that is allowed."""


class KeptFiles:
    """Opens files to be kept, no more of them than the limit on open files has room for."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: set[int] = set()
        self.limit = max(0, _soft_limit() - SPARE)
        weakref.finalize(self, _close_all, self._open)

    @property
    def count(self) -> int:
        """How many files are kept open."""
        return len(self._open)

    def open(self, pid: int, name: str) -> int | None:
        """Return a descriptor of ``<root>/<pid>/<name>``; None when it cannot be had or must not be kept.

        A file with a size is none of the kernel's making but one of a recorded tree: it outlives its process.
        """
        if len(self._open) >= self.limit:
            return None
        try:
            descriptor = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if os.fstat(descriptor).st_size:
            os.close(descriptor)
            return None
        self._open.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close a descriptor that ``open`` returned."""
        self._open.remove(descriptor)
        os.close(descriptor)


def read_kept(descriptor: int) -> bytes:
    """Return what the file says now; raises ProcessLookupError when its process has ended."""
    return os.pread(descriptor, READ_AT_ONCE, 0)


def _close_all(descriptors: set[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def raise_file_limit() -> None:
    """Have this process allowed as many open files as it may ask for, up to what ``WANTED`` says; never fails."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if _soft_limit() < wanted:
        # A service's filter of system calls may forbid it: then LimitNOFILE of its unit is what there is.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _soft_limit() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft


LARGEST_PID = 2**31 - 1
"""Of ``pid_t``; a recorded tree may have directories of any number."""


def pids(root: str) -> list[int]:
    """Return the process ids below a /proc tree, ascending; raises ProcUnavailableError when there are none to list.

    psutil knows the root as a global of its module, so it is set anew on each call.
    """
    psutil.PROCFS_PATH = root
    try:
        found = sorted(pid for pid in map(int, psutil.pids()) if pid <= LARGEST_PID)
    except OSError as error:
        why = f"cannot list the processes in {root}: {error.strerror}; is /proc mounted?"
        raise ProcUnavailableError(why) from error
    except UnicodeEncodeError:  # psutil encodes the root strictly
        why = f"cannot list the processes in {root}: its name is not UTF-8; give a link to it"
        raise ProcUnavailableError(why) from None
    except IndexError:  # psutil 7 takes the lowest of no pids
        found = []
    if not found:
        raise ProcUnavailableError(f"there is no process in {root}; is it a /proc?")
    return found


class MalformedError(ValueError):
    """The bytes are not in the format the parser was written for; the message says what was expected."""


KIB = 1024
LARGEST = 2**63 - 1
"""What a signed 64-bit integer, and so the store, can hold. Nothing that is read here is larger."""
_MAX_DIGITS = 19
_MAX_KIB_DIGITS = 15
"""10**15 KiB is 2**60 bytes: more than any address space, and it still fits a signed 64-bit integer."""


def count(word: bytes) -> int:
    """Return an unsigned decimal number; raises MalformedError for everything else."""
    if not word.isdigit() or len(word) > _MAX_DIGITS or (number := int(word)) > LARGEST:
        raise MalformedError(f"expected a number, found {word[:32]!r}")
    return number


def kib(word: bytes) -> int:
    """Return the bytes of a number of ``kB``, which in /proc always means 1024 bytes (proc(5))."""
    if not word.isdigit() or len(word) > _MAX_KIB_DIGITS:
        raise MalformedError(f"expected a size in kB, found {word[:32]!r}")
    return int(word) * KIB


def text(raw: bytes) -> str:
    """Return the text; bytes that are not UTF-8 become surrogate escapes, so that nothing is lost or refused."""
    return raw.decode("utf-8", "surrogateescape")


def name_of(raw: bytes) -> str:
    r"""Return a name that is shown and stored, no path to open: bytes that are not UTF-8 become ``\xNN``."""
    return as_text(text(raw))


def parse_flat_keyed(data: bytes, wanted: Iterable[bytes]) -> dict[str, int]:
    """Return the numbers of the wanted names that are there; raises MalformedError where it is no such file.

    Words are paired without looking at lines: 50 lines of ``memory.stat`` cost a third of what they do line by line.
    """
    words = data.split()
    if len(words) % 2:
        raise MalformedError(f"expected names and numbers, found {data[:32]!r}")
    numbers = dict(zip(words[::2], words[1::2], strict=True))
    return {name.decode("ascii"): count(numbers[name]) for name in wanted if name in numbers}
