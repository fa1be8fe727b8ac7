"""A restart in the middle: the detector fed from a real store goes on as if it had never stopped."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.config import AnalysisConfig, Config
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.restore import Intake, recall, resume
from leakwatch.report.phrases import text
from leakwatch.store.files.open import open_writer
from leakwatch.store.read.reader import Reader
from tests.monitoring.scrapes import (
    KIB,
    MIB,
    MINUTES,
    START_MS,
    Machine,
    NoLimits,
    by_key,
    leak,
    only,
    process,
    unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leakwatch.model.sample import SealedBlock
    from leakwatch.monitoring.evaluation import Evaluation

NGINX = unit("nginx.service")
HOST = {"kernel.mem_total_bytes": 64 << 30, "kernel.mem_available_bytes": 40 << 30}


def machine() -> Machine:
    """Leaks of several kinds, a saw with deep teeth, and much that stands still."""
    return Machine(
        {
            process(1, "nginx", NGINX): 30 * MIB,
            process(2, "nginx", NGINX): leak(300 * KIB),
            process(3, "saw"): lambda at: 10 * MIB + at % 45 * MIB,
            process(4, "stopped"): lambda at: 50 * MIB + min(at, 80) * MIB,
            process(5, "born"): only(40 * MIB, 70, 999),
            process(6, "ended"): only(leak(), 0, 90),
            process(7, "fell"): lambda at: 200 * MIB if at < 150 else 50 * MIB + at * 100 * KIB,
        },
        slab={"kmalloc-4k": leak(), "dentry": 70 * MIB},
        vmalloc={"module_alloc": 9 * MIB},
        host=HOST,
        reclaimable={"dentry": True},
    )


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "leakwatch.db"
    open_writer(path, START_MS).close()
    return path


@dataclass
class Run:
    """The daemon's loop without its clock."""

    store: Path
    config: Config = MINUTES
    sealed: list[SealedBlock] = field(default_factory=list)
    said: dict[int, Evaluation] = field(default_factory=dict)

    def go(self, what: Machine, first: int, last: int, *, beside: int = 0) -> Run:
        """Open the store, resume, scrape from one second to before another, close.

        The first ``beside`` scrapes are taken and stored before the past is read.
        """
        writer = open_writer(self.store, START_MS)
        extent = writer.extent()
        detector = Detector(self.config, NoLimits())
        intake = Intake(detector)
        now_ms = START_MS + first * 1000
        for at in range(first, first + beside):
            scrape = what.scrape(at)
            assert intake.feed(scrape) == []
            writer.write_scrape(scrape)
        reader = Reader(self.store, extent, of_timeline=True)
        _, pending = resume(detector, recall(reader, detector.plan, now_ms), now_ms)
        reader.close()
        intake.take_up(detector, pending)
        pending = []
        for at in range(first + beside, last):
            ts_ms = START_MS + at * 1000
            scrape = what.scrape(at)
            pending += intake.feed(scrape)
            writer.write_scrape(scrape, pending)
            self.sealed += pending
            pending = []
            if at % 5 == 4:
                self.said[at] = detector.evaluate(ts_ms)
                writer.write_evaluation([], self.said[at].suspicions, {}, ts_ms)
        writer.close()
        return self


