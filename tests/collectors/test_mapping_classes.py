"""Which class a mapping is of: by its name, its file, its flags, or where it lies."""

from __future__ import annotations

import pytest

from leakwatch.collectors.processes.mapping_classes import NAMED_EVER, NAMED_MOST, bounded, classified, summed
from leakwatch.model.identity import ProcessIdentity, TargetKind
from leakwatch.model.memory_class import ClassUse, class_target, is_named, process_and_class, title
from leakwatch.procfs.pid.mappings import Mapping

KIB, MIB = 1 << 10, 1 << 20
BASE = 0x7F00_0000_0000
"""A multiple of 64 MiB."""


def mapping(start: int, size: int, permissions: str = "rw-p", path: str = "", **more: object) -> Mapping:
    fields: dict[str, object] = dict.fromkeys(
        ("rss", "pss", "clean", "dirty", "hugetlb", "swap", "swap_pss", "anonymous", "inode"), 0
    )
    fields |= {"device": "00:00", "flags": "", **more}
    return Mapping(start=start, end=start + size, permissions=permissions, path=path, **fields)  # type: ignore[arg-type]


def one_class(path: str, permissions: str = "rw-p", **more: object) -> str:
    return classified([mapping(BASE + 4096, 4096, permissions, path, **more)], {"00:17"})[0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("[heap]", "heap"),
        ("[stack]", "stack"),
        ("[stack:812]", "thread_stacks"),
        ("[vdso]", "kernel"),
        ("[vvar]", "kernel"),
        ("[anon:cache]", "named:cache"),
        ("[anon:with ] in it]", "named:with ] in it"),
        ("[anon_shmem:pool]", "named_shared:pool"),
        ("[anon: glibc: pthread stack: 812]", "thread_stacks"),
        ("[anon: glibc: malloc arena]", "arenas"),
        ("[anon: glibc: malloc]", "named: glibc: malloc"),
        ("[something new]", "named:[something new]"),
    ],
)
def test_by_its_name(path: str, expected: str) -> None:
    assert one_class(path) == expected


@pytest.mark.parametrize(
    ("path", "device", "expected"),
    [
        ("/usr/lib/libc.so.6", "fe:00", "file:/usr/lib/libc.so.6"),
        ("/usr/lib/libc.so.6 (deleted)", "fe:00", "file:/usr/lib/libc.so.6"),
        ("/memfd:pool (deleted)", "00:01", "memfd:pool"),
        ("/SYSV0052e2c1 (deleted)", "00:01", "sysv:SYSV0052e2c1"),
        ("/dev/shm/PostgreSQL.1", "00:17", "shm:/dev/shm/PostgreSQL.1"),
        ("/run/lock/x", "00:17", "tmpfs:/run/lock/x"),
        ("/dev/zero (deleted)", "00:01", "shared"),
        ("/anon_hugepage (deleted)", "00:0f", "hugetlb"),
        ("[weird] file", "fe:00", "file:[weird] file"),
        ("/data/i915", "fe:00", "file:/data/i915"),
        # named on shared memory, which has an inode (Linux 6.2)
        ("[anon_shmem:foo]", "00:01", "named_shared:foo"),
        ("[anon:JavaScriptCore]", "00:01", "named:JavaScriptCore"),
        ("/dev/ashmem/dalvik-main space (deleted)", "00:01", "named_shared:dalvik-main space"),
        # drivers and descriptors without a file
        ("/i915 (deleted)", "00:05", "graphics:i915"),
        ("/drm mm object (deleted)", "00:05", "graphics:drm mm object"),
        ("anon_inode:i915.gem", "00:0e", "graphics:i915.gem"),
        ("/dev/dri/card0", "00:06", "graphics:/dev/dri/card0"),
        ("/dev/nvidiactl", "00:06", "graphics:/dev/nvidiactl"),
        ("/dmabuf:camera", "00:0d", "dmabuf:camera"),
        ("anon_inode:[io_uring]", "00:0e", "object:[io_uring]"),
        ("anon_inode:[perf_event]", "00:0e", "object:[perf_event]"),
        ("socket:[4711]", "00:08", "object:socket:[4711]"),
        ("/[aio] (deleted)", "00:0c", "object:[aio]"),
        ("/dev/fb0", "00:06", "device:/dev/fb0"),
        ("/dev/shm/sem.x (deleted)", "00:17", "shm:/dev/shm/sem.x"),
        ("/dev/hugepages/x", "00:21", "hugetlb"),
    ],
)
def test_by_its_file(path: str, device: str, expected: str) -> None:
    assert one_class(path, inode=7, device=device) == expected


def test_huge_pages_whatever_they_are_called() -> None:
    assert one_class("/dev/hugepages/x", inode=7, flags="rd wr sh ht") == "hugetlb"
    assert one_class("", hugetlb=2 * MIB) == "hugetlb"


def test_nameless_and_shared() -> None:
    assert one_class("", "rw-s") == "shared"


