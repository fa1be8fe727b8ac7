"""``smaps`` mapping by mapping: as the kernel writes it today and wrote it long ago, in pieces, cut short, hostile."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.processes.estimate import full_read
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host import mounts
from leakwatch.procfs.pid import mappings, smaps

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024
HEAP = b"""01a2c000-02a2c000 rw-p 00000000 00:00 0          [heap]
Size:              16384 kB
Rss:               15000 kB
Pss:               14000 kB
Private_Clean:         4 kB
Private_Dirty:     13000 kB
Anonymous:         15000 kB
Private_Hugetlb:       0 kB
Swap:                  8 kB
SwapPss:               4 kB
VmFlags: rd wr mr mw me ac\x20
"""
LIBRARY = b"""b6d6e000-b6ea8000 r-xp 00001000 b3:02 310 /lib/a file with Rss: 9 kB\\012Pss: 3 kB\\0121-2 r-xp
Size:               1256 kB
Rss:                 720 kB
Pss:                  33 kB
Private_Clean:         8 kB
Private_Dirty:         4 kB
Anonymous:             4 kB
Private_Hugetlb:    2048 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd ex
"""


def without(data: bytes, *names: bytes) -> bytes:
    return b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(names))


def test_every_field_of_a_mapping() -> None:
    heap, library = mappings.parse(HEAP + LIBRARY).mappings
    assert (heap.start, heap.end, heap.size) == (0x1A2C000, 0x2A2C000, 16 << 20)
    assert (heap.permissions, heap.device, heap.inode, heap.path) == ("rw-p", "00:00", 0, "[heap]")
    assert heap.flags.split() == ["rd", "wr", "mr", "mw", "me", "ac"]
    sizes = (heap.rss, heap.pss, heap.clean, heap.dirty, heap.hugetlb, heap.swap, heap.swap_pss, heap.anonymous)
    assert sizes == tuple(size * KIB for size in (15000, 14000, 4, 13000, 0, 8, 4, 15000))
    assert (library.inode, library.device, library.hugetlb) == (310, "b3:02", 2048 * KIB)


def test_a_path_cannot_forge_lines() -> None:
    (library,) = mappings.parse(LIBRARY).mappings
    assert library.path == "/lib/a file with Rss: 9 kB\nPss: 3 kB\n1-2 r-xp"
    assert library.rss == 720 * KIB


def test_the_sums_are_those_of_the_other_parser() -> None:
    piece = mappings.parse(HEAP + LIBRARY)
    total, sums = mappings.total(piece.mappings, piece.lacking), smaps.parse_smaps(HEAP + LIBRARY)
    assert total.pss_anon_bytes == (15004 - 1000) * KIB  # what the heap shares after a fork
    assert sums.pss_anon_bytes is None
    for name in ("rss_bytes", "pss_bytes", "uss_bytes", "swap_bytes", "swap_pss_bytes", "anonymous_bytes", "mappings"):
        assert getattr(total, name) == getattr(sums, name), name


def test_what_an_old_kernel_lacks_is_none_in_the_sums() -> None:
    old = without(HEAP + LIBRARY, b"Anonymous", b"Private_Hugetlb", b"Swap", b"VmFlags")
    piece = mappings.parse(old)
    total = mappings.total(piece.mappings, piece.lacking)
    assert (total.swap_bytes, total.swap_pss_bytes, total.anonymous_bytes, total.pss_anon_bytes) == (None,) * 4
    assert total.uss_bytes == (13004 + 12) * KIB
    assert [one.flags for one in piece.mappings] == ["", ""]


@pytest.mark.parametrize("name", [b"Rss", b"Pss", b"Private_Clean", b"Private_Dirty", b"Swap"])
def test_a_field_missing_in_one_mapping_is_an_error(name: bytes) -> None:
    with pytest.raises(MalformedError, match=r"1 times .* in 2 mappings"):
        mappings.parse(HEAP + without(LIBRARY, name))


def test_wherever_a_text_is_cut_the_pieces_are_the_whole() -> None:
    text = HEAP + LIBRARY + HEAP + LIBRARY
    whole = mappings.parse(text).mappings
    for at in range(len(text)):
        first, rest = mappings.cut(text[:at])
        found = [*mappings.parse(first).mappings, *mappings.parse(rest + text[at:]).mappings]
        assert found == whole, at


def test_a_long_file_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps").write_bytes((HEAP + LIBRARY) * 1000)
    (tmp_path / "7" / "stat").write_bytes(b"7 (x) S 1 1 1 0 -1 0 " + b"0 " * 43)
    found = mappings.read_mappings(str(tmp_path), 7, None)
    assert not isinstance(found, Absence), found
    assert found.use.mappings == len(found.mappings) == 2000
    assert found.use.rss_bytes == 15720 * KIB * 1000
    broken_off = mappings.read_mappings(str(tmp_path), 7, 300)
    assert isinstance(broken_off, Absence)
    assert broken_off.reason is AbsenceReason.SKIPPED
    assert "more than 300 mappings" in broken_off.detail


def test_why_there_are_none(tmp_path: Path) -> None:
    for pid, text, stat, reason in (
        (7, b"", b"7 (kthread) S 2 0 0 0 -1 2129984 " + b"0 " * 43, AbsenceReason.NO_ADDRESS_SPACE),
        (8, b"nonsense" + HEAP[:300], b"8 (x) S 1 1 1 0 -1 0 " + b"0 " * 43, AbsenceReason.MALFORMED),
        (9, None, None, AbsenceReason.GONE),
    ):
        if stat is not None and text is not None:
            (tmp_path / str(pid)).mkdir()
            (tmp_path / str(pid) / "stat").write_bytes(stat)
            (tmp_path / str(pid) / "smaps").write_bytes(text)
        found = mappings.read_mappings(str(tmp_path), pid, None)
        assert isinstance(found, Absence)
        assert found.reason is reason, (pid, found)


def test_our_own_agree_with_the_rollup() -> None:
    procfs = ProcFS()
    found, use = procfs.mappings(os.getpid()), procfs.memory(os.getpid())
    assert not isinstance(found, Absence)
    assert not isinstance(use, Absence)
    assert found.use.uss_bytes == pytest.approx(use.uss_bytes, abs=4 << 20)
    assert found.use.rss_bytes == pytest.approx(use.rss_bytes, abs=4 << 20)
    assert found.mappings == sorted(found.mappings)


MOUNTS = b"""22 27 0:21 / /proc rw,relatime - proc proc rw
25 24 0:23 / /dev/shm rw,relatime shared:3 master:1 - tmpfs tmpfs rw,size=24684092k
27 0 254:0 / / rw - ext4 /dev/root rw
28 27 x:y / /broken rw - tmpfs tmpfs rw
"""


def test_devices_that_are_memory() -> None:
    found = {one.mapped_device: one.is_memory for one in mounts.parse(MOUNTS) if one.mapped_device}
    assert found == {"00:15": False, "00:17": True, "fe:00": False}


def test_a_device_is_asked_for_once(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mountinfo").write_bytes(MOUNTS)
    devices = mappings.MemoryDevices(str(tmp_path))
    text = (LIBRARY + LIBRARY + HEAP).replace(b"b3:02", b"00:17", 1).replace(b"b3:02", b"00:01", 1)
    found = mappings.parse(text).mappings
    assert devices.among(7, found) == {"00:17"}
    (tmp_path / "7" / "mountinfo").unlink()
    assert devices.among(7, found) == {"00:17"}


FORKS = """\
import os, sys
kept = [bytes(3000) for _ in range(7000)]
large = bytearray(b"x") * (8 << 20)
if os.fork():
    large[: 2 << 20] = b"y" * (2 << 20)
    print("ready", flush=True)
sys.stdin.read()
"""


def test_pages_shared_after_a_fork_are_seen_as_the_rollup_sees_them() -> None:
    argv = [sys.executable, "-I", "-S", "-c", FORKS]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        procfs = ProcFS()
        found, use = procfs.mappings(child.pid), procfs.memory(child.pid)
        child.stdin.close()
    assert not isinstance(found, Absence)
    assert not isinstance(use, Absence)
    if use.pss_anon_bytes is None:
        pytest.skip("this kernel's rollup does not have Pss_Anon")
    assert use.anonymous_bytes is not None
    assert use.anonymous_bytes - use.pss_anon_bytes > 8 << 20
    # Not seen are the shared copies of files' pages: an interpreter's own data.
    assert found.use.pss_anon_bytes == pytest.approx(use.pss_anon_bytes, abs=1024 * KIB)
    mine, theirs = full_read(found.use, 4096), full_read(use, 4096)
    assert mine.cow == pytest.approx(theirs.cow, rel=0.1)
    assert mine.sharers == pytest.approx(theirs.sharers, rel=0.1)
