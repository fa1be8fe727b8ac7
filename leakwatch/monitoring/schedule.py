"""Runs jobs at fixed intervals in APScheduler's threads.

APScheduler's own intervals go by the wall clock: set back, it waits until the clock has caught up, and set forward it
lists every run that was missed. Here it gets jobs of one run, at a time long past, when the monotonic clock says so.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from leakwatch.clock import Clock
from leakwatch.monitoring.timetable import Timetable

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any time the wall clock can show."""
LONGEST_WAIT_S = 3600.0
"""poll(2) takes milliseconds of 31 bits."""
TURNS_IN_VAIN = 5
IN_VAIN_MS = 10_000
"""So many turns, over so long, that an idle thread does not take: it, or APScheduler's own, could not be started or has
ended. Several, as a thread that is just being started takes its time on a busy machine."""


class Schedule:
    """Jobs by name, each in the thread of that name; none runs twice at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timetable = Timetable()
        self._jobs: dict[str, tuple[Callable[[], None], str]] = {}
        self._bell = Bell()
        self.stopped = False
        """Whether ``stop`` was called."""
        self.broken = False
        """Whether a job did not end in order, or no thread took one: it is not known what state the process is in."""
        self._at_work: set[str] = set()
        self._in_vain: dict[str, list[int]] = {}

    def add(self, job: Callable[[], None], name: str, every_s: float, thread: str, *, at_once: bool = False) -> None:
        """Have a job run every so many seconds of ``run``, the first time at once or after one interval."""
        self._jobs[name] = job, thread
        every_ms = max(1, round(every_s * 1000))
        now_ms = self._clock.now().monotonic_ms
        self._timetable.add(name, every_ms, now_ms if at_once else now_ms + every_ms)

    def stop(self) -> None:
        """Have ``run`` return; safe in a signal handler and in any thread."""
        self.stopped = True
        self._bell.ring()

    def run(self, duration_s: float | None = None) -> None:
        """Run the jobs until stopped or for so many seconds; a job that runs then is not waited for."""
        scheduler = self._scheduler()
        scheduler.start()
        now_ms = self._clock.now().monotonic_ms
        end_ms = None if duration_s is None else now_ms + round(duration_s * 1000)
        while not self.stopped and (end_ms is None or now_ms < end_ms):
            for name in self._timetable.hand_out(now_ms):
                self._submit(scheduler, name)
                self._count_turn(self._jobs[name][1], now_ms)
            times = [at for at in (self._timetable.next_ms(), end_ms) if at is not None]
            self._bell.wait((min(times) - now_ms) / 1000 if times else LONGEST_WAIT_S)
            now_ms = self._clock.now().monotonic_ms
        scheduler.remove_all_jobs()  # waits for a turn that is being handed out, whose job its thread would miss
        scheduler.shutdown(wait=False)

    def _scheduler(self) -> BackgroundScheduler:
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        threads = {thread: ThreadPoolExecutor(1) for _, thread in self._jobs.values()}
        return BackgroundScheduler(timezone=UTC, executors=threads, job_defaults={"misfire_grace_time": None})

    def _submit(self, scheduler: BackgroundScheduler, name: str) -> None:
        from apscheduler.triggers.date import DateTrigger

        trigger, thread = DateTrigger(AT_ONCE, UTC), self._jobs[name][1]
        scheduler.add_job(self._take_turn, trigger, (name,), id=name, executor=thread, replace_existing=True)

    def _count_turn(self, thread: str, now_ms: int) -> None:
        """Stop where a thread that is not at work has taken no turn for long."""
        if thread in self._at_work:
            return
        given = self._in_vain.setdefault(thread, [])
        given.append(now_ms)
        if len(given) > TURNS_IN_VAIN and now_ms - given[0] > IN_VAIN_MS:
            self._break_off()

    def _take_turn(self, name: str) -> None:
        # Nothing may get out of here: APScheduler's function around it is long enough for CPython to handle an
        # exception for ever where memory has run out, see ``shortage``.
        try:
            self._take(name)
        except BaseException:  # noqa: BLE001 - see above; a job answers for its own errors
            self._break_off()

    def _take(self, name: str) -> None:
        if self.stopped or not self._timetable.begin(name):
            return
        job, thread = self._jobs[name]
        self._at_work.add(thread)
        self._in_vain.pop(thread, None)
        try:
            job()
        finally:
            self._at_work.discard(thread)
            self._timetable.end(name, self._clock.now().monotonic_ms)
            self._bell.ring()

    def _break_off(self) -> None:
        self.broken = self.stopped = True
        with suppress(MemoryError):  # ``run`` sees it at its next turn
            self._bell.ring()


class Bell:
    """Wakes the one thread that waits for it. Both work in a signal handler, and no step of a clock prolongs a wait."""

    def __init__(self) -> None:
        self._file = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        """Have the wait that is or comes next end."""
        os.eventfd_write(self._file, 1)

    def wait(self, seconds: float) -> None:
        """Wait for a ring, for at most so many seconds and an hour."""
        waiting = select.poll()
        waiting.register(self._file, select.POLLIN)
        if waiting.poll(max(0.0, min(seconds, LONGEST_WAIT_S)) * 1000):
            os.eventfd_read(self._file)