@pytest.fixture
def run(empty_store: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    count = iter(range(100))

    def new(config: Config = MINUTES) -> Run:
        store = tmp_path / f"{next(count)}.db"
        shutil.copy(empty_store, store)
        return Run(store, config)

    return new


def findings(evaluation: Evaluation) -> dict[str, tuple[object, ...]]:
    return {
        f.id: (f.name, f.pid, f.metric, f.assessment.verdict, text(f.assessment.reasons), text(f.notes))
        for f in evaluation.findings
    }


@pytest.fixture(scope="module")
def straight(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Five minutes without a restart."""
    store = tmp_path_factory.mktemp("straight") / "leakwatch.db"
    shutil.copy(empty_store, store)
    return Run(store).go(machine(), 0, 300)


@pytest.mark.parametrize("stops", [(20,), (63,), (141,), (100, 150, 200, 250)], ids=str)
def test_verdicts_and_blocks_after_restarts_are_those_without_one(
    run: Callable[..., Run], straight: Run, stops: tuple[int, ...]
) -> None:
    # GIVEN a run of five minutes, and another that was restarted in between
    again = run()
    for first, last in zip((0, *stops), (*stops, 300), strict=True):
        again.go(machine(), first, last)
    # THEN all blocks are the same, and so is all that was said
    assert by_key(again.sealed) == by_key(straight.sealed)
    for at, evaluation in straight.said.items():
        assert findings(again.said[at]) == findings(evaluation), f"at second {at}"
    assert Verdict.LEAK in {f.assessment.verdict for f in straight.said[299].findings}


@pytest.mark.parametrize("beside", [1, 4, 40])
def test_a_past_read_beside_sampling_comes_to_the_same(run: Callable[..., Run], straight: Run, beside: int) -> None:
    # GIVEN a restart after which some scrapes are taken, and processes end and begin, before the past is read
    again = run().go(machine(), 0, 85).go(machine(), 85, 300, beside=beside)
    # THEN each block is there once, the same, and so is all that is said from then on
    assert by_key(again.sealed) == by_key(straight.sealed)
    assert len(again.sealed) == len(straight.sealed)
    for at in range(85 + beside + 4, 300, 5):
        at -= (at + 1) % 5  # noqa: PLW2901 - the seconds that were judged
        assert findings(again.said[at]) == findings(straight.said[at]), f"at second {at}"


def test_samples_beyond_the_bound_are_left_out_the_oldest_first(caplog: pytest.LogCaptureFixture) -> None:
    detector = Detector(MINUTES, NoLimits())
    scrapes = [machine().scrape(at, ts_ms=START_MS + at * 1000) for at in range(20)]
    intake = Intake(detector, most=5 * max(len(scrape.samples) for scrape in scrapes))
    for scrape in scrapes:
        intake.feed(scrape)
    intake.take_up(detector, [])
    assert "scrapes were stored and not judged" in caplog.text
    seen = Detector(MINUTES, NoLimits())
    for scrape in scrapes[-5:]:
        seen.feed(scrape)
    assert findings(detector.evaluate(START_MS)) == findings(seen.evaluate(START_MS))


def test_a_confirmed_leak_is_one_at_the_first_look_after_a_restart(run: Callable[..., Run]) -> None:
    restarted = run().go(machine(), 0, 200).go(machine(), 200, 205)
    leaks = {f.name for f in restarted.said[204].findings if f.assessment.verdict is Verdict.LEAK}
    assert {"nginx.service", "kmalloc-4k"} <= leaks


def test_other_windows_are_rebuilt_from_the_samples(run: Callable[..., Run]) -> None:
    # GIVEN three minutes watched with windows of one and two minutes
    other = replace(MINUTES, analysis=AnalysisConfig(windows_s=(36, 180)))
    first = run().go(machine(), 0, 180)
    # WHEN the windows are changed
    changed = replace_config(first, other).go(machine(), 180, 300)
    # THEN the blocks and verdicts are those of having had them all the time
    straight = run(other).go(machine(), 0, 300)
    theirs = {key: block for key, block in by_key(straight.sealed).items() if key[1] not in gone(machine())}
    ours = {key: block for key, block in by_key(changed.sealed).items() if key in theirs}
    assert set(ours) == set(theirs)
    minima = {key: (b.block.n, b.block.minimum) for key, b in ours.items()}
    assert minima == {key: (b.block.n, b.block.minimum) for key, b in theirs.items()}
    assert findings(changed.said[299]) == findings(straight.said[299])


def replace_config(run: Run, config: Config) -> Run:
    return Run(run.store, config)


def gone(what: Machine) -> set[object]:
    """Targets whose samples are not replayed, their process having ended before the restart."""
    ended = {info for info in what.processes if info.name == "ended"}
    return {info.identity.target for info in ended} | {info.service.target for info in ended if info.service}


def test_an_empty_store_resumes_to_nothing(run: Callable[..., Run]) -> None:
    fresh = run()
    reader = Reader(fresh.store)
    detector = Detector(MINUTES, NoLimits())
    said, pending = resume(detector, recall(reader, detector.plan, START_MS), START_MS)
    assert (said.findings, said.incidents, pending) == ([], [], [])
    assert detector.evaluate(START_MS).findings == ()
    reader.close()
