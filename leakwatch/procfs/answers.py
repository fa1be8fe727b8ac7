"""Asks what a process may never answer, in a thread that can be given up.

Whoever reads ``smaps``, ``smaps_rollup``, ``cmdline``, ``environ``, ``map_files`` or (before 6.17) ``maps`` waits for
the process's mmap lock, and a process that hangs with that lock taken never releases it: a page of a file whose server
does not answer is enough. The wait ends with our process (``mmap_read_lock_killable``), so a thread that is given up
keeps nobody from ending, but no thread alone can be woken. ``stat``, ``statm``, ``status``, ``cgroup``, ``fd``,
``task`` and ``exe`` take no such lock (measured on 6.18).

A thread that was given up goes on waiting. Its return is how we learn that the process answers again: until then it is
not asked, and costs nothing.
"""

from __future__ import annotations

import _thread
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar, cast

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs import process
from leakwatch.procfs.files import here, listed, read_file
from leakwatch.text.escape import as_text, printable

PATIENCE_S = 0.3
"""What may be waited in vain in one go: a third of an interval of 1 s, so that no scrape is late by a whole one."""
SHARE = 0.25
"""Of what is left of it, for one process: the first of twenty gets 75 ms, and all of them together 0.5 s."""
SHORTEST_S = 0.01
"""The least that one process gets: usual answers take 0.1 ms."""
REST_SHARE = 0.25
"""Part of the time that passes which is earned again for waiting."""
MOST_WAITING = 64
"""Threads given up and still waiting. With so many, a process with a thread in state D is not even asked."""

Answer = TypeVar("Answer")


class Question(NamedTuple, Generic[Answer]):
    """Something to read of a process."""

    pid: int
    read: Callable[[], Answer]
    """Only reads: it may be given up at any point, and then goes on when nobody expects it any more."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A process that does not answer."""

    pid: int
    name: str
    start_ticks: int
    began_s: float
    """By the monotonic clock, when it was asked in vain."""
    reader: _Reader

    def absence(self, now_s: float) -> Absence:
        """Return what stands for every value that cannot be had."""
        for_s = now_s - self.began_s
        return Absence(
            AbsenceReason.NO_ANSWER, f"{self.pid} ({printable(self.name)}) does not answer for {for_s:.0f} s"
        )


class Answers:
    """Asks the processes of one tree; may be used by several threads, one at a time."""

    def __init__(self, root: str, patience_s: float = PATIENCE_S) -> None:
        self._root = root
        self._most_s = self._left_s = patience_s
        self._earned_s = 0.0
        self._silent: dict[int, Silent] = {}
        self._idle: list[_Reader] = []
        self._one_at_a_time = threading.Lock()
        self.cpu_ns = 0
        """CPU time the threads have spent on what was answered."""
        weakref.finalize(self, _end_all, self._idle)

    def ask(self, pid: int, read: Callable[[], Answer]) -> Answer | Absence:
        """Return what ``read`` returns, or NO_ANSWER; raises what it raises."""
        return self.ask_all([Question(pid, read)])[0][0]

    def ask_all(self, questions: Sequence[Question[Answer]]) -> list[tuple[Answer | Absence, int]]:
        """Return each answer, and the nanoseconds of CPU it took; each question is of another process."""
        if getattr(here, "may_wait", False):  # a part of what is being asked
            return [(question.read(), 0) for question in questions]
        with self._one_at_a_time:
            found: dict[int, tuple[Answer | Absence, int]] = {}
            for at, question in enumerate(questions):
                known = self._known(question.pid) if self._silent else None
                if known is not None:
                    found[at] = known, 0
            left = [at for at in range(len(questions)) if at not in found]
            while left:
                answers, why = self._run([questions[at] for at in left])
                for answer in answers:
                    found[left.pop(0)] = answer
                if left and why is not None:
                    found[left.pop(0)] = why, 0
            return [found[at] for at in range(len(questions))]

    def silent(self) -> list[Silent]:
        """Return the processes that do not answer at present, those first that were found first."""
        with self._one_at_a_time:
            for pid in list(self._silent):
                self._known(pid)
            return list(self._silent.values())

    def _known(self, pid: int) -> Absence | None:
        """Return why a process is not asked, None where it may be."""
        one = self._silent.get(pid)
        if one is None:
            crowded = len(self._silent) >= MOST_WAITING and self.waits(pid)
            return Absence(AbsenceReason.NO_ANSWER, f"{pid}: not asked, as it waits like others") if crowded else None
        stat = process.read_stat(self._root, pid)
        if one.reader.is_back or isinstance(stat, Absence) or stat.start_ticks != one.start_ticks:
            del self._silent[pid]
            return None
        return one.absence(time.monotonic())

    def waits(self, pid: int) -> bool:
        """Return whether one of a process's threads waits in the kernel (state D)."""
        tasks = f"{self._root}/{pid}/task"
        try:
            threads = listed(tasks)
        except OSError:
            return False
        found = (process.read_stat(tasks, int(thread)) for thread in threads)
        return any(not isinstance(stat, Absence) and stat.state == "D" for stat in found)

    def _run(self, questions: list[Question[Answer]]) -> tuple[list[tuple[Answer, int]], Absence | None]:
        """Return the answers, in order, up to where somebody did not answer, and why there is none from there."""
        try:
            reader = self._idle.pop() if self._idle else _Reader()
            if reader.is_back:  # we are a fork of the process whose thread it was
                reader = _Reader()
        except RuntimeError as error:  # no thread could be started: what may hang is not read
            return [], Absence(AbsenceReason.SKIPPED, f"not asked: {error}")
        task = reader.start([question.read for question in questions])
        why = None
        if self._wait(reader, task):
            self._idle.append(reader)
        else:
            why = self._give_up(questions[len(task.answers)].pid, reader)
        if task.error is not None:
            raise task.error
        self.cpu_ns += sum(cost_ns for _, cost_ns in task.answers)
        return cast("list[tuple[Answer, int]]", task.answers), why

    def _wait(self, reader: _Reader, task: _Task) -> bool:
        """Return whether all was read: False where a process does not answer, and the reader was given up."""
        while True:
            now_s, read = time.monotonic(), len(task.answers)
            if reader.done.acquire(timeout=self._wait_s(now_s)):
                return True
            # One that walks gigabytes runs, and is waited for; one that waits sleeps.
            if reader.sleeps() and reader.give_up(task, read):
                self._left_s = max(0.0, self._left_s - (time.monotonic() - now_s))
                return False

    def _wait_s(self, now_s: float) -> float:
        """Return how long the process that is asked now may take."""
        self._left_s = min(self._most_s, self._left_s + REST_SHARE * (now_s - self._earned_s))
        self._earned_s = now_s
        return max(SHORTEST_S, self._left_s * SHARE)

    def _give_up(self, pid: int, reader: _Reader) -> Absence:
        stat = process.read_stat(self._root, pid)
        if isinstance(stat, Absence):
            return stat
        one = Silent(pid, as_text(stat.comm), stat.start_ticks, time.monotonic(), reader)
        self._silent[pid] = one
        return one.absence(one.began_s)


