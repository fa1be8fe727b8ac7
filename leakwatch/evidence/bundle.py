"""Writes a bundle, a directory or a packed one, that nobody but its owner may read, whole or not at all."""

# ruff: noqa: PTH105 - os.replace and Path.replace are one

from __future__ import annotations

import io
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

from leakwatch.errors import OutputExistsError, StoreWriteError
from leakwatch.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from leakwatch.evidence.entry import Entry

PACKED = (".tar.gz", ".tgz")
PART = ".part"
"""Behind the name of a bundle that is not complete yet."""


def write(entries: Iterable[Entry], path: Path, at_s: float) -> None:
    """Write a bundle to a path that is not there yet; packed where its name says so.

    Raises OutputExistsError or StoreWriteError, and leaves nothing behind then.
    """
    if os.path.lexists(path):
        raise OutputExistsError(f"{printable(str(path))} is there already; give another name with -o")
    part = path.with_name(path.name + PART)
    try:
        if path.name.endswith(PACKED):
            _packed(entries, part, path.name, at_s)
        else:
            _directory(entries, part)
        os.replace(part, path)
    except OSError as error:
        raise StoreWriteError(f"{printable(str(path))} cannot be written: {error.strerror}") from None
    finally:
        if os.path.lexists(part):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def _packed(entries: Iterable[Entry], part: Path, name: str, at_s: float) -> None:
    top = next(name.removesuffix(suffix) for suffix in PACKED if name.endswith(suffix))
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if entry.data is not None:
                info = tarfile.TarInfo(f"{top}/{entry.name}")
                info.size, info.mode, info.mtime = len(entry.data), 0o600, int(at_s)
                tar.addfile(info, io.BytesIO(entry.data))


def _directory(entries: Iterable[Entry], part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    for entry in entries:
        if entry.data is not None:
            descriptor = os.open(part / entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(entry.data)
