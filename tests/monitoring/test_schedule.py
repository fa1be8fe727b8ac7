"""The schedule's ends: what a job lets out, and threads that take no turn."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from leakwatch.clock import Instant, SystemClock
from leakwatch.monitoring.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Striding:
    """A clock that is five seconds on whenever it is asked."""

    def __init__(self) -> None:
        self.ms = 0

    def now(self) -> Instant:
        self.ms += 5000
        return Instant(self.ms, self.ms, self.ms)


class Scheduler:
    """In APScheduler's place: has each job added begin by ``begins``."""

    def __init__(self, begins: Callable[[str, Callable[[], None]], None]) -> None:
        self._begins = begins

    def start(self) -> None:
        pass

    def add_job(self, job: Callable[[str], None], _: object, args: tuple[str], **_more: object) -> None:
        self._begins(args[0], lambda: job(*args))

    def remove_all_jobs(self) -> None:
        pass

    def shutdown(self, *, wait: bool) -> None:
        pass


# Intervals are of a millisecond, as ``run`` waits for them in real time; the clock strides over many.


def scheduled(monkeypatch: pytest.MonkeyPatch, begins: Callable[[str, Callable[[], None]], None]) -> Schedule:
    schedule = Schedule(Striding())
    monkeypatch.setattr(schedule, "_scheduler", lambda: Scheduler(begins))
    return schedule


def test_nothing_a_job_lets_out_reaches_apscheduler(caplog: pytest.LogCaptureFixture) -> None:
    """Its handler is 450 instructions long: where memory has run out, CPython would be in it for ever."""

    def job() -> None:
        raise SystemError("error return without exception set")

    schedule = Schedule(SystemClock())
    schedule.add(job, "scrape", 3600.0, "sampling", at_once=True)
    with caplog.at_level(logging.DEBUG):
        schedule.run()
    assert (schedule.broken, schedule.stopped) == (True, True)
    assert not [record for record in caplog.records if "raised an exception" in record.getMessage()]


def test_a_thread_that_takes_no_turn_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = scheduled(monkeypatch, lambda _name, _turn: None)
    schedule.add(lambda: None, "scrape", 0.001, "sampling", at_once=True)
    schedule.run(duration_s=100_000)
    assert schedule.broken


def test_a_turn_that_waits_for_a_long_job_of_its_thread_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, works = threading.Event(), threading.Event()

    def begins(name: str, turn: Callable[[], None]) -> None:
        if name == "evaluate" and not works.is_set():
            threading.Thread(target=turn).start()
            works.wait()

    def evaluate() -> None:
        works.set()
        goes_on.wait()

    schedule = scheduled(monkeypatch, begins)
    schedule.add(evaluate, "evaluate", 1e6, "slow", at_once=True)
    schedule.add(lambda: None, "purge", 0.001, "slow", at_once=False)
    schedule.run(duration_s=1000)
    goes_on.set()
    assert not schedule.broken


def test_turns_that_are_taken_are_no_longer_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    schedule = scheduled(monkeypatch, lambda _, turn: turn())
    schedule.add(lambda: done.append(1), "scrape", 0.001, "sampling", at_once=True)
    schedule.run(duration_s=1000)
    assert len(done) > 10
    assert not schedule.broken
