"""Captures that unpack to more than a machine has, and files that never end: 65 with the file's name, little memory."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import CaptureError
from leakwatch.ps.smemcap import captured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


def packed(path: Path, member: tarfile.TarInfo, mib: int) -> Path:
    """Write a tar of one member of so many MiB of zeros, by gzip or xz as the name says."""
    with lzma.LZMAFile(path, "wb", preset=0) if path.suffix == ".xz" else gzip.GzipFile(path, "wb", 1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(mib):
            file.write(bytes(MIB))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, mib: int = 600) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, mib * MIB
    return info


def many(path: Path) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for pid in range(1, 7):
            info = tarfile.TarInfo(f"{pid}/smaps")
            info.size = 100 * MIB
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("one.gz", lambda path: packed(path, member("1/smaps"), 600)),
        ("one.xz", lambda path: packed(path, member("1/smaps"), 600)),
        ("passed-over.gz", lambda path: packed(path, member("elsewhere"), 600)),
        ("attributes.gz", lambda path: packed(path, member("x", tarfile.XHDTYPE), 600)),
        ("long-name.gz", lambda path: packed(path, member("x", tarfile.GNUTYPE_LONGNAME), 600)),
        ("sparse.gz", lambda path: packed(path, member("1/smaps", mib=1 << 40), 1)),
        ("many.gz", many),
        ("fifo", fifo),
    ],
)
def test_a_capture_is_bounded(tmp_path: Path, name: str, make: Callable[[Path], Path]) -> None:
    source = make(tmp_path / name)
    tracemalloc.start()
    try:
        with pytest.raises(CaptureError, match=name), captured(str(source)):
            pass
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_is_no_capture(device: str) -> None:
    with pytest.raises(CaptureError, match=device), captured(device):
        pass
