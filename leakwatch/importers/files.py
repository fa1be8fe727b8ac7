"""Captured files: opened, unpacked if they are gzip, told apart by their first bytes, and read."""

from __future__ import annotations

import errno
import sys
import zlib
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from leakwatch.analysis.replay.capture import Capture
from leakwatch.errors import CaptureError, CaptureNotFoundError, PermissionNeededError
from leakwatch.importers.csv_file import read_csv
from leakwatch.importers.scales import doubt_of
from leakwatch.text.escape import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

STDIN = "-"
BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of captured file."""

    name: str
    recognise: Callable[[bytes, str], bool]
    """Whether a file is of it, by its first bytes, unpacked, and its name ("stdin" of standard input)."""
    read: Callable[[Iterable[bytes], str, int | None], list[Capture]]
    """Returns the series by the file's blocks of bytes, its name, and by what its values are to be multiplied, None
    where only the file tells. Raises CaptureError, ``FILE:LINE:COLUMN: what is wrong; what to do``."""


FORMATS = (Format("csv", lambda _first, _name: True, read_csv),)
"""The first that recognises a file reads it. CSV is the last: its errors say what a file lacks that is of no format."""


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """What one file holds."""

    path: str
    captures: list[Capture]
    """In the order in which they first come."""
    doubt: str
    """What shows that its values are in another unit than it is said to have, empty where nothing does."""


def open_captures(paths: Iterable[str], factor: int | None = None) -> Iterator[CapturedFile]:
    """Yield each file's series, of ``-`` those of standard input; ``factor`` is the bytes of their unit, if known.

    Raises CaptureError with the place of the first thing that is wrong, CaptureNotFoundError and PermissionNeededError.
    """
    for path in paths:
        captures = _read(path, factor)
        yield CapturedFile(path, captures, doubt_of(captures) if factor is None else "")


def name_of(path: str) -> str:
    """Return what a file is called in messages."""
    return "stdin" if path == STDIN else path


def _read(path: str, factor: int | None) -> list[Capture]:
    name = name_of(path)
    try:
        if path == STDIN:
            return read_stream(_stdin(), name, factor)
        with open(path, "rb") as stream:  # noqa: PTH123 - a name, not a path to work with
            return read_stream(stream, name, factor)
    except PermissionError:
        raise PermissionNeededError(f"{printable(name)} may not be read; make it readable for this user") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        cause = getattr(error, "strerror", None) or str(error)
        raise CaptureNotFoundError(f"{printable(name)} cannot be read: {cause}; give the path of a file") from None


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


def read_stream(stream: BinaryIO, name: str, factor: int | None = None) -> list[Capture]:
    """Return the series of an open stream. Raises CaptureError and OSError."""
    blocks = _unpacked(iter(partial(stream.read, BLOCK_BYTES), b""))
    try:
        first = next(blocks, b"")
    except CaptureError as error:
        raise CaptureError(f"{printable(name)}:1:1: {error}") from None
    form = next(form for form in FORMATS if form.recognise(first, name))
    return form.read(chain([first], blocks), name, factor)


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack what begins like gzip, whatever its name; of one member or, as ``cat a.gz b.gz`` makes it, several.

    Raises CaptureError without a place, which only who reads on knows.
    """
    first = next(blocks, b"")
    while len(first) < len(_GZIP) and (more := next(blocks, b"")):
        first += more  # a pipe may give a byte at a time
    blocks = chain([first], blocks)
    if not first.startswith(_GZIP):
        yield from blocks
        return
    unpack = zlib.decompressobj(wbits=31)
    for block in blocks:
        data = block
        while data:
            if unpack.eof:
                data = data.lstrip(b"\0")  # tape blocks are filled up so, and gzip(1) does not mind
                if not data:
                    break
                unpack = zlib.decompressobj(wbits=31)
            try:
                plain = unpack.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise CaptureError(f"the compressed data are damaged ({error}); copy the file again") from None
            data = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            if plain:
                yield plain
    if not unpack.eof:
        raise CaptureError("the compressed data end too early; copy the file again, or let its writer finish")
