"""Writes a bundle, a directory or a packed one, that only its owner may read, whole or not at all."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from leakwatch.evidence.entry import BundleEntry
from leakwatch.text import outfile
from leakwatch.text.escape import printable

PACKED = (".tar.gz", ".tgz")
_ACTS = re.compile(rb"[^\t\n\x20-\x7e]")
_ADVICE = "give another name with -o"


def write(entries: Iterable[BundleEntry], path: Path, at_s: float) -> None:
    """Write a bundle to a path that is not there yet; packed where its name says so, and into a pipe or a device.

    Raises OutputExistsError or OutputWriteError, and leaves nothing behind then.
    """
    packed = [path.name.removesuffix(suffix) for suffix in PACKED if path.name.endswith(suffix)]
    if packed or not outfile.is_replaceable(path):
        with outfile.file(path, advice=_ADVICE) as raw:
            _pack(entries, raw, packed[0] if packed else "leakwatch-evidence", at_s)
        return
    with outfile.directory(path, advice=_ADVICE) as part:
        for entry in entries:
            if entry.data is not None:
                (part / entry.name).touch(outfile.OWNER_ONLY, exist_ok=False)
                (part / entry.name).write_bytes(_readable(entry.data))


def _pack(entries: Iterable[BundleEntry], raw: BinaryIO, top: str, at_s: float) -> None:
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if entry.data is not None:
                data = _readable(entry.data)
                info = tarfile.TarInfo(f"{top}/{entry.name}")
                info.size, info.mode, info.mtime = len(data), 0o600, int(at_s)
                tar.addfile(info, io.BytesIO(data))


def _readable(data: bytes) -> bytes:
    """Return text in which nothing acts on what shows it: the kernel prints names of files and programs as they are."""
    if not _ACTS.search(data):
        return data
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines).encode()
