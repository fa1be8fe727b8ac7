"""Turning the words of a /proc file into integers and text, strictly.

``int()`` is too kind for this: it takes ``-5``, ``1_000`` and 4000 digits, none of which a kernel prints, and the
last of which no database holds.

Files of ``name number`` lines: ``memory.stat``, ``memory.events``, ``memory.oom_control``, ``/proc/vmstat``.

The kernel's documents call this "flat keyed" (admin-guide/cgroup-v2.rst). Newer kernels add names, none takes one away
without a reason; so what is not asked for is passed over, and what is asked for and not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from leakwatch.text.escape import as_text


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
