"""Processes that do not answer, as FIFOs in a tree: to open one blocks until somebody writes, as the mmap lock does."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.answers import MOST_WAITING, SHARE, SHORTEST_S, Answers, Question
from leakwatch.procfs.files import read_file
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 0.2


class Tree:
    """A tree of processes some of which hang."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fifos: list[Path] = []

    def process(self, pid: int, *, start: int = 7, hangs: bool = False, state: str = "S") -> None:
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        stat = (
            f"{pid} (na\x1bme) {state} 1 {pid} {pid} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 {start} 4096 1 0" + " 0" * 28
        )
        (folder / "stat").write_text(stat)
        (folder / "task" / str(pid) / "stat").write_text(stat)
        if hangs:
            os.mkfifo(folder / "cmdline")
            self.fifos.append(folder / "cmdline")
        else:
            (folder / "cmdline").write_bytes(b"program\0")

    def release(self) -> None:
        """Let all answer."""
        for fifo in self.fifos:
            with suppress(OSError):  # nobody waits
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))

    def read(self, pid: int) -> bytes:
        return read_file(f"{self.root}/{pid}/cmdline")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    made = Tree(tmp_path)
    before = threading.active_count()
    yield made
    made.release()
    until(lambda: threading.active_count() <= before + 1)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to hold")


def asked(answers: Answers, tree: Tree, *pids: int) -> list[object]:
    return [found for found, _ in answers.ask_all([Question(pid, partial(tree.read, pid)) for pid in pids])]


def is_silent(found: object) -> bool:
    return isinstance(found, Absence) and found.reason is AbsenceReason.NO_ANSWER


def test_whoever_hangs_is_given_up_and_the_others_are_read(tree: Tree) -> None:
    for pid in range(10, 20):
        tree.process(pid, hangs=pid in (12, 17))
    answers = Answers(str(tree.root), PATIENCE_S)
    found = asked(answers, tree, *range(10, 20))
    assert [is_silent(one) for one in found] == [pid in (12, 17) for pid in range(10, 20)]
    assert [one for one in found if not is_silent(one)] == [b"program\0"] * 8
    assert [(one.pid, one.name) for one in answers.silent()] == [(12, "na\x1bme"), (17, "na\x1bme")]


