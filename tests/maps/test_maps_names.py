"""``leakwatch maps`` of a recorded process that maps what no file system holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakwatch.cli.main import main

TREE = Path(__file__).parents[1] / "data/maps/special-names"


@pytest.mark.parametrize(
    "title",
    [
        "shared memory named foo", "memory named JavaScriptCore", "graphics memory i915",
        "graphics memory drm mm object", "graphics memory /dev/dri/card0", "memory shared with the kernel [io_uring]",
        "memory shared with the kernel [aio]", "memfd pulseaudio",
        "System V segment SYSV00000000", "shared anonymous memory", "shared memory /dev/shm/sem.x",
    ],
)  # fmt: skip
def test_what_is_no_file_is_not_called_one(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["maps", "--once", "--proc", str(TREE), "2001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(f"{title} ") for line in lines) == 1
    assert {line.split("  ")[0] for line in lines if line.startswith("file ")} == {
        r"file /home/u/with\x0anewline and", "file //toto"
    }  # fmt: skip
