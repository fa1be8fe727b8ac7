"""What is kept and shown of command lines: one choice for the store, ps and the evidence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.processes.statm_scan import IdentityReader
from leakwatch.model.identity import ProcessIdentity
from leakwatch.procfs.fs import ProcFS
from leakwatch.ps.reading import ReadRequest, read

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = {
    "redacted": "python3 worker.py --password [redacted]",
    "none": "",
    "full": "python3 worker.py --password sesame",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    process = tmp_path / "proc" / "41"
    process.mkdir(parents=True)
    (process / "stat").write_text(f"41 (python3) S 1 41 41 0 -1 4194560 {'0 ' * 8}20 0 1 0 77 1000 10 {'0 ' * 28}")
    (process / "status").write_text("Name:\tpython3\nState:\tS\nUid:\t0\t0\t0\t0\nVmRSS:\t40 kB\nThreads:\t1\n")
    (process / "cmdline").write_bytes(b"python3\0worker.py\0--password\0sesame\0")
    (process / "smaps").write_text(
        "00400000-00402000 rw-p 00000000 00:00 0 \nSize: 8 kB\nRss: 8 kB\nPss: 8 kB\nShared_Clean: 0 kB\n"
        "Shared_Dirty: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 8 kB\nSwap: 0 kB\n"
    )
    (process / "smaps_rollup").write_text((process / "smaps").read_text())
    return tmp_path / "proc"


@pytest.mark.parametrize(("choice", "shown"), SHOWN.items())
def test_a_command_line_is_kept_as_configured_and_the_service_is_the_same(tree: Path, choice: str, shown: str) -> None:
    procfs = ProcFS(str(tree), command_lines=choice)
    info = IdentityReader(procfs).info(ProcessIdentity("boot", 41, 77), "python3", None)
    assert (info.command, info.service.name) == (shown, "python3 worker.py")


@pytest.mark.parametrize(("choice", "shown"), SHOWN.items())
def test_ps_shows_it_as_configured_and_finds_it_by_what_it_is(tree: Path, choice: str, shown: str) -> None:
    found = read(ProcFS(str(tree), command_lines=choice), ReadRequest(process=re.compile("sesame")))
    assert [held.command for held in found.held] == [shown or "[python3]"]
