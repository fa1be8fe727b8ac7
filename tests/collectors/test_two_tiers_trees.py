"""Two tiers on recorded trees: nothing is kept open there, and what moves is told by the files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.sample import AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Trees = Callable[[str], Path]

V618, V310, V515 = "linux-6.18-x86_64", "linux-3.10-x86_64", "linux-5.15-arm64-64k"
PAGE = 4096
PID = 18674


class Watch:
    def __init__(self, root: Path, sampling: SamplingConfig | None = None) -> None:
        self.procfs = ProcFS(str(root))
        self.collector = ProcessCollector(self.procfs, "boot", sampling)

    def look(self, pid: int = PID) -> dict[str, Sample]:
        self.result = CollectorResult()
        self.collector.collect(self.result, slow=False)
        key = next((i.identity.target for i in self.result.processes if i.identity.pid == pid), None)
        return {sample.metric: sample for sample in self.result.samples if sample.target == key}


def set_statm(root: Path, resident: int, shared: int) -> None:
    (root / str(PID) / "statm").write_text(f"7000 {resident} {shared} 691 0 2712 0\n")


def resident_and_shared(root: Path) -> tuple[int, int]:
    words = (root / str(PID) / "statm").read_text().split()
    return int(words[1]), int(words[2])


def test_nothing_of_a_recorded_tree_is_kept_open(proc_tree: Trees) -> None:
    watch = Watch(proc_tree(V618))
    watch.look()
    assert watch.procfs.kept.count == 0
    assert watch.result.targets_read == 5


def test_the_second_look_is_estimated_from_statm(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    watch, (resident, shared) = Watch(root), resident_and_shared(root)
    first = watch.look()
    set_statm(root, resident + 100, shared)
    second = watch.look()
    for metric in (metrics.PROCESS_USS, metrics.PROCESS_PSS, metrics.PROCESS_RSS):
        assert not first[metric].estimated
        assert second[metric] == Sample(metric, first[metric].target, first[metric].value + 100 * PAGE, estimated=True)
    assert second[metrics.PROCESS_SWAP].value == first[metrics.PROCESS_SWAP].value


def test_a_move_of_shared_beyond_the_tolerance_has_it_read(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    watch, (resident, shared) = Watch(root, SamplingConfig(tolerance_bytes=128 << 10)), resident_and_shared(root)
    watch.look()
    set_statm(root, resident + 32, shared + 32)
    assert watch.look()[metrics.PROCESS_USS].estimated
    set_statm(root, resident, shared)  # back again: it need not be the same pages
    assert not watch.look()[metrics.PROCESS_USS].estimated


def test_another_start_time_is_another_process(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    watch = Watch(root)
    before = watch.look()[metrics.PROCESS_USS].target
    stat = root / str(PID) / "stat"
    head, _, rest = stat.read_text().rpartition(") ")
    words = rest.split()
    words[19] = str(int(words[19]) + 5)
    stat.write_text(f"{head}) {' '.join(words)}\n")
    after = watch.look()[metrics.PROCESS_USS]
    assert after.target != before
    assert not after.estimated


@pytest.mark.parametrize("data", [None, b"", b"what is this\n"])
def test_without_statm_everything_is_read_at_every_look(proc_tree: Trees, data: bytes | None) -> None:
    root = proc_tree(V618)
    (root / str(PID) / "statm").unlink()
    if data is not None:
        (root / str(PID) / "statm").write_bytes(data)
    watch = Watch(root)
    for _ in range(3):
        assert not watch.look()[metrics.PROCESS_USS].estimated


@pytest.mark.parametrize("name", [V310, V515])
def test_kernels_without_a_rollup_are_read_by_smaps_and_estimated_alike(proc_tree: Trees, name: str) -> None:
    watch = Watch(proc_tree(name))
    watch.look()
    values = {(s.metric, s.target): s.value for s in watch.result.samples}
    assert any(metric == metrics.PROCESS_USS for metric, _ in values)
    watch.look()
    assert {(s.metric, s.target): s.value for s in watch.result.samples} == values
    assert all(s.estimated for s in watch.result.samples if s.metric == metrics.PROCESS_USS)


def test_who_is_refused_is_not_asked_again_at_once_and_stays_counted(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    (root / str(PID) / "smaps_rollup").unlink()
    watch, (resident, shared) = Watch(root), resident_and_shared(root)
    watch.look()
    set_statm(root, resident + 100, shared)
    found = watch.look()
    assert metrics.PROCESS_USS not in found
    assert found[metrics.PROCESS_ANON].value == (resident + 100 - shared) * PAGE
    assert not found[metrics.PROCESS_ANON].estimated
    assert watch.result.absences[AbsenceReason.UNSUPPORTED] >= 1
    assert watch.collector.spent.last.full_reads == 0


def test_swap_is_asked_for_when_swap_areas_moved(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    swaps, status = root / "swaps", root / str(PID) / "status"
    swaps.write_text("Filename Type Size Used Priority\n/dev/vda2 partition 1000 0 -2\n")
    watch, (resident, shared) = Watch(root), resident_and_shared(root)
    first = watch.look()
    # WHEN 400 kB of it go to swap
    swaps.write_text(swaps.read_text().replace(" 0 -2", " 400 -2"))
    status.write_text(status.read_text().replace("VmSwap:\t       0 kB", "VmSwap:\t     400 kB"))
    set_statm(root, resident - 100, shared)
    second = watch.look()
    # THEN what grows, USS + swap, has not moved
    assert second[metrics.PROCESS_SWAP].value - first[metrics.PROCESS_SWAP].value == 400 << 10
    assert second[metrics.PROCESS_USS].value - first[metrics.PROCESS_USS].value == -(400 << 10)
