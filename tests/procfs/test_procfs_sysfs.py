"""Reclaimable caches and limits of control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import cgroup

if TYPE_CHECKING:
    from pathlib import Path


def machine(tmp_path: Path, files: dict[str, str]) -> ProcFS:
    """Return a tree with an empty /proc and these files below /sys."""
    (tmp_path / "proc").mkdir()
    for name, content in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return ProcFS(str(tmp_path / "proc"))


def reason(found: object) -> AbsenceReason:
    assert isinstance(found, Absence), found
    return found.reason


def test_given_sysfs_it_decides_even_against_the_list_of_names(tmp_path: Path) -> None:
    proc = machine(
        tmp_path,
        {"kernel/slab/dentry/reclaim_account": "0\n", "kernel/slab/my_cache/reclaim_account": "1\n"},
    )
    assert proc.slab_reclaimable("dentry") is False
    assert proc.slab_reclaimable("my_cache") is True


@pytest.mark.parametrize(
    ("name", "reclaimable"),
    [
        ("dentry", True),
        ("xfs_inode", True),
        ("radix_tree_node", True),
        ("kmalloc-rcl-64", True),
        ("kmalloc-64", False),
        ("kmalloc-cg-1k", False),
        ("dma-kmalloc-512", False),
        ("size-4096", False),
    ],
)
def test_given_no_sysfs_names_decide(tmp_path: Path, name: str, *, reclaimable: bool) -> None:
    assert machine(tmp_path, {}).slab_reclaimable(name) is reclaimable


@pytest.mark.parametrize("name", ["sock_inode_cache", "shmem_inode_cache"])
def test_what_lives_as_long_as_a_socket_or_a_file_in_memory_is_not_given_back(tmp_path: Path, name: str) -> None:
    assert machine(tmp_path, {f"kernel/slab/{name}/reclaim_account": "1\n"}).slab_reclaimable(name) is False


@pytest.mark.parametrize("name", ["task_struct", "a/../../dentry", "..", "", "a\0b", "\ud800"])
def test_given_an_unknown_name_the_answer_is_an_absence(tmp_path: Path, name: str) -> None:
    proc = machine(tmp_path, {"kernel/slab/dentry/reclaim_account": "1\n"})
    assert reason(proc.slab_reclaimable(name)) is AbsenceReason.UNSUPPORTED


def test_a_cache_is_asked_for_once(tmp_path: Path) -> None:
    proc = machine(tmp_path, {"kernel/slab/my_cache/reclaim_account": "1\n"})
    assert proc.slab_reclaimable("my_cache") is True
    (tmp_path / "sys/kernel/slab/my_cache/reclaim_account").write_text("0\n")
    assert proc.slab_reclaimable("my_cache") is True


def test_given_nonsense_in_sysfs_the_absence_says_so(tmp_path: Path) -> None:
    proc = machine(tmp_path, {"kernel/slab/my_cache/reclaim_account": "perhaps\n"})
    assert reason(proc.slab_reclaimable("my_cache")) is AbsenceReason.MALFORMED


@pytest.mark.parametrize(
    "no_limit",
    ["9223372036854771712", "9223372036854775807", "9223372036854710272", str((2**31 - 1) * 4096)],
)
def test_version_1_prints_no_limit_as_a_huge_number(tmp_path: Path, no_limit: str) -> None:
    proc = machine(tmp_path, {"fs/cgroup/memory/a/memory.limit_in_bytes": no_limit + "\n"})
    assert reason(proc.memory_limit_bytes(cgroup.parse(b"4:memory:/a\n"))) is AbsenceReason.UNSUPPORTED


def test_given_equal_limits_the_inner_group_is_named(tmp_path: Path) -> None:
    proc = machine(tmp_path, {"fs/cgroup/a/memory.max": "4096\n", "fs/cgroup/a/b/memory.max": "4096\n"})
    assert proc.memory_limit_bytes(cgroup.parse(b"0::/a/b\n")) == (4096, "/a/b")


def test_a_limit_of_zero_is_a_limit(tmp_path: Path) -> None:
    proc = machine(tmp_path, {"fs/cgroup/a/memory.max": "0\n"})
    assert proc.memory_limit_bytes(cgroup.parse(b"0::/a\n")) == (0, "/a")


@pytest.mark.parametrize("line", [b"0::/../b\n", b"0::/\n", b"0::/other\n", b"5:devices:/a\n", b"0::/a\0b\n", b""])
def test_given_no_limit_to_be_found_there_is_none(tmp_path: Path, line: bytes) -> None:
    proc = machine(tmp_path, {"fs/cgroup/a/memory.max": "4096\n", "fs/cgroup/b/memory.max": "1\n"})
    assert reason(proc.memory_limit_bytes(cgroup.parse(line))) is AbsenceReason.UNSUPPORTED


def test_given_nonsense_as_a_limit_the_absence_says_so(tmp_path: Path) -> None:
    proc = machine(tmp_path, {"fs/cgroup/a/memory.max": "lots\n"})
    assert reason(proc.memory_limit_bytes(cgroup.parse(b"0::/a\n"))) is AbsenceReason.MALFORMED


def test_given_no_sys_at_all_there_is_no_limit(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    proc = ProcFS(str(tmp_path / "proc"))
    assert proc.sys_root is None
    assert reason(proc.memory_limit_bytes(cgroup.parse(b"0::/a\n"))) is AbsenceReason.UNSUPPORTED
