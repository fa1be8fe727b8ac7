"""The daemon's own jobs on a machine whose clock is set: what is said and alarmed is what it is where it is not."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch.clock import Instant
from leakwatch.config import AnalysisConfig, Config, EvidenceConfig, SamplingConfig, StoreConfig
from leakwatch.explain.stored import case_of, find
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.daemon import Daemon
from leakwatch.monitoring.evaluation import in_process
from leakwatch.queries.report import read_report
from leakwatch.report.build import Filters
from leakwatch.report.phrases import text
from leakwatch.store.maintenance.integrity import check
from leakwatch.store.read.reader import Reader
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, leak, only, process, unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leakwatch.model.sample import Scrape, Tick
    from leakwatch.monitoring.evaluation import Evaluation

HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
AHEAD_S = 26 * YEAR_S
Steps = "Mapping[int, float]"
"""By how many seconds the clock is set, by the scrape before which it is."""


@dataclass
class Manual:
    """A machine's clocks, moved by hand."""

    wall_ms: int = START_MS
    monotonic_ms: int = 5_000
    boottime_ms: int = 5_000

    def now(self) -> Instant:
        return Instant(self.wall_ms, self.monotonic_ms, self.boottime_ms)

    def go(self, seconds: float, *, asleep: bool = False) -> None:
        ms = round(seconds * 1000)
        self.wall_ms += ms
        self.boottime_ms += ms
        self.monotonic_ms += 0 if asleep else ms


