"""What a series is, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import metrics
from leakwatch.analysis.replay.series_name import Subject, SubjectKind, subject_of
from leakwatch.kernel.account import gives_back

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


@pytest.mark.parametrize("metric", sorted(metrics.COUNTS - metrics.APART))
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


@pytest.mark.parametrize(
    ("field", "names"),
    [
        (
            "MemAvailable",
            "MemAvailable memavailable node_memory_MemAvailable_bytes node_memory_MemAvailable mem_available",
        ),
        ("MemAvailable", "mem_available_percent system.mem.usable lxc/web/memory.available meminfo.MemAvailable"),
        ("MemAvailable", 'host:9100/node_memory_MemAvailable_bytes node_memory_MemAvailable_bytes{instance="a:1"}'),
        ("MemFree", "MemFree node_memory_MemFree_bytes mem_free memory-free system.mem.free"),
        ("SwapFree", "SwapFree node_memory_SwapFree_bytes swap_free swap-free"),
        ("DirectMap4k", "node_memory_DirectMap4k_bytes"),
        ("HugePages_Free", "node_memory_HugePages_Free"),
        ("MemTotal", "node_memory_MemTotal_bytes mem_total"),
    ],
)
def test_what_others_call_free_memory_and_totals(field: str, names: str) -> None:
    assert {name: subject_of(name).field for name in names.split()} == dict.fromkeys(names.split(), field)
    assert not any(subject_of(name).grows for name in names.split())


@pytest.mark.parametrize(
    ("field", "reclaimable", "names"),
    [
        ("Cached", True, "Cached node_memory_Cached_bytes mem_cached memory-cached system.mem.cached"),
        ("Buffers", True, "node_memory_Buffers_bytes mem_buffered"),
        ("Active(file)", True, "node_memory_Active_file_bytes"),
        ("SReclaimable", True, "node_memory_SReclaimable_bytes mem_sreclaimable memory-slab_recl"),
        ("SUnreclaim", False, "SUnreclaim node_memory_SUnreclaim_bytes mem_sunreclaim memory-slab_unrecl"),
        ("Slab", None, "node_memory_Slab_bytes mem_slab"),
        ("Shmem", None, "node_memory_Shmem_bytes mem_shared"),
    ],
)
def test_what_others_call_the_fields_that_are_used(field: str, reclaimable: bool | None, names: str) -> None:
    for name in names.split():
        assert subject_of(name) == Subject(KERNEL, name, 0, field, reclaimable=reclaimable, grows=True)


FREE_WORDS = """available_percent|windows_memory_available_bytes|\\Memory\\Available MBytes|vm.memory.size[pavailable]
system.swap.size[,free]|system_memory_usage_bytes{state="free"}|netdata_system_ram_MiB_average{dimension="free"}
jvm free heap|heap_free|freeMemory|FreeableMemory|free|available|kbmemfree|kbavail|memAvailReal
cgroup headroom|container_memory_available_bytes|esp_free_heap|MemFree host7|free_mem|system.linux.memory.available"""


@pytest.mark.parametrize("name", FREE_WORDS.replace("\n", "|").split("|"))
def test_what_is_free_is_known_by_its_words(name: str) -> None:
    assert not subject_of(name).grows


@pytest.mark.parametrize(
    "name", ["memCached", "page_cache", "container_memory_cache", "kbcached", "cached", "buff/cache"]
)
def test_what_is_given_back_is_known_by_its_words(name: str) -> None:
    assert subject_of(name).reclaimable


@pytest.mark.parametrize(
    "name",
    ["memcached", "redis_cache_bytes", "cache", "free-tier-api", "freeradius", "freeIPA", "unavailable",
     "not available", "memory_unavailable", "mem_used", "app/heap_used", 'system_memory_usage_bytes{state="used"}',
     "proc/free[1]", "group/free", "kernel/unavailable", "container_memory_usage_bytes"],
)  # fmt: skip
def test_what_only_sounds_like_it_is_judged(name: str) -> None:
    found = subject_of(name)
    assert found.grows
    assert not found.reclaimable


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
