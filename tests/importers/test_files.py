"""A captured file is unpacked, told by its first bytes or its name, and read by the row of its format."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.importers import files
from leakwatch.importers.files import Format, open_captures

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_words(blocks: Iterable[bytes], file: str, factor: int | None) -> list[Capture]:
    """Read a format of one series: a word of magic, then a value a second."""
    values = [float(word) * (factor or 1) for word in b"".join(blocks).split()[1:]]
    times_ms = np.arange(len(values), dtype=np.int64) * 1000
    return [Capture(file.rsplit("/", 1)[-1], subject_of("x"), times_ms, np.array(values))]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Format("words", lambda first, name: first.startswith(b"WORDS ") or name.endswith(".words"), read_words)
    monkeypatch.setattr(files, "FORMATS", (row, *files.FORMATS))


@pytest.mark.usefixtures("words")
def test_a_format_is_a_row_and_each_file_is_read_by_its_own(tmp_path: Path) -> None:
    contents = {
        "plain": b"WORDS 1 2",
        "packed": gzip.compress(b"WORDS 3"),
        "by.words": b"words 4",
        "a.csv": b"time,series,value\n1,x,5\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = list(open_captures([str(tmp_path / name) for name in contents], 1024))
    assert [one.path for one in found] == [str(tmp_path / name) for name in contents]
    assert [[(one.name, one.values.tolist()) for one in file.captures] for file in found] == [
        [("plain", [1024.0, 2048.0])],
        [("packed", [3072.0])],
        [("by.words", [4096.0])],
        [("x", [5120.0])],
    ]


def test_a_file_is_opened_when_the_one_before_has_been_taken(tmp_path: Path) -> None:
    first = tmp_path / "a.csv"
    first.write_bytes(b"time,series,value\n1,proc/x[1],6001\n")
    found = open_captures([str(first), str(tmp_path / "none")])
    assert "look like kB" in next(found).doubt
    assert next(open_captures([str(first)], 1024)).doubt == ""