def test_twenty_at_once_get_less_and_less_and_are_not_asked_again(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    class Noted(Answers):
        def _wait_s(self, now_s: float) -> float:
            given.append(super()._wait_s(now_s))
            return given[-1]

    monkeypatch.setattr("leakwatch.procfs.answers.REST_SHARE", 0.0)
    for pid in range(100, 120):
        tree.process(pid, hangs=True)
    tree.process(120)
    answers = Noted(str(tree.root), PATIENCE_S)
    began = threading.active_count()
    found = asked(answers, tree, *range(100, 121))
    assert [is_silent(one) for one in found] == [True] * 20 + [False]
    assert given[0] == PATIENCE_S * SHARE
    assert given == sorted(given, reverse=True)
    assert given[-1] == SHORTEST_S
    threads = threading.active_count()
    assert threads - began == 21
    assert all(map(is_silent, asked(answers, tree, *range(100, 120))))
    assert threading.active_count() == threads, "nobody more waits for them"


def test_when_it_answers_again_it_is_asked_again(tree: Tree) -> None:
    tree.process(5, hangs=True)
    answers = Answers(str(tree.root), PATIENCE_S)
    assert is_silent(answers.ask(5, partial(tree.read, 5)))
    (tree.root / "5" / "cmdline").rename(tree.root / "5" / "waits")
    (tree.root / "5" / "cmdline").write_bytes(b"again\0")
    assert is_silent(answers.ask(5, partial(tree.read, 5))), "the thread that asked still waits"
    os.close(os.open(tree.root / "5" / "waits", os.O_WRONLY | os.O_NONBLOCK))
    until(lambda: not answers.silent())
    assert answers.ask(5, partial(tree.read, 5)) == b"again\0"


def test_another_process_of_the_same_number_is_asked(tree: Tree) -> None:
    tree.process(5, hangs=True)
    answers = Answers(str(tree.root), PATIENCE_S)
    assert is_silent(answers.ask(5, partial(tree.read, 5)))
    (tree.root / "5" / "cmdline").rename(tree.root / "5" / "waits")
    tree.fifos[0] = tree.root / "5" / "waits"
    tree.process(5, start=8)
    assert answers.ask(5, partial(tree.read, 5)) == b"program\0"
    assert answers.silent() == []


def test_one_that_works_for_long_is_waited_for(tree: Tree) -> None:
    tree.process(5)

    def walk() -> int:
        until_s, steps = time.monotonic() + 3 * PATIENCE_S, 0
        while time.monotonic() < until_s:
            steps += 1
        return steps

    assert isinstance(Answers(str(tree.root), PATIENCE_S).ask(5, walk), int)


def test_what_a_read_raises_is_raised_where_it_was_asked(tree: Tree) -> None:
    answers = Answers(str(tree.root), PATIENCE_S)
    tree.process(5)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            answers.ask(5, partial(read_file, f"{tree.root}/5/nothing"))
    assert answers.ask(5, partial(tree.read, 5)) == b"program\0"


def test_a_question_within_a_question_is_a_part_of_it(tree: Tree) -> None:
    answers = Answers(str(tree.root), PATIENCE_S)
    tree.process(5)
    assert answers.ask(5, lambda: answers.ask(5, lambda: "inner")) == "inner"


def test_with_many_that_hang_one_with_a_thread_in_the_kernel_is_not_asked(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwatch.procfs.answers.MOST_WAITING", 1)
    assert MOST_WAITING > 1
    tree.process(5, hangs=True)
    tree.process(6, state="D")
    tree.process(7)
    answers = Answers(str(tree.root), PATIENCE_S)
    assert [is_silent(one) for one in asked(answers, tree, 5, 6, 7)] == [True, False, False]
    assert [is_silent(one) for one in asked(answers, tree, 5, 6, 7)] == [True, True, False]


def test_where_no_thread_can_be_had_nothing_that_may_hang_is_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("leakwatch.procfs.answers.threading.Thread.start", refuse)
    found = Answers(str(tree.root), PATIENCE_S).ask(5, lambda: "read")
    assert found == Absence(AbsenceReason.SKIPPED, "not asked: can't start new thread")


def test_a_thread_ends_with_the_tree_it_was_for(tree: Tree) -> None:
    answers = Answers(str(tree.root), PATIENCE_S)
    thread = answers.ask(5, threading.current_thread)
    assert isinstance(thread, threading.Thread)
    assert thread.is_alive()
    assert thread is not threading.current_thread()
    del answers
    until(lambda: not thread.is_alive())


def test_a_fork_asks_with_threads_of_its_own(tree: Tree) -> None:
    answers = Answers(str(tree.root), PATIENCE_S)
    answers.ask(5, lambda: 1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(answers.ask(5, lambda: 2)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == "2"


READS: list[tuple[str, Callable[[ProcFS, int], object]]] = [
    ("cmdline", ProcFS.cmdline),
    ("cmdline", lambda proc, pid: proc.program(pid)[0]),
    ("smaps_rollup", ProcFS.memory),
    ("smaps", ProcFS.memory),
    ("smaps", ProcFS.memory_summed),
    ("smaps", ProcFS.mappings),
    ("smaps", ProcFS.memory_by_name),
    ("maps", lambda proc, pid: proc.counted.mapping_count(pid)),
]


@pytest.mark.parametrize(("name", "read"), READS)
def test_no_file_that_takes_the_memory_lock_is_read_unguarded(
    proc_tree: Callable[[str], Path], name: str, read: Callable[[ProcFS, int], object]
) -> None:
    root, pid = proc_tree("linux-6.18-x86_64"), 18675
    if name == "smaps":
        (root / str(pid) / "smaps_rollup").unlink()
    (root / str(pid) / name).unlink(missing_ok=True)
    os.mkfifo(root / str(pid) / name)
    proc = ProcFS(str(root))
    assert is_silent(read(proc, pid))
    assert not isinstance(proc.stat(pid), Absence), "what takes no lock goes on being read"
    os.close(os.open(root / str(pid) / name, os.O_WRONLY | os.O_NONBLOCK))
