"""Which tables the pages belong to that SQLite wrote to its log: read from the log itself, frame by frame."""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEADER, FRAME_HEADER = 32, 24
FIRST, FREE, POINTERS = "(page 1)", "(free or moved since)", "(pointer map)"


class Log:
    """The write-ahead log of a store; ``checkpoint`` after each transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._at: tuple[bytes, int] = (b"", 0)
        self.pages: Counter[int] = Counter()
        """How often each page was logged."""
        self.bytes = 0

    def forget(self) -> None:
        """Begin anew with what is logged from now on."""
        self.checkpoint()
        self.pages.clear()
        self.bytes = 0

    def checkpoint(self) -> int:
        """Count the frames since the last look; return their bytes."""
        data = self._wal.read_bytes()
        salt = data[16:24]
        before = self.bytes
        at = self._at[1] if self._at[0] == salt else HEADER
        page_size = int.from_bytes(data[8:12], "big")
        while at + FRAME_HEADER + page_size <= len(data) and data[at + 8 : at + 16] == salt:
            self.pages[struct.unpack(">I", data[at : at + 4])[0]] += 1
            self.bytes += FRAME_HEADER + page_size
            at += FRAME_HEADER + page_size
        self._at = salt, at
        return self.bytes - before

    def by_table(self) -> Counter[str]:
        """Return how many frames belong to each table or index, as the file is now."""
        connection = sqlite3.connect(self._path)
        try:
            names = dict(connection.execute("SELECT pageno, name FROM dbstat"))
            page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        finally:
            connection.close()
        apart = page_size // 5 + 1
        found: Counter[str] = Counter()
        for page, times in self.pages.items():
            pointers = (page - 2) % apart == 0
            found[FIRST if page == 1 else POINTERS if pointers else names.get(page, FREE)] += times
        return found
