"""What a daemon says of memory the kernel keeps: leaked messages, keys and files, and a cache that only fills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leakwatch.procfs.fs import ProcFS
from tests.e2e.e2e_shared import KERNEL, WINDOW_S, SharedRun
from tests.e2e.e2e_tools import ms_of, slab_bytes, wait_for

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.root]

MESSAGE_CACHES = ("msg_msg-4k", "kmalloc-cg-4k", "kmalloc-4k", "kmalloc-4096")
KEY_CACHES = ("key_jar",)
FILE_CACHES = ("filp",)


def finding(shared_run: SharedRun, cache: str) -> dict[str, Any]:
    found = [one for one in shared_run.report["findings"] if one["kind"] == "kernel" and one["name"] == cache]
    assert len(found) == 1
    one: dict[str, Any] = found[0]
    return one


def grown_most(shared_run: SharedRun, candidates: tuple[str, ...]) -> str:
    """Return which of the caches grew most, as /proc/slabinfo itself showed it."""
    until_ms = ms_of(shared_run.report["evaluated_at"])
    slopes = shared_run.slab.slopes_per_hour(until_ms, WINDOW_S)
    known = [name for name in candidates if name in slopes]
    if not known:
        pytest.skip(f"this kernel has none of {', '.join(candidates)}; it merged them with others")
    return max(known, key=slopes.__getitem__)


@pytest.mark.parametrize(
    ("name", "candidates", "tolerance"),
    [
        ("messages", MESSAGE_CACHES, 0.10),
        ("keyrings", KEY_CACHES, 0.10),
        # Every program on the machine opens files, too.
        ("eventfds", FILE_CACHES, 0.25),
    ],
)
def test_a_leak_in_the_kernel_is_found_with_its_rate(
    shared_run: SharedRun, name: str, candidates: tuple[str, ...], tolerance: float
) -> None:
    shared_run.require(name)
    cache = grown_most(shared_run, candidates)
    found = finding(shared_run, cache)
    until_ms = ms_of(found["evaluated_at"])
    seen = shared_run.slab.slopes_per_hour(until_ms, WINDOW_S)[cache]
    size = object_size(cache)
    truth = shared_run.workloads[name].slope_per_hour(until_ms, WINDOW_S) * size
    slope = found["slope_bytes_per_hour"]
    print(f"{cache}: {slope / truth - 1:+.2%} of {truth:.0f} bytes/h, {slope / seen - 1:+.2%} of /proc/slabinfo's own")
    assert found["verdict"] == "leak", found
    assert slope == pytest.approx(truth, rel=tolerance)
    assert found["metric"] == "slab.active_bytes"
    assert found["pid"] is None
    lines = [line for line in shared_run.daemon.announced() if found["id"] in line]
    assert len(lines) == 1
    assert cache in lines[0]


def object_size(cache: str) -> int:
    lines = Path("/proc/slabinfo").read_text().splitlines()[2:]
    return next(int(line.split()[3]) for line in lines if line.split()[0] == cache)


def test_what_the_kernel_would_give_back_is_no_leak(shared_run: SharedRun) -> None:
    shared_run.require("messages")
    names = [
        name
        for name in slab_bytes()
        if name == "dentry" or (name.endswith("inode_cache") and ProcFS().slab_reclaimable(name) is True)
    ]
    slopes = shared_run.slab.slopes_per_hour(ms_of(shared_run.report["evaluated_at"]), WINDOW_S)
    assert slopes["dentry"] > 500 * (1 << 20), "the walk made no dentries: this test tested nothing"
    for name in names:
        found = finding(shared_run, name)
        assert found["verdict"] != "leak", found
        assert not [line for line in shared_run.daemon.announced() if found["id"] in line]


def test_nothing_is_left_in_the_kernel(shared_run: SharedRun) -> None:
    for name in KERNEL:
        shared_run.require(name)
    keys = f"leakwatch-e2e-{shared_run.workloads['keyrings'].pid}-"
    wait_for("the keys gone", lambda: keys not in Path("/proc/keys").read_text())
    peaks = {
        cache: max(value for _, value in shared_run.slab.records[cache])
        for cache in (*MESSAGE_CACHES, *KEY_CACHES, *FILE_CACHES)
        if cache in shared_run.slab.records
    }
    grown = [cache for cache, peak in peaks.items() if peak > 3 * shared_run.slab.records[cache][0][1] + (1 << 20)]
    assert grown

    def given_back() -> bool:
        now = slab_bytes()
        return all(now[cache] < peaks[cache] / 2 for cache in grown)

    wait_for(f"the memory of {', '.join(grown)} given back", given_back)
