"""Writes files and directories whole or not at all, in a private directory beside their place, never through it.

What is written lies in a directory ``.leakwatch-….part`` of its own (mode 0700, locked by ``flock`` while it is in use)
until it is complete and on the disk; then it gets its name by ``link`` or ``rename``, which follow no symbolic link.
An error or a signal removes the directory. After ``kill -9`` it stays and the next run that writes beside it removes
it: it is ours by its name and owner, and out of use when its lock is free.

A pipe, a terminal or another character device is written to directly: nothing can take its place.

Reads a file that somebody names, whatever it is: bounded in bytes, and in how long nothing may come.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from leakwatch.errors import OutputExistsError, OutputWriteError
from leakwatch.text.escape import printable

OWNER_ONLY = 0o600
ANOTHER_NAME = "give another name, or --force to replace it"
_OURS = re.compile(r"\.leakwatch-[0-9a-f]{16}\.part")
_OWN_DESCRIPTOR = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What link(2) says on a file system without hard links, FAT for example."""


@contextlib.contextmanager
def file(
    path: Path, *, replace: bool = False, mode: int = OWNER_ONLY, advice: str = ANOTHER_NAME
) -> Iterator[BinaryIO]:
    """Yield a stream; ``path`` holds what was written when the block ends, and is untouched when the block fails.

    Raises OutputExistsError and OutputWriteError; ``advice`` ends the message of the first.
    """
    with _explained(path, advice):
        descriptor = _straight(path)
        if descriptor is not None:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
            return
    with path_of(path, replace=replace, advice=advice) as part:
        descriptor = os.open(part, _CREATE, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)  # whatever the umask
            yield stream


@contextlib.contextmanager
def path_of(path: Path, *, replace: bool = False, advice: str = ANOTHER_NAME) -> Iterator[Path]:
    """Yield where to make the file by its path; what else is made beside it there is removed. As ``file``."""
    with _explained(path, advice):
        _refuse_taken(path, replace=replace)
        with _beside(path) as room:
            part = room / "part"
            yield part
            _sync(part)
            if replace:
                part.rename(path)
            else:
                _link(part, path)
            _sync_names(path)


@contextlib.contextmanager
def directory(path: Path, *, advice: str = ANOTHER_NAME) -> Iterator[Path]:
    """Yield an empty directory of mode 0700 to fill; it gets its name when the block ends. As ``file``."""
    with _explained(path, advice):
        _refuse_taken(path, replace=False)
        with _beside(path) as room:
            part = room / "part"
            _make_directory(part)
            yield part
            for each in (*part.rglob("*"), part):
                _sync(each)
            _make_directory(path)  # fails where something has the name by now; rename would take an empty directory's
            try:
                part.rename(path)
            except BaseException:
                path.rmdir()
                raise
            _sync_names(path)


def is_replaceable(path: Path) -> bool:
    """Return whether what ``path`` names can be replaced: not a pipe, a device or one of our own descriptors."""
    if _OWN_DESCRIPTOR.fullmatch(str(path)):
        return False
    try:
        kind = path.lstat().st_mode
    except OSError:
        return True
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)


def clear(parent: Path) -> None:
    """Remove what killed runs of this user have left in a directory; never fails."""
    try:
        left = [one for one in parent.iterdir() if _OURS.fullmatch(one.name)]
    except OSError:
        return
    for one in left:
        with contextlib.suppress(OSError), _opened(one) as descriptor:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(one, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path, advice: str) -> Iterator[None]:
    """Turn errors of the file system into ours; a reader who has closed our pipe is for the command to tell."""
    name = printable(str(path))
    try:
        yield
    except FileExistsError:
        raise OutputExistsError(f"{name} is there already; {advice}") from None
    except IsADirectoryError:
        raise OutputExistsError(f"{name} is a directory; give the name of a file") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputWriteError(f"{name} cannot be written: {error.strerror or error}") from None


def _straight(path: Path) -> int | None:
    """Return a descriptor of what is written to directly, None where a file is to be made."""
    if own := _OWN_DESCRIPTOR.fullmatch(str(path)):
        number = own[1] or own[2] or ("2" if str(path).endswith("stderr") else "1")
        return os.dup(int(number))
    if is_replaceable(path):
        return None
    found = path.lstat()
    if stat.S_ISFIFO(found.st_mode) and found.st_uid not in (0, os.geteuid()):
        raise OSError(errno.EACCES, "it is a pipe of another user")
    if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode)):
        raise OSError(errno.EINVAL, "it is a disk or a socket")
    return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)


def _refuse_taken(path: Path, *, replace: bool) -> None:
    """Raise FileExistsError or IsADirectoryError before any work is done; what comes later is refused by the kernel."""
    if not is_replaceable(path):
        raise OSError(errno.EINVAL, "it is a device or a pipe; give the name of a file")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not replace:
        raise FileExistsError
    if stat.S_ISDIR(kind):
        raise IsADirectoryError


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield a directory of our own beside ``path``, locked, and remove it with all that is in it."""
    clear(path.parent)
    room, lock = path, -1
    try:
        while lock < 0:
            room = path.with_name(f".leakwatch-{os.urandom(8).hex()}.part")
            _make_directory(room)
            lock = _locked(room)
        yield room
    finally:
        if room != path:
            shutil.rmtree(room, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _locked(room: Path) -> int:
    """Return a descriptor that holds the lock, -1 where ``clear`` of another run took the new directory for a left one.

    A file system without locks has nothing cleared either.
    """
    try:
        descriptor = os.open(room, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    except OSError:
        return descriptor
    if not room.is_dir():
        os.close(descriptor)
        return -1
    return descriptor


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    path.mkdir(0o700)
    path.chmod(0o700)  # whatever the umask


def _link(part: Path, path: Path) -> None:
    """Name a file. Raises FileExistsError where something has the name by now."""
    try:
        os.link(part, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, _CREATE, OWNER_ONLY))
        try:
            part.rename(path)
        except BaseException:
            path.unlink()
            raise


def _sync(path: Path) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def _sync_names(path: Path) -> None:
    """Have the directory on the disk, too; the file is complete by now, so where this cannot be done it is not lost."""
    with contextlib.suppress(OSError):
        _sync(path.parent)


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
                raise OSError(errno.EFBIG, f"it holds more than {most_bytes >> 10} KiB")
    finally:
        os.close(descriptor)
