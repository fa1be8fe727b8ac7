"""``leakwatch ps -S``: trees packed by smemcap, and by hand as it packs them."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakwatch.cli.main import main

Trees = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]


def listed(capsys: Capture, *options: str) -> list[dict[str, Any]]:
    assert main(["ps", "--format", "json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def packed(proc: Path, target: Path, *, uid: int = 4321) -> Path:
    """Pack a tree as smemcap does: meminfo, then of each process its directory and three files."""
    with tarfile.open(target, "w") as archive:
        processes = sorted(proc.glob("[0-9]*"))
        files = [one / name for one in processes for name in ("smaps", "cmdline", "stat")]
        for path in [proc / "meminfo", *processes, *files]:
            member = archive.gettarinfo(path, str(path.relative_to(proc)))
            member.uid = uid
            with path.open("rb") if path.is_file() else io.BytesIO() as data:
                archive.addfile(member, data)
    return target


def test_a_capture_gives_what_the_tree_gives(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    capture = packed(proc, tmp_path / "capture.tar")
    for options in ([], ["-m"], ["-w"], ["-M", "heap"]):
        theirs = listed(capsys, "--proc", str(proc), *options)
        found = listed(capsys, "-S", str(capture), *options)
        assert [one | {"user": ""} for one in found] == [one | {"user": ""} for one in theirs]
    assert [one["user"] for one in listed(capsys, "-S", str(capture), "-n")] == [4321, 4321], "the archive's"


def test_it_may_be_packed_or_a_directory(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    capture = packed(proc, tmp_path / "capture.tar")
    small = tmp_path / "capture.tar.gz"
    small.write_bytes(gzip.compress(capture.read_bytes()))
    expected = listed(capsys, "-S", str(capture), "-c", "pid pss")
    assert len(expected) == 2
    assert listed(capsys, "-S", str(small), "-c", "pid pss") == expected
    assert listed(capsys, "-S", str(proc.parent), "-c", "pid pss") == expected


def test_a_process_the_capture_was_refused_is_counted(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    (proc / "1" / "smaps").write_bytes(b"")
    capture = packed(proc, tmp_path / "capture.tar")
    assert main(["ps", "-S", str(capture), "-H"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["1301"]
    assert err == f"Not read: 1 process, such as {capture}: 1/smaps: ENOENT.\n"


def test_nothing_is_written_outside(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    capture = packed(proc_tree("linux-3.10-x86_64"), tmp_path / "capture.tar")
    evil = tmp_path / "evil"
    with tarfile.open(capture, "a") as archive:
        for name in (str(evil), "../evil", "1/../../evil", "1/fd"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("7")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        through = tarfile.TarInfo("7/smaps")
        through.size = 4
        archive.addfile(through, io.BytesIO(b"evil"))
    listed(capsys, "-S", str(capture))
    assert {path.name for path in tmp_path.iterdir()} == {"capture.tar", "linux-3.10-x86_64"}


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (None, 66, "cannot be read or unpacked: No such file or directory"),
        (b"no tar at all", 65, "no tar as smemcap writes it"),
        (b"\0" * 10240, 65, "nothing of /proc in it; make one with: sudo smemcap > "),
    ],
)
def test_what_is_no_capture_is_said_in_one_line(
    data: bytes | None, code: int, words: str, tmp_path: Path, capsys: Capture
) -> None:
    capture = tmp_path / "capture.tar"
    if data is not None:
        capture.write_bytes(data)
    assert main(["ps", "-S", str(capture)]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_a_capture_cut_short_is_refused(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    capture = packed(proc_tree("linux-3.10-x86_64"), tmp_path / "capture.tar")
    whole = capture.read_bytes()
    place = whole.index(b"Private_Clean")  # in the middle of a file
    capture.write_bytes(whole[:place])
    assert main(["ps", "-S", str(capture)]) == 65
    capture.write_bytes(gzip.compress(whole)[:-200])
    assert main(["ps", "-S", str(capture)]) == 65
    assert capsys.readouterr().err.count("cut short") == 2


@pytest.mark.skipif(shutil.which("smemcap") is None, reason="smemcap is not installed (apt-get install smemcap)")
def test_what_smemcap_packs_here_is_read(tmp_path: Path, capsys: Capture) -> None:
    with (tmp_path / "now.tar").open("wb") as file:
        subprocess.run(["smemcap"], stdout=file, check=True, timeout=60)
    found = {one["pid"]: one for one in listed(capsys, "-S", str(tmp_path / "now.tar"))}
    own = found[os.getpid()]
    size = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert size is not None
    assert own["vss_bytes"] == pytest.approx(int(size[1]) << 10, rel=0.2)
    assert own["pss_bytes"] > 10 << 20
    assert own["command"] == Path("/proc/self/cmdline").read_bytes()[:-1].replace(b"\0", b" ").decode()[:16384]
