"""Work done in a child: what it yields, what it raises, what it logs, how it ends."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreCorruptError
from leakwatch.system.worker import Child, ChildError, OneChild

if TYPE_CHECKING:
    from collections.abc import Iterator


def counting(upto: int) -> Iterator[tuple[int, int]]:
    for number in range(upto):
        yield number, os.getpid()


def damaged(name: str) -> Iterator[int]:
    yield 1
    raise StoreCorruptError(f"{name} is damaged")


def talking(name: str) -> Iterator[int]:
    logging.getLogger("leakwatch.store.maintenance.sealing").warning("%s is small", name)
    yield 1


def failing(_: object) -> Iterator[int]:
    yield 1
    raise ValueError("no such thing")


def sleeping(seconds: float) -> Iterator[str]:
    yield "asleep"
    time.sleep(seconds)
    yield "awake"


def test_values_come_from_another_process_in_order() -> None:
    values = list(Child(counting, 3, 60).values())
    assert [number for number, _ in values] == [0, 1, 2]
    assert {pid for _, pid in values}.isdisjoint({os.getpid()})


def test_values_larger_than_a_pipe_holds_are_no_deadlock() -> None:
    given = ["x" * 1000] * 3000
    assert list(Child(echoing, given, 60).values()) == given


def echoing(given: list[str]) -> Iterator[str]:
    yield from given


def test_an_error_of_ours_arrives_as_what_it_is() -> None:
    told = []
    with pytest.raises(StoreCorruptError, match=r"a\.db is damaged"):
        told.extend(Child(damaged, "a.db", 60).values())


def test_any_other_error_is_the_last_line_of_what_it_said() -> None:
    with pytest.raises(ChildError, match=r"^ValueError: no such thing$"):
        list(Child(failing, None, 60).values())


def test_what_it_logs_is_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    list(Child(talking, "the store", 60).values())
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "the store is small")
    ]


def test_it_can_be_ended() -> None:
    child = Child(sleeping, 600.0, 60)
    values = child.values()
    assert next(values) == "asleep"
    child.stop()
    with pytest.raises(ChildError, match="ended by signal 9"):
        next(values)


def test_who_has_one_child_at_a_time_can_end_it_and_let_no_other_work() -> None:
    one = OneChild(sleeping, 60)
    values = one(600.0)
    assert next(values) == "asleep"
    one.end()
    with pytest.raises(ChildError, match="ended by signal 9"):
        next(values)
    with pytest.raises(ChildError, match="ended by signal 9"):
        list(one(0.0))


def test_it_ends_after_its_time() -> None:
    with pytest.raises(ChildError, match="ended by signal 9"):
        list(Child(sleeping, 600.0, 1.0).values())


def test_who_is_no_longer_listened_to_ends() -> None:
    values = Child(counting, 10**9, 60).values()
    _, pid = next(values)
    values.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ProcessLookupError):  # killed and collected
        os.kill(pid, 0)


def test_where_none_can_be_started_the_work_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    child = Child(counting, 2, 60)
    child.stop()
    assert list(child.values()) == [(0, os.getpid()), (1, os.getpid())]
    assert "cannot be started" in caplog.text
