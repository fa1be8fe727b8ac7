"""What a series is, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import metrics
from leakwatch.analysis.subject import Subject, SubjectKind, subject_of
from leakwatch.slabnames import gives_back

PROCESS, GROUP, SLAB, KERNEL, OTHER = SubjectKind


@pytest.mark.parametrize(
    ("name", "kind", "service", "lifetime"),
    [
        ("proc/redis-server[812]", PROCESS, "proc/redis-server", 0),
        ("proc/redis-server#2", PROCESS, "proc/redis-server", 2),
        ("proc/redis-server[812]#13", PROCESS, "proc/redis-server", 13),
        ("proc/a[1][2]", PROCESS, "proc/a[1]", 0),
        ("proc/[12]", PROCESS, "proc/[12]", 0),
        ("proc/kworker/0:1[12]", PROCESS, "proc/kworker/0:1", 0),
        ("group/nginx.service", GROUP, "group/nginx.service", 0),
        ("group/nginx#2", GROUP, "group/nginx", 2),
        ("relay-0287862e", OTHER, "relay-0287862e", 0),
        ("relay#4", OTHER, "relay", 4),
        ("x[12]", OTHER, "x[12]", 0),
        ("", OTHER, "", 0),
    ],
)
def test_processes_groups_and_others(name: str, kind: SubjectKind, service: str, lifetime: int) -> None:
    assert subject_of(name) == Subject(kind, service, lifetime, "", reclaimable=None, grows=True)


@pytest.mark.parametrize(
    ("name", "kind", "service", "lifetime", "quantity", "count"),
    [
        ("proc/x[1]/uss", PROCESS, "proc/x/uss", 0, "uss", ""),
        ("proc/x[7]/pss", PROCESS, "proc/x/pss", 0, "pss", ""),
        ("proc/x#3/uss", PROCESS, "proc/x/uss", 3, "uss", ""),
        ("group/x.service/uss", GROUP, "group/x.service/uss", 0, "uss", ""),
        ("proc/x[1]/fds", PROCESS, "proc/x/fds", 0, "fds", metrics.PROCESS_FDS),
        ("proc/x#2/threads", PROCESS, "proc/x/threads", 2, "threads", metrics.PROCESS_THREADS),
        ("proc/a/b[1]/mappings", PROCESS, "proc/a/b/mappings", 0, "mappings", metrics.PROCESS_MAPPINGS),
        ("proc/x[1]/fds.io_uring", PROCESS, "proc/x/fds.io_uring", 0, "fds.io_uring", metrics.PROCESS_FDS),
        ("proc/x[1]/zombies", PROCESS, "proc/x/zombies", 0, "zombies", metrics.PROCESS_ZOMBIES),
        ("proc/x[1]/children", PROCESS, "proc/x/children", 0, "children", metrics.PROCESS_CHILDREN),
    ],
)
def test_what_is_measured(name: str, kind: SubjectKind, service: str, lifetime: int, quantity: str, count: str) -> None:
    found = subject_of(name)
    assert found == Subject(kind, service, lifetime, "", reclaimable=None, grows=True, quantity=quantity)
    assert found.count == count
    assert found.owner == service.partition("/")[2].removesuffix(f"/{quantity}")


@pytest.mark.parametrize("name", ["proc/fds[1]", "x/fds", "group/x/fds", "kernel/x/fds", "slab/fds", "proc/x[1]/rss"])
def test_what_is_no_count(name: str) -> None:
    assert subject_of(name).count == ""


@pytest.mark.parametrize("metric", metrics.IPC_COUNTS)
def test_what_the_kernel_counts(metric: str) -> None:
    assert subject_of(f"kernel/{metric}").count == metric


@pytest.mark.parametrize(
    ("name", "field", "reclaimable"),
    [
        ("slab/dentry", "dentry", True),
        ("kernel/slab:dentry", "dentry", True),
        ("slab/ext4_inode_cache", "ext4_inode_cache", True),
        ("slab/zonefs_inode_cache", "zonefs_inode_cache", True),
        ("slab/kmalloc-rcl-192", "kmalloc-rcl-192", True),
        ("slab/buffer_head", "buffer_head", True),
        ("slab/radix_tree_node", "radix_tree_node", True),
        ("slab/shmem_inode_cache", "shmem_inode_cache", False),
        ("slab/sock_inode_cache", "sock_inode_cache", False),
        ("slab/kmalloc-192", "kmalloc-192", False),
        ("slab/dentry@192#2", "dentry@192#2", True),
        ("kernel/slab:kmalloc-4k", "kmalloc-4k", False),
    ],
)
def test_slab_caches(name: str, field: str, reclaimable: bool) -> None:
    assert subject_of(name) == Subject(SLAB, name, 0, field, reclaimable=reclaimable, grows=True)


@pytest.mark.parametrize(
    ("name", "field", "reclaimable", "grows"),
    [
        ("kernel/SUnreclaim", "SUnreclaim", False, True),
        ("slab/SUnreclaim", "SUnreclaim", False, True),
        ("kernel/SReclaimable", "SReclaimable", True, True),
        ("kernel/Inactive(file)", "Inactive(file)", True, True),
        ("kernel/Cached", "Cached", True, True),
        ("kernel/AnonPages", "AnonPages", None, True),
        ("kernel/MemAvailable", "MemAvailable", None, False),
        ("kernel/DirectMap2M", "DirectMap2M", None, False),
        ("kernel/HugePages_Total", "HugePages_Total", None, False),
        ("kernel/unaccounted", "unaccounted", None, True),
        ("vmalloc/module_alloc+0x2c", "module_alloc+0x2c", None, True),
    ],
)
def test_the_kernels_fields(name: str, field: str, reclaimable: bool | None, grows: bool) -> None:
    assert subject_of(name) == Subject(KERNEL, name, 0, field, reclaimable=reclaimable, grows=grows)


@given(st.text())
def test_any_text_is_a_name(name: str) -> None:
    found = subject_of(name)
    assert found.service in (name, found.service)
    assert found.lifetime >= 0


def test_names_agree_with_what_sysfs_says_of_recorded_kernels() -> None:
    trees = Path(__file__).parents[1] / "data" / "proc"
    told = {
        path.parent.name: path.read_text().strip() == "1" for path in trees.glob("*/sys/kernel/slab/*/reclaim_account")
    }
    assert told
    assert {name: gives_back(name) for name in told} == told
