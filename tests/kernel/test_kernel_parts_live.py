"""Real memory of each kind raises its part of the account by as much, and leaves nothing unaccounted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.procfs.fs import ProcFS
from tests.kernel.kernel_course import Keeper
from tests.kernel.kernel_room import MIB, WITHIN, Seen, Taker, raises, seen_by, view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.live,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: slabinfo, IPC namespaces and BPF maps"),
]


def file_system(path: Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def memory_dir() -> Iterator[Path]:
    """Return a directory in a tmpfs."""
    path = Path(f"/dev/shm/leakwatch-test-{os.getpid()}")
    path.mkdir()
    try:
        if file_system(path) != "tmpfs":
            pytest.skip("/dev/shm is no tmpfs here")
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def disk_dir(tmp_path: Path) -> Path:
    """Return a directory on a disk."""
    if file_system(tmp_path) in {"tmpfs", "ramfs", "overlayfs"}:
        pytest.skip(f"{tmp_path} is on {file_system(tmp_path)}: no page cache of its own")
    return tmp_path


def refused(part: str, amount: int, seen: Seen) -> str:
    return f"{part} should rise by {amount / MIB:.0f} MiB and nothing else: {seen.told()}"


def test_the_parts_add_up() -> None:
    account = view().account
    assert sum(account.parts.values()) + account.unaccounted_bytes == account.total_bytes
    assert all(size >= 0 for size in account.parts.values()), account.parts
    assert abs(account.unaccounted_bytes) < account.total_bytes // 4


def test_256_mib_in_tmpfs_are_shared_memory(memory_dir: Path) -> None:
    good = raises("shmem", 256 * MIB)
    seen = seen_by("file", 256 * MIB, memory_dir / "full", good=good)
    assert good(seen), refused("shmem", 256 * MIB, seen)
    assert abs(seen.change("page_cache")) < WITHIN, "meminfo's Cached has them as well"


def test_the_command_says_the_same(memory_dir: Path) -> None:
    def told() -> dict[str, int]:
        argv = [sys.executable, "-m", "leakwatch", "kernel", "--format", "json"]
        found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        parts = found["parts"] | {"unaccounted": found["unaccounted_bytes"]}
        assert sum(parts.values()) == found["total_bytes"]
        return parts

    for number in range(8):
        with contextlib.closing(Taker("file", 256 * MIB, memory_dir / f"{number}")) as taker:
            before = told()
            taker.take()
            after = told()
        moved = {name: after[name] - before[name] for name in after}
        if abs(moved["shmem"] - 256 * MIB) <= WITHIN and abs(moved["unaccounted"]) < WITHIN:
            break
    assert abs(moved["shmem"] - 256 * MIB) <= WITHIN, moved
    assert abs(moved["unaccounted"]) < WITHIN, moved


def test_128_mib_of_a_program_are_anonymous() -> None:
    good = raises("anon", 128 * MIB)
    seen = seen_by("anonymous", 128 * MIB, good=good)
    assert good(seen), refused("anon", 128 * MIB, seen)


def test_64_mib_of_messages_are_slab_of_the_right_cache() -> None:
    good = raises("slab_unreclaimable", 64 * MIB)
    seen = seen_by("messages", 64 * MIB, good=good)
    assert good(seen), refused("slab_unreclaimable", 64 * MIB, seen)
    name, grown = most_grown_cache(seen)
    assert name in {"msg_msg-4k", "kmalloc-cg-4k", "kmalloc-4k", "kmalloc-4096"}
    assert abs(grown - 64 * MIB) < WITHIN


def test_64_mib_of_a_file_are_page_cache(disk_dir: Path) -> None:
    good = raises("page_cache", 64 * MIB)
    seen = seen_by("file", 64 * MIB, disk_dir / "full", good=good)
    assert good(seen), refused("page_cache", 64 * MIB, seen)
    assert abs(seen.change("shmem")) < WITHIN


def test_kernel_stacks_are_counted_once_though_they_lie_in_vmalloc_memory() -> None:
    size = 2000 * stack_bytes()
    good = raises("kernel_stacks", size)
    seen = seen_by("threads", 2000, good=good)
    assert good(seen), refused("kernel_stacks", size, seen)
    assert abs(seen.change("vmalloc")) < WITHIN


def stack_bytes() -> int:
    """Return what a kernel stack takes: in KernelStack there is one for each thread."""
    meminfo = ProcFS().meminfo()
    threads = sum(1 for _ in Path("/proc").glob("[0-9]*/task/*"))
    stacks: int = meminfo.fields["KernelStack"]  # type: ignore[union-attr]
    return min((4096 << shift for shift in range(5)), key=lambda size: abs(size - stacks / threads))


def test_maps_of_bpf_are_vmalloc_of_the_right_caller() -> None:
    good = raises("vmalloc", 64 * MIB)
    seen = measured_bpf(64 * MIB, "2", good)
    assert good(seen), refused("vmalloc", 64 * MIB, seen)
    before = {one.caller: one.taken_bytes for one in seen.before.callers or ()}
    grown = {one.caller: one.taken_bytes - before.get(one.caller, 0) for one in seen.after.callers or ()}
    assert max(grown, key=grown.__getitem__) in {"array_map_alloc", "bpf_map_area_alloc", "__bpf_map_area_alloc"}


def test_maps_of_bpf_for_each_cpu_are_per_cpu_memory() -> None:
    def good(seen: Seen) -> bool:
        return abs(seen.change("percpu") - 32 * MIB) < WITHIN and abs(seen.change("unaccounted")) < WITHIN

    seen = measured_bpf(32 * MIB, "6", good)
    assert good(seen), refused("percpu", 32 * MIB, seen)


def measured_bpf(amount: int, kind: str, good: Callable[[Seen], bool]) -> Seen:
    try:
        return seen_by("bpf", amount, kind, good=good)
    except AssertionError as error:
        pytest.skip(f"no BPF maps here: {error}")


def test_what_waits_in_sockets_is_told_though_it_is_unaccounted() -> None:
    def good(seen: Seen) -> bool:
        waiting = seen.after.facts["socket_bytes"] - seen.before.facts["socket_bytes"]
        elsewhere = seen.change("slab_unreclaimable") + seen.change("unaccounted")
        return abs(waiting - 64 * MIB) < WITHIN and abs(elsewhere - 64 * MIB) < WITHIN

    seen = seen_by("sockets", 64 * MIB, good=good)
    assert good(seen), f"{seen.told()}; {seen.before.facts} {seen.after.facts}"


def test_the_hugetlb_pool_is_counted_once() -> None:
    pool = Path("/proc/sys/vm/nr_hugepages")
    if not pool.exists():
        pytest.skip("this kernel has no hugetlb pages")
    pages, size = int(pool.read_text()), int(ProcFS().meminfo().fields["Hugepagesize"])  # type: ignore[union-attr]
    wanted = 64 * MIB // size
    good = raises("hugetlb", wanted * size)
    for _ in range(8):
        before = view()
        try:
            pool.write_text(str(pages + wanted))
            seen = Seen(before, view())
        finally:
            pool.write_text(str(pages))
        if good(seen):
            break
    assert good(seen), refused("hugetlb", wanted * size, seen)


@pytest.fixture
def swap(memory_dir: Path) -> Iterator[None]:
    """Use some memory as a swap disk: no real disk has to bear it."""
    file = memory_dir / "swap"
    file.write_bytes(bytes(160 * MIB))  # above half of it the kernel drops from the cache what was read
    disk = answer("losetup", "--find", "--show", str(file))
    if not disk:
        pytest.skip("no loop device, or no losetup, here")
    try:
        if not answer("mkswap", disk) or answer("swapon", disk) is None:
            pytest.skip("no swap can be used here")
        try:
            yield
        finally:
            subprocess.run(["swapoff", disk], check=True)
    finally:
        subprocess.run(["losetup", "--detach", disk], check=True)


def answer(*argv: str) -> str | None:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def test_pages_in_the_swap_cache_that_are_mapped_are_counted_once(swap: None) -> None:
    for _ in range(8):
        with contextlib.closing(Taker("swapped-in", 48 * MIB)) as taker:
            before = view()
            taker.take()
            seen, raw = Seen(before, view()), ProcFS().meminfo()
        print(seen.told())
        # What another program frees in this moment is on the lists still, and in no counter of its own.
        if abs(seen.change("unaccounted")) < WITHIN and abs(seen.change("swap_cache")) < WITHIN:
            break
    twice = raw.fields["SwapCached"]  # type: ignore[union-attr]
    assert twice > 2 * WITHIN, "nothing was counted twice: this test tested nothing"
    assert abs(seen.change("unaccounted")) < WITHIN, seen.told()
    assert abs(seen.change("swap_cache")) < WITHIN, seen.told()


def test_what_is_reclaimable_leaves_memory_available(disk_dir: Path) -> None:
    """150,000 names that are not there: the ground of the rule that such growth is no leak."""
    grown = taken = 0
    for _ in range(8):
        with contextlib.closing(Keeper("missing-name", disk_dir)) as supervisor:
            before = view()
            supervisor.make(150_000)
            seen = Seen(before, view())
        free = seen.after.facts["available_bytes"] - before.facts["available_bytes"] + seen.change("free_on_cpu_lists")
        grown, taken = seen.change("slab_reclaimable"), -free - seen.change("anon")
        print(f"{grown / MIB:+.1f} MiB reclaimable, {taken / MIB:+.1f} MiB less available beside programs")
        if grown > 16 * MIB and abs(taken) < grown // 2:
            break
    assert grown > 16 * MIB, "no names were kept: this test tested nothing"
    assert abs(taken) < grown // 2


def most_grown_cache(seen: Seen) -> tuple[str, int]:
    before = {one.key: one.taken_bytes for one in seen.before.caches or ()}
    grown = {one.key: one.taken_bytes - before.get(one.key, 0) for one in seen.after.caches or ()}
    name = max(grown, key=grown.__getitem__)
    return name, grown[name]
