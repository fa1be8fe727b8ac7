"""The parts of a bundle: who may read it, whole or not at all; the shelf's bounds; what is cut and summed up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from leakwatch.errors import OutputExistsError, StoreWriteError
from leakwatch.evidence import bundle
from leakwatch.evidence.bundle import BundleEntry, bounded
from leakwatch.evidence.gather import _steps as steps_entry
from leakwatch.evidence.gather import readme
from leakwatch.model.identity import ProcessIdentity, ProcessInfo, Service, ServiceKind
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import Verdict
from leakwatch.nextsteps.locate import read_traces
from leakwatch.procfs.fs import ProcFS
from leakwatch.report.build import ReportRow
from tests.report.report_findings import finding

ENTRIES = [BundleEntry("a.txt", "the letter", b"a\n"), BundleEntry("b.txt", "the other", None, "nobody had it")]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        bundle.write(ENTRIES, tmp_path / "out", 0)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "out"), mode(tmp_path / "out/a.txt")) == (0o700, 0o600)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.txt"]


def test_a_packed_one_too_and_it_opens_into_one_directory(tmp_path: Path) -> None:
    path = tmp_path / "i0a1b2c3d.tar.gz"
    bundle.write(ENTRIES, path, 1_700_000_000)
    assert mode(path) == 0o600
    with tarfile.open(path) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode, member.mtime) == ("i0a1b2c3d/a.txt", 0o600, 1_700_000_000)


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/nowhere")
    for name in ("out", ""):
        with pytest.raises(OutputExistsError, match="is there already"):
            bundle.write(ENTRIES, tmp_path / name, 0)


@pytest.mark.parametrize("name", ["out", "out.tar.gz"])
def test_one_that_cannot_be_finished_leaves_nothing(tmp_path: Path, name: str) -> None:
    def broken() -> object:
        yield ENTRIES[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreWriteError, match="No space left"):
        bundle.write(broken(), tmp_path / name, 0)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreWriteError, match="cannot be written: No such file"):
        bundle.write(ENTRIES, tmp_path / "missing" / name, 0)


def test_a_file_too_large_is_cut_at_a_line_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 10)
    found = bounded("x", "", b"12345\n78\n01234\n")
    assert (found.data, found.note) == (b"12345\n78\n", "cut: the first 9 of 15 bytes")
    assert bounded("x", "", b"12345\n789\n").note == ""


def test_the_readme_says_what_is_what_and_what_is_missing() -> None:
    text = (readme("of shop", ["leak: +1 MiB/h"], ENTRIES).data or b"").decode()
    assert text.startswith("of shop\n=======\n\nleak: +1 MiB/h\n")
    assert "  a.txt  the letter\n" in text
    assert "Missing:\n\n  b.txt  nobody had it\n" in text
    assert "[redacted]" in text


def test_mappings_are_summed_up_by_name_largest_first() -> None:
    def mapping(head: str, rss: int, dirty: int) -> str:
        sizes = f"Rss: {rss} kB\nPss: {rss} kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: {dirty} kB\nSwap: 0 kB\n"
        return f"{head}\nSize: 100 kB\n{sizes}"

    smaps = "".join((
        mapping("100000-119000 r-xp 00000000 fe:00 12 /lib/x y.so", 30, 2),
        mapping("119000-132000 rw-p 00000000 fe:00 12 /lib/x y.so", 20, 3),
        mapping("132000-14b000 rw-p 00000000 00:00 0 [heap]", 90, 80),
        mapping("14b000-164000 rw-p 00000000 00:00 0 ", 5, 4),
        mapping("164000-17d000 rw-s 00000000 00:01 9", 5, 0),
    ))  # fmt: skip
    rows = [line.split("\t") for line in bundle.summary(smaps.encode()).decode().splitlines()]
    assert tuple(rows[0]) == bundle.COLUMNS
    assert [row[0] for row in rows[1:]] == ["[heap]", "/lib/x y.so", "[nameless]", "[shared, nameless]"]
    assert rows[2][1:] == ["2", "204800", "51200", "51200", "7168", "0"]


def test_the_mappings_of_a_real_process_add_up_to_its_rollup() -> None:
    smaps = Path("/proc/self/smaps").read_bytes()
    rows = [line.split("\t") for line in bundle.summary(smaps).decode().splitlines()[1:]]
    rollup = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    rss = sum(int(row[3]) for row in rows) / 1024
    assert rss == pytest.approx(int(rollup["Rss"].split()[0]), rel=0.05)


def test_the_steps_take_any_path_of_an_interpreter() -> None:
    argv = [b"/\xff\x1b[31m/python3", "-c", "import time; print(flush=True); time.sleep(60)"]
    procfs = ProcFS()
    with subprocess.Popen(argv, executable=sys.executable, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            began = procfs.stat(process.pid)
            assert not isinstance(began, Absence)
            info = ProcessInfo(
                ProcessIdentity(procfs.boot_id(), process.pid, began.start_ticks),
                "x", "x", 0, Service(ServiceKind.PROGRAM, "x"),
            )  # fmt: skip
            leak = replace(finding("p1", "x", Verdict.LEAK), pid=process.pid)
            traces = read_traces(procfs, process.pid)
            steps = steps_entry(procfs, ReportRow(leak, None, None), [info])
        finally:
            process.kill()
    assert traces is not None
    assert traces.arguments[0] == "/\\xff\x1b[31m/python3"  # reports have it in JSON, which knows no lone surrogate
    assert steps.data is not None
    assert b"/\\xff\\x1b[31m/python3" in steps.data


def kept(tmp_path: Path, *stamps: str, size: int = 10) -> list[bundle.KeptBundle]:
    for number, stamp in enumerate(stamps):
        (tmp_path / f"i0000000{number}-{stamp}.tar.gz").write_bytes(bytes(size))
    return bundle.kept(tmp_path)


def test_the_shelf_goes_by_age_then_size_then_number(tmp_path: Path) -> None:
    bundles = kept(tmp_path, "20261101T000000Z", "20261103T000000Z", "20261102T000000Z")
    assert [one.stamp[6:8] for one in bundles] == ["01", "02", "03"]

    def gone(oldest: str, size: int, most: int = 100) -> list[str]:
        return [one.stamp[6:8] for one in bundle.surplus(bundles, oldest, size, most)]

    assert gone("20261101T000000Z", 30) == []
    assert gone("20261102T000000Z", 30) == ["01"]
    assert gone("20261101T000000Z", 29) == ["01"]
    assert gone("20261102T000000Z", 10) == ["01", "02"]
    assert gone("20261101T000000Z", 99, 1) == ["01", "02"]
    assert gone("20261101T000000Z", 0) == ["01", "02", "03"]


def test_the_shelf_touches_only_what_is_its_own(tmp_path: Path) -> None:
    bundles = kept(tmp_path, "20261101T000000Z")
    (tmp_path / "notes.tar.gz").write_text("mine")
    (tmp_path / "i00000009-20261101T000000Z.tar.gz.part").write_text("interrupted")
    bundle.remove(bundles, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.tar.gz"]
    assert bundle.kept(tmp_path / "missing") == []
