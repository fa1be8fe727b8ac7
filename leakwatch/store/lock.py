"""One daemon a store: an advisory lock that the kernel drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from leakwatch.errors import StoreBusyError, StoreWriteError

if TYPE_CHECKING:
    from pathlib import Path


class StoreLock:
    """Held from construction until ``release`` or the end of the process."""

    def __init__(self, store: Path) -> None:
        path = store.with_name(store.name + ".lock")
        try:
            store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreWriteError(
                f"{path} cannot be created ({error.strerror}); make {store.parent} writable or set url under [store]"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreBusyError(
                f"another daemon (pid {holder}) writes to {store}; stop it or set another url under [store]"
            ) from error
        try:
            os.truncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds all the same, only the message about its holder is poorer

    def release(self) -> None:
        """Give the store free."""
        os.close(self._fd)
