"""meminfo, slabinfo, vmallocinfo, stat and auxv."""

from __future__ import annotations

import struct

import pytest

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.host import meminfo, pagesize, slabinfo, stat, vmallocinfo

PAGE = 4096
VERSION = b"slabinfo - version: 2.1\n"


def slab_line(name: bytes, size: int = 64, active: int = 10, slabs: int = 3) -> bytes:
    head = b"%-17s %6d %6d %6d   32    2" % (name, active, slabs * 32, size)
    return head + b" : tunables    0    0    0 : slabdata %6d %6d      0\n" % (slabs - 1, slabs)


def keys(*lines: bytes) -> list[str]:
    return [cache.key for cache in slabinfo.parse(VERSION + b"".join(lines))]


def test_meminfo_gives_bytes_and_counts() -> None:
    found = meminfo.parse(b"MemTotal:       24684096 kB\nActive(anon):  7 kB\nHugePages_Total:       4\n")
    assert found.fields == {"MemTotal": 24684096 * 1024, "Active(anon)": 7 * 1024, "HugePages_Total": 4}
    assert found.get("MemAvailable") is None


def test_given_a_counter_below_zero_meminfo_leaves_it_out() -> None:
    found = meminfo.parse(b"MemTotal: 1 kB\nCommitted_AS:   18446744073709551000 kB\nOdd: 5 MB\nMemTotal: 2 kB\n")
    assert found.fields == {"MemTotal": 1024}


@pytest.mark.parametrize("data", [b"", b"MemFree: 1 kB\n", b"MemTotal: many kB\n", b"MemTotal:\n"])
def test_given_no_total_meminfo_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        meminfo.parse(data)


def test_slabinfo_tells_used_objects_from_taken_pages() -> None:
    (cache,) = slabinfo.parse(VERSION + b"# name <active_objs>\n" + slab_line(b"dentry", size=192))
    assert (cache.key, cache.name, cache.active_objs, cache.num_objs) == ("dentry", "dentry", 10, 96)
    assert (cache.objects_per_slab, cache.pages_per_slab, cache.active_slabs, cache.num_slabs) == (32, 2, 2, 3)
    assert (cache.active_bytes, cache.pages_bytes(PAGE)) == (1920, 3 * 2 * PAGE)


def test_slabinfo_of_version_2_0_without_header_and_with_statistics() -> None:
    extra = b" : globalstat 1 2 3 4 5 6 7 8 9 : cpustat 1 2 3 4\n"
    (cache,) = slabinfo.parse(b"slabinfo - version: 2.0 (statistics)\n" + slab_line(b"size-64(DMA)")[:-1] + extra)
    assert (cache.name, cache.num_slabs) == ("size-64(DMA)", 3)


def test_given_a_name_with_a_blank_the_numbers_are_still_found() -> None:
    assert keys(slab_line(b"odd name")) == ["odd name"]


def test_given_a_name_that_is_not_utf_8_it_is_spelled_out() -> None:
    assert keys(slab_line(b"caf\xe9"), slab_line(b"caf\\xe9")) == ["caf\\xe9@64", "caf\\xe9"]


def test_given_one_name_twice_the_newer_the_upper_one_gets_its_size() -> None:
    assert keys(slab_line(b"bio-1", 192), slab_line(b"dentry"), slab_line(b"bio-1", 320)) == [
        "bio-1@192",
        "dentry",
        "bio-1",
    ]


def test_given_a_further_duplicate_the_keys_of_the_others_stay() -> None:
    first, second, third = slab_line(b"b", 320), slab_line(b"b", 192), slab_line(b"b", 192)
    assert keys(first) == ["b"]
    assert keys(second, first) == ["b@192", "b"]
    assert keys(third, second, first) == ["b@192#2", "b@192", "b"]


def test_given_a_cache_named_like_a_key_no_key_occurs_twice() -> None:
    found = keys(slab_line(b"b", 64), slab_line(b"b@64", 64), slab_line(b"b", 64), slab_line(b"b", 64))
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"slabinfo - version: 1.1\n",
        slab_line(b"x"),
        VERSION + b"dentry 1 2 3\n",
        VERSION + slab_line(b"x").replace(b"slabdata", b"slab"),
        VERSION + slab_line(b"x").replace(b"   10 ", b"   -1 "),
        VERSION + b" 1 2 3 4 5 : tunables 0 0 0 : slabdata 1 1 0\n",
    ],
)
def test_given_something_else_slabinfo_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        slabinfo.parse(data)


