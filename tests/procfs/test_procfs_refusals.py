"""What is said when a file cannot be read: refused, vanished, damaged, missing."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.files import absence, read_file
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = TypeVar("Answer")
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="drops root's privileges, so it needs them")


def as_nobody(ask: Callable[[], Answer]) -> Answer:
    """Return the answer as a process without privileges gets it; root ignores file modes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writer, pickle.dumps(ask()))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    return pickle.loads(data)  # type: ignore[no-any-return]


@pytest.fixture
def open_tree() -> Iterator[Path]:
    """Return a folder that everyone may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "proc"
    shutil.rmtree(folder)


def reason(found: object) -> AbsenceReason:
    assert isinstance(found, Absence), found
    return found.reason


@pytest.mark.root
@needs_root
def test_given_a_file_only_root_may_read_it_is_denied_with_path_and_cause(
    open_tree: Path, proc_tree: Callable[[str], Path]
) -> None:
    shutil.copytree(proc_tree("linux-3.10-x86_64"), open_tree, symlinks=True)
    for name in ("slabinfo", "1301/smaps", "1301/statm", "1301/status"):
        (open_tree / name).chmod(0o400)
    proc = ProcFS(str(open_tree))
    assert as_nobody(proc.slabinfo) == Absence(AbsenceReason.DENIED, f"{open_tree}/slabinfo: EACCES")
    assert as_nobody(lambda: proc.status(1301)) == Absence(AbsenceReason.DENIED, f"{open_tree}/1301/status: EACCES")
    assert reason(as_nobody(lambda: proc.memory(1301))) is AbsenceReason.DENIED
    assert reason(as_nobody(lambda: proc.statm(1301))) is AbsenceReason.DENIED


@pytest.mark.root
@needs_root
def test_given_a_process_of_root_nobody_is_denied_its_memory_but_not_its_stat() -> None:
    proc, pid = ProcFS(), os.getpid()
    for read in (proc.memory, proc.exe, proc.fd_count):
        assert reason(as_nobody(partial(read, pid))) is AbsenceReason.DENIED
    assert not isinstance(as_nobody(lambda: proc.stat(pid)), Absence)
    assert not isinstance(as_nobody(lambda: proc.statm(pid)), Absence)


@pytest.mark.root
@needs_root
def test_given_a_kernel_thread_nobody_learns_that_it_has_no_memory_rather_than_that_it_is_denied() -> None:
    proc = ProcFS()
    stat = proc.stat(2)
    if isinstance(stat, Absence) or not stat.is_kernel_thread:
        pytest.skip("pid 2 is no kernel thread here (a container)")
    assert reason(as_nobody(lambda: proc.memory(2))) is AbsenceReason.NO_ADDRESS_SPACE


def test_given_a_process_that_is_not_there_everything_is_gone(proc_tree: Callable[[str], Path]) -> None:
    proc = ProcFS(str(proc_tree("linux-5.15-arm64-64k")))
    reads = (proc.stat, proc.statm, proc.status, proc.memory, proc.cgroup, proc.cmdline, proc.exe, proc.fd_count)
    assert {reason(read(4711)) for read in reads} == {AbsenceReason.GONE}


def test_given_a_process_that_vanishes_between_two_reads_the_second_says_gone(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    proc = ProcFS(str(root))
    assert not isinstance(proc.stat(2210), Absence)
    shutil.rmtree(root / "2210")
    assert reason(proc.memory(2210)) is AbsenceReason.GONE
    assert isinstance(proc.memory(5150), MemoryUse), "the others' rollup is still believed in"


def test_given_a_damaged_file_the_detail_says_what_was_expected(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    (root / "2210" / "smaps_rollup").write_text("nonsense\n")
    (root / "2210" / "stat").write_text("nonsense\n")
    (root / "slabinfo").write_text("nonsense\n")
    proc = ProcFS(str(root))
    for found in (proc.memory(2210), proc.stat(2210), proc.slabinfo()):
        assert reason(found) is AbsenceReason.MALFORMED
    assert "[rollup]" in str(proc.memory(2210))


def test_given_a_directory_in_place_of_a_file_it_is_malformed(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    (root / "meminfo").unlink()
    (root / "meminfo").mkdir()
    assert ProcFS(str(root)).meminfo() == Absence(AbsenceReason.MALFORMED, f"{root}/meminfo: EISDIR")


def test_given_no_memory_file_at_all_it_is_unsupported(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    (root / "2210" / "smaps_rollup").unlink()
    assert reason(ProcFS(str(root)).memory(2210)) is AbsenceReason.UNSUPPORTED


def test_given_a_process_that_ends_while_smaps_is_read_the_sum_is_not_believed(
    proc_tree: Callable[[str], Path],
) -> None:
    # A tree stands still, so what is left of the process afterwards is put there from the beginning.
    root = proc_tree("linux-3.10-x86_64")
    stat = root / "1301" / "stat"
    stat.write_text(stat.read_text().replace(") S ", ") Z ").replace(" 22 0 2110 ", " 1 0 2110 "))
    assert reason(ProcFS(str(root)).memory(1301)) is AbsenceReason.NO_ADDRESS_SPACE
    stat.unlink()
    assert reason(ProcFS(str(root)).memory(1301)) is AbsenceReason.GONE


def test_given_a_kernel_without_a_rollup_it_is_not_asked_for_twice(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-3.10-x86_64")
    proc = ProcFS(str(root))
    assert isinstance(proc.memory(1301), MemoryUse)
    (root / "1301" / "smaps_rollup").write_text("a file that is not looked at any more")
    assert isinstance(proc.memory(1301), MemoryUse)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, AbsenceReason.DENIED),
        (errno.EPERM, AbsenceReason.DENIED),
        (errno.ENOENT, AbsenceReason.GONE),
        (errno.ESRCH, AbsenceReason.GONE),
        (errno.ENOTDIR, AbsenceReason.GONE),
        (errno.ENOSYS, AbsenceReason.UNSUPPORTED),
        (errno.EOPNOTSUPP, AbsenceReason.UNSUPPORTED),
        (errno.EIO, AbsenceReason.MALFORMED),
        (errno.EMFILE, AbsenceReason.MALFORMED),
        (0, AbsenceReason.MALFORMED),
    ],
)
def test_each_refusal_has_a_reason(number: int, expected: AbsenceReason) -> None:
    found = absence("/proc/1/x", OSError(number, "x"), AbsenceReason.GONE)
    assert found.reason is expected
    assert found.detail.startswith("/proc/1/x: ")


@pytest.mark.parametrize("chunk", [1, 7, 4096, 1 << 20])
def test_a_file_is_read_to_its_end_however_short_the_reads(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 20)
    assert read_file(str(path), chunk) == path.read_bytes()
    assert read_file(str(path), chunk, limit=100) == path.read_bytes()[:100]


def test_a_long_command_line_is_cut(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    (root / "2210" / "cmdline").write_bytes(b"x" * 3_000_000)
    assert ProcFS(str(root)).cmdline(2210) == ("x" * 16384,)


def test_the_smaps_of_this_process_come_in_many_reads() -> None:
    data = read_file("/proc/self/smaps")
    assert len(data) > 20_000
    assert data.endswith(b"\n")
