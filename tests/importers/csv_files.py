"""Bytes of captured files, handed to the reader in pieces of any size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from leakwatch.importers.files import open_captures, read_stream

if TYPE_CHECKING:
    from leakwatch.analysis.replay.capture import Capture

HEADER = b"time,series,value\n"

Series = dict[str, list[tuple[int, float]]]


class Pieces(io.BytesIO):
    """A stream that gives no more than so many bytes at a time, as a pipe does."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def captures(data: bytes, most: int = 1 << 20) -> list[Capture]:
    return read_stream(Pieces(data, most), "f.csv")


def read_path(path: str, factor: int | None = None) -> list[Capture]:
    (file,) = open_captures([path], factor)
    return file.captures


def series(found: list[Capture]) -> Series:
    return {one.name: list(zip(one.times_ms.tolist(), one.values.tolist(), strict=True)) for one in found}


def read(data: bytes, most: int = 1 << 20) -> Series:
    return series(captures(data, most))