class _Task:
    """What a reader is to read, and what it has read."""

    __slots__ = ("answers", "error", "given_up", "reads")

    def __init__(self, reads: Sequence[Callable[[], object]]) -> None:
        self.reads = reads
        self.answers: list[tuple[object, int]] = []
        self.error: BaseException | None = None
        self.given_up = False


class _Reader:
    """A thread that reads. Two locks hand over the work: an event costs three times as much."""

    def __init__(self) -> None:
        self._go, self.done = _thread.allocate_lock(), _thread.allocate_lock()
        self._go.acquire()
        self.done.acquire()
        self._state = threading.Lock()
        self._task: _Task | None = None
        self._thread = threading.Thread(target=self._work, name="reads of processes", daemon=True)
        self._thread.start()

    @property
    def is_back(self) -> bool:
        """Whether the thread has ended, as it does when what it was given up for has answered."""
        return not self._thread.is_alive()

    def start(self, reads: Sequence[Callable[[], object]]) -> _Task:
        """Begin to read; ``done`` is released when all is read."""
        self._task = task = _Task(reads)
        self._go.release()
        return task

    def end(self) -> None:
        """Let the thread end, when it has nothing to do."""
        self._task = None
        self._go.release()

    def sleeps(self) -> bool:
        """Return whether the thread waits for something: it neither runs nor waits for a CPU."""
        try:
            stat = read_file(f"/proc/self/task/{self._thread.native_id}/stat")
        except OSError:
            return True
        return stat.rpartition(b")")[2].split(None, 1)[0] != b"R"

    def give_up(self, task: _Task, read: int) -> bool:
        """Expect nothing more of a task; False where there has been an answer since ``read`` were counted."""
        with self._state:
            task.given_up = len(task.answers) == read and task.error is None
            return task.given_up

    def _work(self) -> None:
        here.may_wait = True
        while True:
            self._go.acquire()
            task = self._task
            if task is None:
                return
            for read in task.reads:
                if not self._read(task, read):
                    break
            if task.given_up:
                return
            self.done.release()

    def _read(self, task: _Task, read: Callable[[], object]) -> bool:
        """Read one; return whether there is to be a next."""
        began_ns, answer, error = time.thread_time_ns(), None, None
        try:
            answer = read()
        except BaseException as problem:  # noqa: BLE001 - the asker's to handle: it is raised there
            error = problem
        with self._state:
            if task.given_up:
                return False
            task.error = error
            if error is None:
                task.answers.append((answer, time.thread_time_ns() - began_ns))
            return error is None


def _end_all(readers: list[_Reader]) -> None:
    for reader in readers:
        reader.end()
