"""What limits leave a process, by what its control groups hold: trees of both versions, made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.limits import MemoryLimits
from leakwatch.model.verdict import Room, Rooms
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIB = 1 << 20
UNLIMITED_V1 = "9223372036854771712"
"""LONG_MAX rounded down to a page."""


def tree(root: Path, cgroup: str, files: Mapping[str, str], *, limits: str = "", swaps: str = "") -> MemoryLimits:
    """A process of 50 MiB in a group, files below /sys/fs/cgroup by path."""
    pid = root / "proc/7"
    pid.mkdir(parents=True)
    (pid / "cgroup").write_text(cgroup)
    (pid / "status").write_text(
        "Name:\tx\nUid:\t0\t0\t0\t0\nVmSize:\t  102400 kB\nVmRSS:\t   51200 kB\nVmData:\t   61440 kB\n"
    )
    (pid / "limits").write_text(f"Limit Soft Hard Units\nMax open files 1024 1024 files\n{limits}")
    (root / "proc/swaps").write_text(f"Filename Type Size Used Priority\n{swaps}")
    for path, content in files.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return MemoryLimits(ProcFS(str(root / "proc"), page_size=4096))


def group2(
    path: str, *, limit: str = "max", held: int = 0, cache: int = 0, swap: str = "max", swapped: int = 0
) -> dict:
    return {
        f"{path}/memory.max": limit,
        f"{path}/memory.current": str((held + cache) * MIB),
        f"{path}/memory.stat": f"anon {held * MIB}\nfile {cache * MIB}\nshmem 0\nslab_reclaimable 0",
        f"{path}/memory.swap.max": swap,
        f"{path}/memory.swap.current": "0",
    }


def test_what_the_group_holds_counts_and_its_cache_does_not(tmp_path: Path) -> None:
    # GIVEN a process of 50 MiB in a group that holds 400 of 512 MiB, with 100 MiB of cache beside, and no swap
    files = group2("a.service", limit=str(512 * MIB), held=400, cache=100, swap="0")
    limits = tree(tmp_path, "0::/a.service\n", files)
    assert limits.rooms_of(7, 1024 * MIB) == Rooms(
        (Room(112 * MIB, "memory limit of /a.service", "/a.service"),), 0, "/a.service"
    )


def test_the_slice_around_it_may_be_tighter(tmp_path: Path) -> None:
    files = {
        **group2("user.slice", limit=str(1000 * MIB), held=950),
        **group2("user.slice/a.service", limit=str(512 * MIB), held=100),
    }
    rooms = tree(tmp_path, "0::/user.slice/a.service\n", files).rooms_of(7, 0)
    assert {room.group: room.left // MIB for room in rooms.limits} == {"/user.slice": 50, "/user.slice/a.service": 412}


@pytest.mark.parametrize(
    ("own", "around", "left"),
    [("max", "max", 700), (str(200 * MIB), "max", 300), ("max", str(50 * MIB), 150), (str(200 * MIB), "0", 100)],
)
def test_swap_helps_as_far_as_every_group_lets_it(tmp_path: Path, own: str, around: str, left: int) -> None:
    files = {
        **group2("s.slice", swap=around),
        **group2("s.slice/a.service", limit=str(500 * MIB), held=400, swap=own),
    }
    (room,) = tree(tmp_path, "0::/s.slice/a.service\n", files).rooms_of(7, 600 * MIB).limits
    assert room.left == left * MIB


def test_a_group_that_does_not_say_what_it_holds_holds_the_process_at_least(tmp_path: Path) -> None:
    (room,) = tree(tmp_path, "0::/a\n", {"a/memory.max": str(80 * MIB)}).rooms_of(7, 0).limits
    assert room.left == 30 * MIB


def group1(path: str, limit: str, both: str, held: int, swapped: int = 0, swappiness: str = "60") -> dict:
    return {
        f"memory/{path}/memory.limit_in_bytes": limit,
        f"memory/{path}/memory.memsw.limit_in_bytes": both,
        f"memory/{path}/memory.usage_in_bytes": str((held + 7) * MIB),
        f"memory/{path}/memory.stat": f"total_rss {held * MIB}\ntotal_cache {7 * MIB}\ntotal_swap {swapped * MIB}",
        f"memory/{path}/memory.swappiness": swappiness,
    }


@pytest.mark.parametrize(
    ("limit", "both", "swapped", "swappiness", "left"),
    [
        (str(500 * MIB), UNLIMITED_V1, 0, "60", 100 + 300),
        (str(500 * MIB), str(500 * MIB), 0, "60", 100),
        (UNLIMITED_V1, str(600 * MIB), 50, "60", 150),
        (str(500 * MIB), UNLIMITED_V1, 0, "0", 100),
    ],
)
def test_version_1_limits_memory_and_swap_together(
    tmp_path: Path, limit: str, both: str, swapped: int, swappiness: str, left: int
) -> None:
    files = group1("a", limit, both, 400, swapped, swappiness)
    (room,) = tree(tmp_path, "4:memory:/a\n", files).rooms_of(7, 300 * MIB).limits
    assert room.left == left * MIB


def test_limits_of_the_process_are_held_against_what_they_limit(tmp_path: Path) -> None:
    limits = "Max address space 157286400 unlimited bytes\nMax data size 73400320 73400320 bytes\n"
    rooms = tree(tmp_path, "0::/\n", {}, limits=limits).rooms_of(7, 0).limits
    assert [(room.left // MIB, room.name, room.group) for room in rooms] == [
        (50, "its limit on address space, RLIMIT_AS", None),
        (10, "its limit on data, RLIMIT_DATA", None),
    ]


def test_swap_in_compressed_memory_is_worth_half(tmp_path: Path) -> None:
    swaps = "/dev/zram0 partition 3000 1000 100\n/dev/sda2 partition 2000 0 -2\n"
    assert tree(tmp_path, "0::/\n", {}, swaps=swaps).swap_worth() == pytest.approx(3000 / 4000)


def test_without_swap_nothing_is_taken_off(tmp_path: Path) -> None:
    assert tree(tmp_path, "0::/\n", {}).swap_worth() == 1.0
