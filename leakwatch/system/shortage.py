"""Where memory runs short: told apart from a defect, and seen before it has run out.

At a limit of address space CPython may not come back from an exception. To handle one that is raised beyond the 256th
instruction of a function it makes an integer, and where there is no memory for that it tries again for ever, with its
lock held: no other thread runs and no signal is followed (``exception_unwind`` in ceval.c of 3.11). So work that takes
memory begins only where there is room for it.
"""

from __future__ import annotations

import mmap
from types import TracebackType

from leakwatch.errors import NoResourcesError

ROOM_BYTES = 8 << 20
"""What must be left before work begins: the stack of one thread, and several times what a scrape adds."""

_TEXTS = (
    "failed to map segment",
    "Cannot allocate memory",
    "can't start new thread",
    "can't allocate lock",
    "error return without exception",
)
"""In errors of the loader and of Python that are not called MemoryError."""


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory, or room for a further thread, is missing."""
    return isinstance(error, MemoryError | NoResourcesError) or any(text in str(error) for text in _TEXTS)


class MemoryFor:
    """``with MemoryFor("a scrape"):`` raises NoResourcesError where memory does not suffice for what is inside."""

    def __init__(self, what: str, room_bytes: int = ROOM_BYTES) -> None:
        self._error = NoResourcesError(f"too little memory for {what}; allow the daemon more (MemoryMax=, ulimit -v)")
        self._room_bytes = room_bytes

    def __enter__(self) -> None:
        try:
            # Never touched, so it costs address space and commitment for a moment, and no memory.
            mmap.mmap(-1, self._room_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except (OSError, MemoryError, OverflowError):
            raise self._error from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and is_shortage(error):
            raise self._error from None