class Scripted:
    """The daemon's scraper but for what it reads: that is made up, by the seconds that went by in truth."""

    def __init__(self, real: Any, what: Machine, clock: Manual) -> None:
        self._real, self._what, self._clock = real, what, clock

    def scrape(self, tick: Tick) -> Scrape:
        return replace(self._what.scrape(self._clock.boottime_ms // 1000), tick=tick)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def machine(span: int) -> Machine:
    """A leak from the start, one that begins late, one that ends, a saw, a climb that stops, and what stands still."""
    rate = 60 * MIB // span
    return Machine(
        {
            process(1, "nginx", unit("nginx.service")): leak(rate),
            process(2, "late"): leak(2 * rate, since=span // 3),
            process(3, "saw"): lambda at: 90 * MIB + at % 45 * MIB // 4,
            process(4, "stops"): lambda at: 50 * MIB + min(at, span // 3) * 2 * rate,
            process(5, "ends"): only(leak(rate), 0, span // 2),
            process(6, "still"): 40 * MIB,
        },
        slab={"kmalloc-4k": leak(rate), "dentry": 70 * MIB},
        host={"kernel.mem_total_bytes": 64 << 30, "kernel.mem_available_bytes": 40 << 30},
        reclaimable={"dentry": True},
    )


@dataclass
class Run:
    """One machine, watched."""

    proc: Path
    store: Path
    config: Config
    clock: Manual = field(default_factory=Manual)
    said: list[dict[str, tuple[object, ...]]] = field(default_factory=list)
    """Of each evaluation, by the finding's id."""

    def go(
        self,
        scrapes: int,
        steps: Steps,
        *,
        restarts: frozenset[int] = frozenset(),
        sleeps: Mapping[int, int] | None = None,
    ) -> Run:
        interval_s = self.config.sampling.interval_s
        what = machine(round(scrapes * interval_s))
        daemon = self._start(what)
        every = max(1, round(daemon.evaluate_every_s / interval_s))
        for at in range(scrapes):
            self.clock.wall_ms += round(steps.get(at, 0.0) * 1000)
            if at in restarts:
                self._end(daemon)
                daemon = self._start(what)
            daemon._scrape()
            if at % every == every - 1:
                daemon._evaluate()
            self.clock.go((sleeps or {}).get(at, 0), asleep=True)
            self.clock.go(interval_s)
        self._end(daemon)
        return self

    def _end(self, daemon: Daemon) -> None:
        daemon._schedule.stop()
        daemon._ready = False  # without a last evaluation
        daemon._finish()

    def _start(self, what: Machine) -> Daemon:
        daemon = Daemon(self.config, self.store, str(self.proc), self.clock)
        daemon._scraper = Scripted(daemon._scraper, what, self.clock)  # type: ignore[assignment]
        if not daemon._intake.is_open:
            daemon._past.run()
        daemon._past.detector._judge = in_process
        heed = daemon._heed

        def note(evaluation: Evaluation) -> None:
            found = evaluation.findings
            self.said.append({f.id: (f.name, f.assessment.verdict, f.assessment.grown_bytes) for f in found})
            heed(evaluation)

        daemon._heed = note  # type: ignore[method-assign]
        return daemon

    def events(self) -> list[tuple[object, ...]]:
        """Return what happened to incidents, when on the timeline."""
        reader = Reader(self.store, of_timeline=True)
        events = [(one.name, event) for one in reader.incidents() for event in reader.incident_events(one.id)]
        reader.close()
        return sorted((event.at_ms, event.kind, name, text(event.reasons)) for name, event in events)


Start = "Callable[..., Run]"
PROC_TREES = Path(__file__).parents[1] / "data" / "proc"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    directory, count = tmp_path_factory.mktemp("clock"), itertools.count()
    proc = shutil.copytree(PROC_TREES / "linux-6.18-x86_64", directory / "tree") / "proc"

    def new(base: Config = MINUTES, wall_ms: int = START_MS) -> Run:
        store = directory / f"{next(count)}.db"
        kept, evidence = StoreConfig(url=f"sqlite:///{store}"), EvidenceConfig(when_confirmed=False)
        return Run(proc, store, replace(base, store=kept, evidence=evidence), Manual(wall_ms))

    return new


@pytest.fixture(scope="module")
def straight(start: Start) -> Run:
    """Five minutes on a machine whose clock nobody sets."""
    return start().go(300, {})


def assert_alike(disturbed: Run, straight: Run) -> None:
    assert len(disturbed.said) == len(straight.said)
    for at, (ours, theirs) in enumerate(zip(disturbed.said, straight.said, strict=True)):
        assert ours == theirs, f"at evaluation {at}"
    assert disturbed.events() == straight.events()
    assert {"nginx.service", "kmalloc-4k", "late"} <= {
        str(name) for name, verdict, _ in straight.said[-1].values() if verdict is Verdict.LEAK
    }


STEPS = {
    "0.6 s": {100: 0.6, 200: -0.6},
    "an hour forward": {150: HOUR_S},
    "an hour back": {150: -HOUR_S},
    "a day": {70: DAY_S, 150: -DAY_S},
    "26 years": {100: AHEAD_S, 160: -AHEAD_S, 220: -AHEAD_S},
    "ntpdate again and again": dict.fromkeys(range(10, 300, 10), -3.0),
    "leap seconds, one smeared": dict.fromkeys(range(300), -0.001) | {150: -1.0},
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS.keys())
def test_verdicts_and_alarms_are_those_without_a_step(start: Start, straight: Run, steps: Steps) -> None:
    assert_alike(start().go(300, steps), straight)


@pytest.mark.quality
def test_restarts_around_steps_change_nothing(start: Start, straight: Run) -> None:
    steps = {60: -HOUR_S, 140: DAY_S, 141: 0.7, 200: -AHEAD_S}
    disturbed = start().go(300, steps, restarts=frozenset({61, 140, 141, 230}))
    assert_alike(disturbed, straight)


@pytest.mark.quality
def test_sleep_is_a_gap_with_or_without_a_step_on_waking(start: Start) -> None:
    disturbed = start().go(360, {150: 7.0, 200: -HOUR_S}, sleeps={149: 45})
    assert_alike(disturbed, start().go(360, {}, sleeps={149: 45}))


@pytest.mark.quality
@pytest.mark.parametrize("began_ms", [20_000, 946_684_800_000], ids=["1970", "2000"])
def test_a_board_that_is_set_after_a_minute_shows_its_first_minute_before_that(start: Start, began_ms: int) -> None:
    # GIVEN a board that boots years ago by its clock, and is set after a minute
    board = start(wall_ms=began_ms).go(300, {60: (START_MS - began_ms) / 1000})
    # THEN what is said is what would be said had nobody set it
    assert_alike(board, start(wall_ms=began_ms).go(300, {}))
    # AND every time that is shown is one of the present, in order, the first minute just before the setting
    reader = Reader(board.store)
    shown = [head.ts_ms for head in reader.scrapes_since(0)]
    assert shown == [START_MS + at * 1000 for at in range(300)]
    assert [head.ts_ms for head in reader.scrapes_since(START_MS + 100_000)] == shown[100:]
    ends = START_MS + 360_000
    for stored in reader.findings():
        since_ms = stored.finding.assessment.since_ms
        assert since_ms is None or START_MS <= since_ms < ends
        assert START_MS < stored.finding.evaluated_at_ms <= ends
    assert all(START_MS < one.opened_ms < ends for one in reader.incidents())
    assert START_MS < reader.states()["stats"]["at_ms"] < ends
    assert check(reader).problems == ()
    reader.close()


def test_explain_foresees_the_looks_of_the_timeline(start: Start) -> None:
    # GIVEN a clock that was set by what is no multiple of anything
    watched = start().go(150, {100: 3.7})
    reader = Reader(watched.store)
    report = read_report(reader, Filters(verdicts=frozenset(Verdict)), watched.clock.wall_ms)
    row = find(report.rows, "late")
    offset_ms = reader.stamps.offset_ms
    assert offset_ms == 3700
    case = case_of(
        row, watched.config, report.host, suspicions={}, processes=(), every_s=5.0, offset_ms=offset_ms
    )  # fmt: skip
    reader.close()
    every_ms = case.plan.checkpoint_blocks * case.plan.base_s * 1000
    for at_ms in (case.checkpoint_ms, case.next_checkpoint(case.as_of_ms + 7 * every_ms)):
        assert (at_ms - offset_ms) % every_ms == 0


DAYS = Config(sampling=SamplingConfig(interval_s=60.0), analysis=AnalysisConfig(windows_s=(3600, 14_400, 57_600)))


@pytest.mark.quality
@pytest.mark.slow
def test_three_days_of_a_board_with_a_bad_clock(start: Start) -> None:
    hourly = dict.fromkeys(range(0, 4320, 60), -4.0)
    steps = hourly | {500: AHEAD_S, 700: -AHEAD_S, 1500: 0.6, 1900: -HOUR_S, 2500: DAY_S, 3100: -DAY_S - 0.6}
    restarts = frozenset({1501, 2600})
    disturbed = start(DAYS).go(4320, steps, restarts=restarts)
    assert_alike(disturbed, start(DAYS).go(4320, {}, restarts=restarts))
    assert len(disturbed.said) >= 860
