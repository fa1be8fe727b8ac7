"""One daemon a store: advisory locks that the kernel drops with the process, however it ends.

The file beside the store keeps two daemons from making or setting aside the same one. The database itself is locked as
well: so a hard link, another mount of it or a removed lock file lets no second daemon in.

Where the store lies: what the configuration says, else where the service or this user keeps it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path

from leakwatch.errors import StoreBusyError, StoreWriteError, UsageError

_OURS = 1 << 62, 1
"""A byte that no file reaches and SQLite never locks."""
_SHARED = 0x40000002, 510
"""What SQLite locks for reading as long as a connection is open, and for writing to see whether it is the last one
(sqlite.org/src, os_unix.c: SHARED_FIRST, SHARED_SIZE)."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_HEADER_BYTES = 32
"""Up to the number of pages in the header of a database (sqlite.org/fileformat2.html, section 1.3)."""
_PID = re.compile(rb"\d{0,20}\n?")


class StoreLock:
    """Held from construction until ``release`` or the end of the process.

    Whoever closes any descriptor of a database drops what SQLite itself has locked of it in this process: ours is
    closed when no connection is open on it.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._beside = self._database = -1
        self.take()

    def take(self) -> None:
        """Lock the store, whose file is made where there is none. Raises StoreWriteError or StoreBusyError."""
        try:
            self._take_beside(self._store.with_name(self._store.name + ".lock"))
            self.follow()
        except BaseException:
            self.release()
            raise

    def _take_beside(self, path: Path) -> None:
        with suppress(OSError):  # opening the file says what is wrong
            self._store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._beside = _opened(path, self._store)
        try:
            fcntl.flock(self._beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._beside, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StoreBusyError(
                f"another daemon (pid {holder}) writes to {self._store}; stop it or set another url under [store]"
            ) from error
        if not _PID.fullmatch(os.pread(self._beside, 32, 0)):
            return  # somebody's file: it does as a lock, and stays as it is
        with suppress(OSError):  # a full disk: the lock holds all the same, only the message about its holder is poorer
            os.truncate(self._beside, 0)
            os.pwrite(self._beside, f"{os.getpid()}\n".encode(), 0)

    def follow(self) -> None:
        """Lock the database that is at the path now; no connection may be open on the one before."""
        self._close_database()
        self._database = _opened(self._store, self._store)
        try:
            _lock(self._database, fcntl.F_WRLCK, *_OURS)
        except OSError as error:
            self._close_database()
            raise StoreBusyError(
                f"another daemon writes to {self._store}, maybe under another name; stop it or set another url under "
                "[store]"
            ) from error

    def lost(self) -> str:
        """Return what became of the database at the path: "deleted", "replaced", or nothing."""
        try:
            found = self._store.stat()
        except (FileNotFoundError, NotADirectoryError):
            return "deleted"
        except OSError:
            return ""  # it cannot be told, and writing will show what is wrong
        if self._database < 0:
            return "replaced"
        held = os.fstat(self._database)
        return "" if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino) else "replaced"

    def is_cut(self) -> bool:
        """Return whether the database is shorter than its header says; while SQLite folds its log it may be, too."""
        header = os.pread(self._database, _HEADER_BYTES, 0)
        if len(header) < _HEADER_BYTES:
            return True
        page_bytes, pages = (int.from_bytes(header[at : at + size], "big") for at, size in ((16, 2), (28, 4)))
        return os.fstat(self._database).st_size < page_bytes * pages

    def pin(self) -> None:
        """Keep SQLite from removing, at the last close, a log of that name: it may be another database's by now."""
        with suppress(OSError):
            _lock(self._database, fcntl.F_RDLCK, *_SHARED)

    def give_to_owner(self) -> None:
        """Let the store's owner have the lock that root may just have made: the daemon must be able to take it."""
        if os.geteuid() == 0:
            of = os.fstat(self._database)
            os.fchown(self._beside, of.st_uid, of.st_gid)

    def release(self) -> None:
        """Release it; a second time is no error."""
        self._close_database()
        if self._beside >= 0:
            os.close(self._beside)
            self._beside = -1

    def _close_database(self) -> None:
        if self._database >= 0:
            os.close(self._database)
            self._database = -1


def _opened(path: Path, store: Path) -> int:
    try:
        fd = os.open(path, _FLAGS, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise StoreWriteError(f"{path} is a symbolic link; remove it or set another url under [store]") from error
        if os.access(path, os.F_OK):
            raise StoreWriteError(
                f"{path} cannot be opened ({error.strerror}); make it writable or set another url under [store]"
            ) from error
        raise StoreWriteError(
            f"{path} cannot be created ({error.strerror}); make {store.parent} writable or set url under [store]"
        ) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StoreWriteError(f"{path} is no file; set another url under [store]")
    return fd


def _lock(fd: int, kind: int, start: int, length: int) -> None:
    """Lock bytes for this open file, not for the process: closing another descriptor of the file leaves it alone."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("@hhqqi", kind, os.SEEK_SET, start, length, 0))


FILE_NAME = "leakwatch.db"
SERVICE_DIRECTORY = Path("/var/lib/leakwatch")
"""StateDirectory= of the unit; with a dynamic user a link into /var/lib/private, which only root may enter."""
_PREFIX = "sqlite:///"


def path_of_url(url: str) -> Path:
    """Return the file an ``sqlite:///`` URL names. Raises UsageError for other databases."""
    if not url.startswith(_PREFIX):
        raise UsageError(f"store url {url!r}: only SQLite is supported, as in sqlite:////var/lib/leakwatch/{FILE_NAME}")
    return Path(url.removeprefix(_PREFIX))


def _user_directory() -> Path:
    """Return where this user keeps a store. Raises UsageError where it has no home, as a bare number in a container."""
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "leakwatch"
    except RuntimeError:
        raise UsageError("this user has no home directory to keep a store in; set url under [store]") from None


def writer_path(url: str) -> Path:
    """Return where the daemon keeps its store: the URL, else systemd's directory, else this user's.

    Raises UsageError.
    """
    if url:
        path = path_of_url(url)
        # Lock and set-aside copies belong beside the file itself: a link is a second name, not a second store.
        with suppress(OSError, RuntimeError):  # a name too long, a loop of links: opening it says so
            return path.resolve() if path.is_symlink() else path
        return path
    state = os.environ.get("STATE_DIRECTORY")
    if state:  # systemd joins several with colons; ours is the first
        return Path(state.split(":")[0]) / FILE_NAME
    directory = SERVICE_DIRECTORY if os.geteuid() == 0 else _user_directory()
    return directory / FILE_NAME


def reader_paths(url: str) -> tuple[Path, ...]:
    """Return where to look for a store to read, best first: the service's before one's own."""
    if url:
        return (path_of_url(url),)
    state = os.environ.get("STATE_DIRECTORY")
    directories = [*([Path(state.split(":")[0])] if state else []), SERVICE_DIRECTORY]
    with suppress(UsageError):  # without a home there is none of one's own
        directories.append(_user_directory())
    return tuple(directory / FILE_NAME for directory in directories)
