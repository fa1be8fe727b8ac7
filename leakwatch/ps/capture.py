"""A /proc tree as smem's ``smemcap`` packs it, or a directory that holds one, to be read like the machine's own.

The archive is a tar, plain or packed, of ``meminfo``, ``version`` and, for each process, a directory that belongs to
its owner with ``smaps``, ``cmdline`` and ``stat`` in it. ``smemcap`` writes an empty ``smaps`` where it was refused.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.errors import CaptureError, CaptureNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = re.compile(r"[1-9][0-9]{0,9}")
_FILE = re.compile(r"meminfo|version|[1-9][0-9]{0,9}/(smaps|smaps_rollup|cmdline|stat|statm)")
"""What is unpacked; anything else in an archive, paths out of it among that, is passed over."""


@contextmanager
def captured(source: str) -> Iterator[str]:
    """Yield the root of the tree, which is gone afterwards where it was unpacked; raises the errors of captures."""
    if Path(source).is_dir():
        yield str(Path(source, "proc"))
        return
    with tempfile.TemporaryDirectory(prefix="leakwatch-") as root:
        try:
            _unpack(source, Path(root))
        except (tarfile.TarError, EOFError, zlib.error) as error:
            why = str(error).partition("\n")[0].rstrip(":")
            raise CaptureError(f"{source}: no tar as smemcap writes it, or cut short: {why}") from None
        except OSError as error:
            raise CaptureNotFoundError(f"{source} cannot be read or unpacked: {error.strerror or error}") from None
        yield root


def _unpack(source: str, root: Path) -> None:
    found = 0
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isdir() and _DIRECTORY.fullmatch(name):
                (root / name).mkdir(exist_ok=True)
                # Whom it belongs to cannot be given to a directory without privileges; ProcFS finds it here, too.
                (root / name / "status").write_text(f"Name:\t{name}\nUid:\t{member.uid}\n", encoding="ascii")
            elif member.isfile() and member.size and _FILE.fullmatch(name) and (packed := archive.extractfile(member)):
                (root / name).parent.mkdir(exist_ok=True)
                with packed, (root / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
                found += 1
    if not found:
        raise CaptureError(f"{source}: nothing of /proc in it; make one with: sudo smemcap > {source}")