@pytest.mark.parametrize(
    ("words", "caller", "pages"),
    [
        (b"kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4", "kernel_clone", 4),
        (b"load_module+0x1a4/0x1d5c [nf_tables] pages=8 vmalloc", "load_module [nf_tables]", 8),
        (b"bpf_map_area_alloc+0x40/0x50 pages=16 vmalloc user vpages N0=8 N1=8", "bpf_map_area_alloc", 16),
        (b"0xffffffff810dd2c4 pages=133 vmalloc", "0xffffffff810dd2c4", 133),
        (b"memremap+0x123/0x210 phys=0x00000000000df000 ioremap", "memremap", 0),
        (b"irq_init_percpu_irqstack+0xca/0x100 vmap", "irq_init_percpu_irqstack", 0),
        (b"xfs_buf_map [xfs] vmap", "xfs_buf_map [xfs]", 0),
        (b"unpurged vm_area", "unpurged vm_area", 0),
        (b"vm_map_ram", "vm_map_ram", 0),
        (b"pages=2 vmalloc", "unknown", 2),
        (b"phys=0x2200000 ioremap", "unknown", 0),
        (b"vmalloc", "unknown", 0),
        (b"", "unknown", 0),
        (b"+0x94/0x3e0 pages=4 vmalloc", "unknown", 4),
        (b"+0x94/0x3e0 [a] pages=4 vmalloc", "unknown [a]", 4),
        (b"caf\xe9+0x94/0x3e0 [\xff] pages=4 vmalloc", "caf\\xe9 [\\xff]", 4),
    ],
)
def test_vmallocinfo_names_the_caller_and_counts_only_owned_pages(words: bytes, caller: str, pages: int) -> None:
    (found,) = vmallocinfo.parse(b"0x00000000c0f72655-0x0000000076897eff   20480 " + words + b"\n")
    assert (found.caller, found.areas, found.size_bytes, found.pages) == (caller, 1, 20480, pages)
    assert found.memory_bytes(PAGE) == pages * PAGE


def test_vmallocinfo_sums_the_areas_of_one_caller() -> None:
    range_ = b"0x(____ptrval____)-0x(____ptrval____)   "
    data = range_ + b"8192 f+0x1/0x2 pages=1 vmalloc\n" + range_ + b"12288 f+0x9/0x2 pages=2 vmalloc\n"
    assert vmallocinfo.parse(data) == (vmallocinfo.VmallocCaller("f", 2, 20480, 3),)


def test_given_no_areas_vmallocinfo_is_empty() -> None:
    assert vmallocinfo.parse(b"") == ()


@pytest.mark.parametrize("data", [b"x\n", b"0x1-0x2\n", b"0x1-0x2 size f+0x1/0x2\n", b"0x1-0x2 1 f+0x1/0x2 pages=x\n"])
def test_given_something_else_vmallocinfo_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        vmallocinfo.parse(data)


def test_host_stat_gives_the_boot_time() -> None:
    assert stat.parse(b"cpu  1 2\nbtime 1700000310\nprocesses 86031\n") == stat.HostStat(1700000310, 86031)
    assert stat.parse(b"btime 5\n").forks is None


@pytest.mark.parametrize("data", [b"", b"btime\n", b"btime soon\n", b"btime 5\nprocesses few\n"])
def test_given_something_else_host_stat_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        stat.parse(data)


@pytest.mark.parametrize("layout", ["<QQ", "<II", ">QQ", ">II"])
@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_auxv_tells_the_page_size_in_any_layout(layout: str, size: int) -> None:
    entries = [(16, 0x887), (6, size), (17, 100), (0, 0)]
    assert pagesize.page_size_of(b"".join(struct.pack(layout, *entry) for entry in entries)) == size


@pytest.mark.parametrize("data", [b"", b"\0" * 16, struct.pack("<QQQQ", 6, 5000, 0, 0), struct.pack("<QQ", 6, 4096)])
def test_given_something_else_auxv_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pagesize.page_size_of(data)
