"""SQLite's errors in words an operator can act on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from leakwatch.errors import StoreBusyError, StoreCorruptError, StoreWriteError

BUSY_TIMEOUT_S = 10
"""How long to wait for a lock: a reader's checkpoint or a backup takes seconds, a deadlock for ever."""

_FULL = "the disk is full; free space there or lower max_size under [store]"
_CAUSES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # the log's index could not grow: the first to be refused on a full disk
    sqlite3.SQLITE_READONLY: "it is read-only; make it writable or set another url under [store]",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed, or a quota is used up; see the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its directory exists and is writable",
    sqlite3.SQLITE_PERM: "access is refused; check its owner",
}


_DAMAGED = sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB


def result_codes(error: BaseException | None) -> tuple[int, int]:
    """Return the extended and the primary result code, 0 where there is none."""
    extended = getattr(error, "sqlite_errorcode", None) or 0
    return extended, extended & 0xFF  # the low byte is the primary code (sqlite.org/rescode.html)


def may_need_reopening(error: BaseException) -> bool:
    """Return whether a store that could not be written may be so only to the connection that is open on it.

    A full disk is not of that kind: to close would give back the log and its index, for which there is no room then.
    """
    extended, code = result_codes(error.__cause__)
    return code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and (
        extended != sqlite3.SQLITE_IOERR_SHMSIZE
    )


def driver_error(error: BaseException) -> sqlite3.Error | None:
    """Return the driver's error in one that was raised, None where it is about something else.

    SQLAlchemy wraps it and keeps it as ``orig``: asked for by name, so that who does without need not load it.
    """
    found = getattr(error, "orig", error)
    return found if isinstance(found, sqlite3.Error) else None


def raise_translated(error: sqlite3.Error, path: Path) -> NoReturn:
    """Raise the LeakwatchError that says what happened to the store at ``path``."""
    extended, code = result_codes(error)
    if code in _DAMAGED or "decode to UTF-8" in str(error):
        raise StoreCorruptError(f"{path} is damaged or no SQLite database ({error})") from error
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise StoreBusyError(f"{path} stayed locked; is a backup or sqlite3 open on it?") from error
    raise StoreWriteError(f"{path}: {_CAUSES.get(extended) or _CAUSES.get(code) or error}") from error


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors inside into ours."""
    try:
        yield
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes a damaged schema
        raise StoreCorruptError(f"{path} is damaged: its schema cannot be read") from error
    except Exception as error:
        found = driver_error(error)
        if found is None:
            raise
        raise_translated(found, path)
