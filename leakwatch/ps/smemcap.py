"""A /proc tree as smem's ``smemcap`` packs it, or a directory that holds one, to be read like the machine's own.

The archive is a tar, plain or packed, of ``meminfo``, ``version`` and, for each process, a directory that belongs to
its owner with ``smaps``, ``cmdline`` and ``stat`` in it. ``smemcap`` writes an empty ``smaps`` where it was refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from leakwatch.errors import CaptureError, CaptureNotFoundError
from leakwatch.procfs.files import is_directory
from leakwatch.text.escape import printable

_DIRECTORY = re.compile(r"[1-9][0-9]{0,9}")
_FILE = re.compile(r"meminfo|version|[1-9][0-9]{0,9}/(smaps|smaps_rollup|cmdline|stat|statm)")
"""What is unpacked; anything else in an archive, paths out of it among that, is passed over."""


MOST_BYTES = 512 << 20
"""Unpacked: what four thousand processes have. A tar of some megabytes can unpack to any size."""
MOST_OF_A_FILE = 128 << 20
"""smaps of 180,000 mappings, three times what one process may have by default."""
MOST_PROCESSES = 100_000
MOST_AT_ONCE = 1 << 20
"""The longest name or list of attributes that is believed: tarfile reads each at once."""
_PACKED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,
}


@contextmanager
def captured(source: str) -> Iterator[str]:
    """Yield the root of the tree, which is gone afterwards where it was unpacked; raises the errors of captures."""
    named = printable(source)
    if is_directory(source):
        yield str(Path(source, "proc"))
        return
    with tempfile.TemporaryDirectory(prefix="leakwatch-") as root:
        try:
            _unpack(source, Path(root))
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OverflowError) as error:
            why = printable(str(error).partition("\n")[0].rstrip(":"))
            raise CaptureError(f"{named}: no tar as smemcap writes it, or cut short: {why}") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if isinstance(error, OSError) and error.errno is None:  # bz2's word for damage
                raise CaptureError(f"{named}: no tar as smemcap writes it: {printable(str(error))}") from None
            cause = getattr(error, "strerror", None) or str(error)
            raise CaptureNotFoundError(f"{named} cannot be read or unpacked: {cause}") from None
        yield root


class _Bounded:
    """What is packed, from its beginning on, for tarfile: no more of it than may be unpacked, and not much at once."""

    def __init__(self, file: IO[bytes], named: str) -> None:
        self._file, self._named = file, named

    def read(self, size: int) -> bytes:
        if size > MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes in it")
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, to: int) -> int:
        self._check(to)
        return self._file.seek(to)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, to: int) -> None:
        if to > MOST_BYTES:
            raise CaptureError(
                f"{self._named}: more than {MOST_BYTES >> 20} MiB unpacked; a capture has a hundredth of it"
            )


def _unpack(source: str, root: Path) -> None:
    with _opened(source) as raw:
        head = raw.read(6)
        raw.seek(0)
        unpack = next((unpack for magic, unpack in _PACKED.items() if head.startswith(magic)), None)
        with unpack(raw) if unpack else raw as file:
            bounded = cast("IO[bytes]", _Bounded(file, printable(source)))
            with tarfile.open(fileobj=bounded, mode="r:") as archive:
                found = _unpack_all(archive, source, root)
    if not found:
        name = printable(source)
        raise CaptureError(f"{name}: nothing of /proc in it; make one with: sudo smemcap > {name}")


def _opened(source: str) -> BinaryIO:
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CaptureError(f"{printable(source)}: no file; give the path of what smemcap wrote")
    return os.fdopen(descriptor, "rb")


def _unpack_all(archive: tarfile.TarFile, source: str, root: Path) -> int:
    """Unpack what there is of /proc; return how many files that is."""
    found = processes = 0
    for member in archive:
        archive.members.clear()  # type: ignore[attr-defined]  # else all of them are kept
        name = member.name.removeprefix("./")
        if member.isdir() and _DIRECTORY.fullmatch(name):
            processes += 1
            if processes > MOST_PROCESSES:
                raise CaptureError(f"{printable(source)}: more than {MOST_PROCESSES} processes; that is no machine's")
            (root / name).mkdir(exist_ok=True)
            # Whom it belongs to cannot be given to a directory without privileges; ProcFS finds it here, too.
            (root / name / "status").write_text(f"Name:\t{name}\nUid:\t{member.uid}\n", encoding="ascii")
        elif member.isfile() and member.size and _FILE.fullmatch(name) and (packed := archive.extractfile(member)):
            if member.size > MOST_OF_A_FILE:
                raise CaptureError(f"{printable(source)}: {name} in it has {member.size >> 20} MiB; that is no smaps")
            (root / name).parent.mkdir(exist_ok=True)
            with packed, (root / name).open("wb") as file:
                shutil.copyfileobj(packed, file)
            found += 1
    return found