def test_an_arena_is_aligned_and_its_rest_has_no_permission() -> None:
    used = mapping(BASE, 132 * KIB)
    rest = mapping(used.end, 64 * MIB - 132 * KIB, "---p")
    assert classified([used, rest]) == ["arenas", "arenas"]


def test_full_heaps_of_an_arena_lie_side_by_side() -> None:
    assert classified([mapping(BASE, 64 * MIB)]) == ["arenas"]
    used = mapping(BASE, 130 * MIB)
    assert classified([used, mapping(used.end, 62 * MIB, "---p")]) == ["arenas", "arenas"]


def test_a_large_block_is_no_arena() -> None:
    assert classified([mapping(BASE + 4096, 64 * MIB)]) == ["anonymous"]
    assert classified([mapping(BASE, 70 * MIB)]) == ["anonymous"]
    reserved = mapping(BASE, 10 * MIB)
    assert classified([reserved, mapping(reserved.end, 900 * MIB, "---p")]) == ["anonymous", "anonymous"]


def test_a_thread_stack_lies_above_its_guard() -> None:
    guard = mapping(BASE + 4096, 4096, "---p")
    assert classified([guard, mapping(guard.end, 8 * MIB)]) == ["thread_stacks", "thread_stacks"]
    zones = mapping(BASE + 4096, 16 * KIB, "---p")
    assert classified([zones, mapping(zones.end, 1 * MIB)]) == ["thread_stacks", "thread_stacks"]


def test_what_is_too_large_or_not_adjacent_is_no_stack() -> None:
    guard = mapping(BASE + 4096, 4096, "---p")
    assert classified([guard, mapping(guard.end, 200 * MIB)]) == ["anonymous", "anonymous"]
    assert classified([guard, mapping(guard.end + 4096, 8 * MIB)]) == ["anonymous", "anonymous"]
    wide = mapping(BASE + 4096, 40 * MIB, "---p")
    assert classified([wide, mapping(wide.end, 8 * MIB)]) == ["anonymous", "anonymous"]
    of_file = mapping(BASE, 4096, "---p", "/lib/x.so", inode=7, device="fe:00")
    assert classified([of_file, mapping(of_file.end, 4096)]) == ["file:/lib/x.so", "anonymous"]


def test_an_arena_and_a_stack_directly_above_it_are_told_apart() -> None:
    used = mapping(BASE, 132 * KIB)
    merged = mapping(used.end, 64 * MIB - 132 * KIB + 4096, "---p")  # with the stack's guard
    stack = mapping(merged.end, 8 * MIB)
    assert classified([used, merged, stack]) == ["arenas", "arenas", "thread_stacks"]


def test_sums_are_of_all_mappings_of_a_class() -> None:
    some = [mapping(BASE, 8192, rss=8192, dirty=4096, clean=1024, swap=2048, pss=5000, hugetlb=0)] * 2
    (use,) = summed(some, ["heap", "heap"]).values()
    assert use == ClassUse("heap", 2, 16384, 16384, 10000, 2048, 8192, 4096)
    assert (use.uss_bytes, use.held_bytes) == (10240, 14336)


def uses(sizes: dict[str, int]) -> dict[str, ClassUse]:
    return {key: ClassUse(key, 1, dirty_bytes=size) for key, size in sizes.items()}


def test_of_many_files_the_largest_are_told_and_the_rest_is_summed_up() -> None:
    found, told = bounded(uses({f"file:/{n}": n for n in range(100)} | {"heap": 1, "memfd:a": 0}), frozenset())
    assert told == {f"file:/{n}" for n in range(100 - NAMED_MOST, 100)}
    by_key = {use.key: use for use in found}
    assert by_key.keys() == told | {"heap", "file:*", "memfd:*"}
    assert by_key["file:*"].mappings == 100 - NAMED_MOST
    assert sum(use.dirty_bytes for use in found) == sum(range(100)) + 1


def test_what_was_told_once_goes_on_and_there_is_an_end_to_it() -> None:
    told: frozenset[str] = frozenset()
    for look in range(10):
        found, told = bounded(uses({f"memfd:{look}-{n}": n + 1 for n in range(20)}), told)
        assert sum(use.dirty_bytes for use in found) == sum(range(1, 21))
    assert len(told) == NAMED_EVER
    found, told = bounded(uses({"memfd:0-19": 1} | {f"memfd:new{n}": 9 for n in range(20)}), told)
    assert {use.key for use in found} == {"memfd:0-19", "memfd:*"}


def test_titles_and_keys() -> None:
    assert title("heap") == "the heap"
    assert title("file:/usr/lib/libc.so.6") == "file /usr/lib/libc.so.6"
    assert title("file:*") == "other files"
    assert title("named_shared:foo") == "shared memory named foo"
    assert title("graphics:*") == "other graphics memory"
    assert title("of a later version") == "of a later version"
    assert is_named("memfd:x")
    assert not is_named("arenas")
    process = ProcessIdentity("boot", 812, 4711).target
    target = class_target(process, "memfd:a|b/c")
    assert target.kind is TargetKind.MEMORY_CLASS
    assert process_and_class(target) == (process, "memfd:a|b/c")
