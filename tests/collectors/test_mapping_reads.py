"""Looks into suspects: in place of the full read, now and then, the fastest growing first, within the budget."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.processes import mapping_classes
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import TargetKind
from leakwatch.model.memory_class import process_and_class
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leakwatch.model.identity import Target

MIB = 1 << 20
CHILD = """\
import sys
kept = []
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
GENEROUS = SamplingConfig(cpu_budget=1.0, max_age_s=86_400.0)


class Child:
    """An interpreter that does what it is told."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", "-c", CHILD]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        self.do("pass")

    def do(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        assert self.process.stdout.readline() == b"done\n"

    def end(self) -> None:
        with self.process:
            self.process.kill()


@pytest.fixture
def start() -> Iterator[Callable[[], Child]]:
    children: list[Child] = []

    def begin() -> Child:
        children.append(Child())
        return children[-1]

    yield begin
    for child in children:
        child.end()


class Watch:
    """A collector that looks into suspects."""

    def __init__(self, sampling: SamplingConfig = GENEROUS, every_s: float | None = 1e-6) -> None:
        self.procfs = ProcFS()
        self.collector = ProcessCollector(self.procfs, "boot", sampling, every_s)
        self.look()

    def look(self, *suspects: Child) -> dict[int, dict[str, int]]:
        """Take a round with these suspects; return the bytes of each class by pid."""
        self.collector.want_full([self.target(child.pid) for child in suspects])
        self.result = CollectorResult()
        self.collector.collect(self.result, slow=False)
        found: dict[int, dict[str, int]] = {}
        for sample in self.result.samples:
            if sample.metric == metrics.CLASS_HELD:
                assert sample.target.kind is TargetKind.MEMORY_CLASS
                process, key = process_and_class(sample.target)
                found.setdefault(int(process.key.split("/")[1]), {})[key] = sample.value
        return found

    def target(self, pid: int) -> Target:
        return next(info.identity.target for info in self.result.processes if info.identity.pid == pid)

    def value(self, pid: int, metric: str) -> tuple[int, bool]:
        target = self.target(pid)
        return next((s.value, s.estimated) for s in self.result.samples if (s.metric, s.target) == (metric, target))


def test_a_suspect_is_looked_into_and_read_in_one_walk(start: Callable[[], Child]) -> None:
    child, watch = start(), Watch()
    watch.look()
    found = watch.look(child)
    assert found.keys() == {child.pid}
    assert {"heap", "stack", "anonymous"} <= found[child.pid].keys()
    assert "kernel" not in found[child.pid]
    uss, estimated = watch.value(child.pid, metrics.PROCESS_USS)
    swap, _ = watch.value(child.pid, metrics.PROCESS_SWAP)
    assert not estimated
    assert sum(found[child.pid].values()) == uss + swap
    assert watch.collector.spent.last.looks == 1


def test_the_class_that_grew_is_the_one(start: Callable[[], Child]) -> None:
    child, watch = start(), Watch()
    before = watch.look(child)[child.pid]
    child.do("kept.extend([bytes(3000) for _ in range(4000)])")
    after = watch.look(child)[child.pid]
    gained = {key: size - before.get(key, 0) for key, size in after.items()}
    assert gained.pop("heap") > 11 * MIB
    assert max(gained.values()) < MIB


def test_who_is_no_suspect_is_not_looked_into(start: Callable[[], Child]) -> None:
    start()
    watch = Watch()
    assert watch.look() == {}


def test_nobody_is_where_looks_are_not_wanted(start: Callable[[], Child]) -> None:
    child, watch = start(), Watch(every_s=None)
    assert watch.look(child) == {}
    assert not watch.value(child.pid, metrics.PROCESS_USS)[1]


def test_a_look_is_made_again_only_after_its_time(start: Callable[[], Child]) -> None:
    child, watch = start(), Watch(every_s=3600)
    assert watch.look(child)
    assert watch.look(child) == {}
    assert not watch.value(child.pid, metrics.PROCESS_USS)[1], "it is read fully all the same"


def test_some_a_round_new_ones_and_others_by_turns_the_first_given_first(start: Callable[[], Child]) -> None:
    children = [start() for _ in range(mapping_classes.LOOKS_A_ROUND + 2)]
    pids = [child.pid for child in children]
    watch = Watch()
    assert watch.look(*children).keys() == set(pids[: mapping_classes.LOOKS_A_ROUND])
    assert watch.look(*children).keys() == set(pids[-2:] + pids[: mapping_classes.LOOKS_A_ROUND - 2])
    assert watch.look(*reversed(children)).keys() == set(pids[2:])


def test_when_the_budget_is_spent_one_is_looked_into(start: Callable[[], Child]) -> None:
    children = [start() for _ in range(3)]
    watch = Watch(SamplingConfig(cpu_budget=1e-9))
    for _ in range(2):
        watch.look()
    seen = [set(watch.look(*children)) for _ in range(6)]
    assert [len(one) for one in seen] == [1] * 6
    assert set().union(*seen) == {child.pid for child in children}


def test_those_that_do_not_grow_do_not_keep_the_fastest_waiting(start: Callable[[], Child]) -> None:
    children = [start() for _ in range(12)]
    watch = Watch()
    seen = [watch.look(*children).keys() for _ in range(4)]
    times = {child.pid: sum(child.pid in one for one in seen) for child in children}
    assert times[children[0].pid] == max(times.values()) == 3
    assert (
        sum(number > 0 for number in times.values())
        == mapping_classes.LOOKS_A_ROUND + 3 * mapping_classes.LOOKS_A_ROUND // 2
    )


def test_of_a_large_service_some_processes_are_enough(
    start: Callable[[], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_classes, "PROCESSES_MOST", 2)
    children = [start() for _ in range(3)]
    watch = Watch()
    seen = {pid for _ in range(3) for pid in watch.look(*children)}
    assert len(seen) == 2
    # One that is no suspect any more makes room.
    left = [child for child in children if child.pid not in seen]
    assert watch.look(left[0], children[0]).keys() >= {left[0].pid}


def test_who_has_too_many_mappings_is_read_by_the_rollup(
    start: Callable[[], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_classes, "MAPPINGS_MOST", 500)
    child, watch = start(), Watch()
    assert watch.look(child)
    child.do("import mmap; kept += [mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, 1 + n % 2 * 2) for n in range(2000)]")
    assert watch.look(child) == {}
    value, estimated = watch.value(child.pid, metrics.PROCESS_USS)
    assert not estimated
    assert value > MIB
    monkeypatch.setattr(mapping_classes, "MAPPINGS_MOST", 100_000)
    assert watch.look(child) == {}, "tried again a day later"


def test_one_that_has_ended_leaves_nothing(start: Callable[[], Child]) -> None:
    child, watch = start(), Watch()
    assert watch.look(child)
    target = watch.target(child.pid)
    child.end()
    watch.collector.want_full([target])
    assert watch.look() == {}
