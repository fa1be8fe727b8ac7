"""On this machine's own /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST, ProcessInfo, Target
from leakwatch.model.sample import Scrape, Tick
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

MIB = 1 << 20
GROWING = """
import ctypes, mmap, sys
libc = ctypes.CDLL(None)
libc.prctl(15, sys.argv[1].encode().decode("unicode_escape").encode("latin-1"), 0, 0, 0)
print("ready", flush=True)
for line in sys.stdin:
    area = mmap.mmap(-1, int(line), flags=mmap.MAP_PRIVATE)
    for at in range(0, len(area), 4096):
        area[at] = 1
    print("grown", flush=True)
"""


@contextmanager
def growing(name: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", GROWING, name]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def grow(child: subprocess.Popen[str], size: int) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    print(size, file=child.stdin, flush=True)
    assert child.stdout.readline() == "grown\n"


def scrape() -> Scrape:
    return Scraper(ProcFS(), "boot", SamplingConfig(slow_every=1)).scrape(Tick(0, "boot"))


def info_of(found: Scrape, pid: int) -> ProcessInfo:
    return next(info for info in found.processes if info.identity.pid == pid)


def value(found: Scrape, metric: str, target: Target) -> int:
    return next(sample.value for sample in found.samples if (sample.metric, sample.target) == (metric, target))


def test_fifty_megabytes_more_are_fifty_megabytes_more() -> None:
    with growing("grower") as child:
        before = scrape()
        grow(child, 50 * MIB)
        after = scrape()
        info = info_of(after, child.pid)
        target = info.identity.target
        for metric in (metrics.PROCESS_USS, metrics.PROCESS_RSS, metrics.PROCESS_PSS):
            gain = value(after, metric, target) - value(before, metric, target)
            assert gain == pytest.approx(50 * MIB, abs=2 * MIB), metric
        assert (info.name, info.uid) == ("grower", os.getuid())
        assert value(after, metrics.PROCESS_THREADS, target) == 1
        assert value(after, metrics.PROCESS_FDS, target) >= 3


def test_a_hostile_name_is_read_and_measured() -> None:
    with growing(r") R 1 (\n\xff\x1b[2J") as child:
        found = scrape()
        info = info_of(found, child.pid)
        assert info.name == ") R 1 (\n\\xff\x1b[2J"
        assert value(found, metrics.PROCESS_USS, info.identity.target) > MIB


def test_this_machine_s_sums_are_plausible() -> None:
    found = scrape()
    assert not [outcome for outcome in found.outcomes if outcome.error]
    total, free = (value(found, f"kernel.mem_{name}_bytes", HOST) for name in ("total", "free"))
    unaccounted = next((s.value for s in found.samples if s.metric == metrics.KERNEL_UNACCOUNTED), None)
    if unaccounted is not None:  # not told where vmallocinfo is refused and VmallocUsed lies
        assert 0 <= unaccounted < 0.5 * (total - free) + 512 * MIB
    assert os.getpid() in {info.identity.pid for info in found.processes}
