"""Sampling and judging are two threads: nothing is lost, mixed up or waited for between them."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.analysis.findings.process_table import ProcessTable, UserNames
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.config import IgnoreConfig
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.verdict import Rooms, Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.evaluation import in_process
from leakwatch.procfs.fs import ProcFS
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, NoLimits, leak, only, process, unit, watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from leakwatch.analysis.window_request import WindowRequest, WindowResult

STRESS_S = 3.0
"""By hand for ten minutes: ``python -m tests.benchmarks.threads 600``."""


def test_sampling_and_judging_at_once_with_processes_that_come_and_go() -> None:
    # GIVEN processes of which one in ten leaks and every one past_runs for 40 scrapes, with counts, threads and a cache
    pool = unit("pool.service")
    workers = {
        process(pid, f"w{pid % 7}", pool): only(leak() if pid % 10 == 0 else 30 * MIB, pid - 40, pid)
        for pid in range(1, 400)
    }
    machine = Machine({**workers, process(1000): leak()}, slab={"dentry": leak()}, host={"kernel.slab_bytes": leak()})
    detector, failures, done = Detector(MINUTES, NoLimits()), [], threading.Event()

    def sample() -> None:
        try:
            for at in range(400):
                detector.feed(machine.scrape(at))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.append(error)
        done.set()

    sampling = threading.Thread(target=sample)
    sampling.start()
    rounds = 0
    while not done.is_set():
        evaluation = detector.evaluate(START_MS + rounds)
        detector.snapshot(START_MS + rounds)
        rounds += 1
    sampling.join()
    assert not failures
    assert rounds > 1
    # THEN what leaked all the time is found, and nothing of those that ended is left
    evaluation = detector.evaluate(START_MS + 400_000)
    assert Verdict.LEAK in {f.assessment.verdict for f in evaluation.findings if f.pid == 1000}
    alive = {info.identity.target for info in machine.scrape(399).processes}
    of_processes = {key[1] for key in detector._series if key[1].kind is TargetKind.PROCESS}
    assert len(of_processes - alive) <= 3  # those that ended in the last scrapes


class _Meanwhile:
    """A judge in whose absence something happens, once."""

    def __init__(self) -> None:
        self.does = lambda: None

    def __call__(self, questions: Sequence[WindowRequest]) -> list[WindowResult]:
        answers = in_process(questions)
        does, self.does = self.does, lambda: None
        does()
        return answers


def test_a_life_that_ends_while_it_is_judged_takes_no_answer_with_it() -> None:
    # GIVEN two leaks of a service, asked about in one go
    judge = _Meanwhile()
    detector = Detector(MINUTES, NoLimits(), judge)
    svc = unit("a.service")
    fast, slow = process(1, "fast", svc), process(2, "slow", svc)
    machine = Machine({fast: leak(8 * MIB), slow: leak(MIB)})
    for at in range(100):
        detector.feed(machine.scrape(at))
    first, second = (detector._series[metrics.PROCESS_USS_SWAP, info.identity.target] for info in (fast, slow))
    asked = len(first.questions())
    assert asked
    # WHEN the first begins a new life just then
    judge.does = lambda: first.end_segment(START_MS + 100_000, remember=True)
    detector.evaluate(START_MS + 100_000)
    # THEN its old growth is nobody's, and the second has its own
    assert first.assessment is None
    assert first.alarm_state.suspicion is None
    assert second.assessment is not None
    assert second.assessment.slope_bytes_per_hour == pytest.approx(3600 * MIB, rel=0.05)


def test_a_look_taken_while_others_are_judged_waits_for_its_own_answer() -> None:
    judge = _Meanwhile()
    detector = Detector(MINUTES, NoLimits(), judge)
    machine = Machine({process(1): leak()})
    ticks = count()
    for _ in range(100):
        detector.feed(machine.scrape(next(ticks)))
    state = detector._series[metrics.PROCESS_USS_SWAP, process(1).identity.target]
    judge.does = lambda: [detector.feed(machine.scrape(next(ticks))) for _ in range(20)] and None
    before = set(state.questions())
    detector.evaluate(START_MS + 120_000)
    assert state.questions()
    assert not before & set(state.questions())
    detector.evaluate(START_MS + 125_000)
    assert not state.questions()


def test_no_file_is_read_and_no_name_is_asked_for_under_the_lock() -> None:
    seen: dict[str, set[bool]] = {}

    def note(what: str) -> None:
        seen.setdefault(what, set()).add(detector._lock.locked())

    class Limits(NoLimits):
        def rooms_of(self, pid: int, free_swap: int) -> Rooms:
            note("limit")
            return super().rooms_of(pid, free_swap)

    def aliases(_cache: str) -> tuple[str, ...]:
        note("aliases")
        return ()

    def judge(questions: Sequence[WindowRequest]) -> list[WindowResult]:
        note("judge")
        return in_process(questions)

    def name(_uid: int) -> str:
        note("name")
        return "alice"

    detector = Detector(MINUTES, Limits(), judge, aliases)
    detector._users._lookup = name
    machine = Machine({process(1, uid=1000): leak()}, slab={"kmalloc-4k": leak()})
    evaluation = watch(machine, detector=detector)
    assert seen == {what: {False} for what in ("limit", "aliases", "judge", "name")}
    assert {finding.user for finding in evaluation.findings} == {"alice", None}


def test_who_is_asked_for_is_read_whatever_the_other_thread_does(tmp_path: Path) -> None:
    # GIVEN one thread that asks for processes while another takes what is asked for
    collector = ProcessCollector(ProcFS(str(tmp_path)), "boot")
    wanted = [Target(TargetKind.PROCESS, f"boot/{pid}/1") for pid in range(20_000)]
    taken: set[Target] = set()

    def ask() -> None:
        for at in range(0, len(wanted), 5):
            collector.want_full(wanted[at : at + 5])

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        taken.update(collector._take_requests())
        collector._asked = {}  # they were read
    taken.update(collector._take_requests())
    assert taken == set(wanted)


def test_who_was_asked_for_in_a_round_that_failed_is_read_in_the_next(tmp_path: Path) -> None:
    collector = ProcessCollector(ProcFS(str(tmp_path)), "boot")
    first, second = (Target(TargetKind.PROCESS, f"boot/{pid}/1") for pid in (1, 2))
    collector.want_full([first])
    collector._take_requests()  # and the round failed before it was read
    collector.want_full([second])
    assert list(collector._take_requests()) == [first, second]


def test_users_are_not_asked_for_unless_some_are_ignored() -> None:
    def refuse(uid: int) -> str | None:
        raise AssertionError(uid)

    process_table = ProcessTable(IgnoreConfig(processes=("x",)), refuse)
    process_table.update([process(1, uid=1000)])
    assert len(process_table.targets()) == 1


def test_a_directory_of_users_that_hangs_costs_two_seconds_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwatch.analysis.findings.process_table.ANSWER_S", 0.01)
    answer, asked = threading.Event(), []

    def hangs(uid: int) -> str:
        asked.append(uid)
        answer.wait(10)
        return f"user{uid}"

    users = UserNames(hangs)
    assert [users.name(uid) for uid in (7, 8, 9)] == ["7", "8", "9"]
    assert asked == [7]
    answer.set()
    assert users._asking is not None
    users._asking.join(10)
    assert users.known(7) == "user7"
    assert users.known(8) is None


def test_whoever_is_ignored_by_a_name_not_known_yet_is_left_out_as_soon_as_it_is() -> None:
    users = UserNames(lambda _uid: "builder")
    process_table = ProcessTable(IgnoreConfig(users=("build*",)), users.known)
    process_table.update([process(1, uid=1000)])
    assert len(process_table.targets()) == 1
    users.ask_for_wanted()
    process_table.update([process(1, uid=1000)])
    assert not process_table.targets()


def test_only_what_changed_is_to_be_stored() -> None:
    detector = Detector(MINUTES, NoLimits())
    machine = Machine({process(1, "job", unit("job.service")): only(30 * MIB, 0, 150)})
    for at in range(160):
        detector.feed(machine.scrape(at))
    stored = detector.snapshot(START_MS)
    assert set(stored) == {"life/unit:job.service/job/process.uss_swap_bytes", "sorts"}
    assert detector.snapshot(START_MS) == {}
    detector.forget_stored()
    assert detector.snapshot(START_MS) == stored
    # WHEN it comes back after a restart, and is old
    again = Detector(MINUTES, NoLimits())
    again.restore_alarm_states({}, stored)
    assert again.snapshot(START_MS) == {"sorts": []}
    assert again.snapshot(START_MS + 40 * 86_400_000) == {"life/unit:job.service/job/process.uss_swap_bytes": None}
    assert HOST not in {key[1] for key in again._series}


def test_past_lives_of_a_store_of_before_are_taken_over() -> None:
    past_runs = {"unit:a/a/process.uss_swap_bytes": [["a", START_MS, 1.0, False, 0.0, 1e6, 0.5]]}
    detector = Detector(MINUTES, NoLimits())
    detector.restore_alarm_states({}, {"lives": past_runs})
    (program,) = past_runs
    assert detector.snapshot(START_MS) == {f"life/{program}": past_runs[program], "lives": None, "sorts": []}
