"""Writes a bundle, a directory or a packed one, that only its owner may read, whole or not at all."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from leakwatch import outfile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

    from leakwatch.evidence.entry import Entry

PACKED = (".tar.gz", ".tgz")
_ADVICE = "give another name with -o"


def write(entries: Iterable[Entry], path: Path, at_s: float) -> None:
    """Write a bundle to a path that is not there yet; packed where its name says so.

    Raises OutputExistsError or OutputWriteError, and leaves nothing behind then.
    """
    if path.name.endswith(PACKED):
        top = next(path.name.removesuffix(suffix) for suffix in PACKED if path.name.endswith(suffix))
        with outfile.file(path, advice=_ADVICE) as raw:
            _pack(entries, raw, top, at_s)
        return
    with outfile.directory(path, advice=_ADVICE) as part:
        for entry in entries:
            if entry.data is not None:
                (part / entry.name).touch(outfile.OWNER_ONLY, exist_ok=False)
                (part / entry.name).write_bytes(entry.data)


def _pack(entries: Iterable[Entry], raw: BinaryIO, top: str, at_s: float) -> None:
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if entry.data is not None:
                info = tarfile.TarInfo(f"{top}/{entry.name}")
                info.size, info.mode, info.mtime = len(entry.data), 0o600, int(at_s)
                tar.addfile(info, io.BytesIO(entry.data))
