"""When jobs are due, by monotonic milliseconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leakwatch.monitoring.timetable import Timetable


def table(first_ms: int = 0, every_ms: int = 1000) -> Timetable:
    turns = Timetable()
    turns.add("job", every_ms, first_ms)
    return turns


def run(turns: Timetable, began_ms: int, took_ms: int) -> None:
    assert turns.hand_out(began_ms) == ["job"]
    assert turns.begin("job")
    turns.end("job", began_ms + took_ms)


def test_a_job_is_due_once_an_interval() -> None:
    turns = table()
    run(turns, 0, 10)
    assert turns.hand_out(999) == []
    assert turns.next_ms() == 1000
    run(turns, 1003, 10)
    assert turns.next_ms() == 2000


def test_a_turn_that_comes_while_the_job_runs_is_taken_once_and_late() -> None:
    turns = table()
    assert turns.hand_out(0) == ["job"]
    assert turns.begin("job")
    assert (turns.hand_out(3000), turns.next_ms()) == ([], None)
    turns.end("job", 3700)
    run(turns, 3700, 10)
    assert turns.next_ms() == 4000


def test_a_turn_is_taken_once_however_often_it_was_handed_out() -> None:
    turns = table()
    assert turns.hand_out(0) == ["job"]
    assert turns.hand_out(500) == []
    assert turns.hand_out(1000) == ["job"]  # no thread could be had: the turn is not lost
    assert turns.begin("job")
    assert not turns.begin("job")
    turns.end("job", 1001)
    assert not turns.begin("job")


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=30))
def test_turns_stay_on_the_grid_and_none_comes_early(runs: list[tuple[int, int]]) -> None:
    turns, now_ms = table(), 0
    for waited_ms, took_ms in runs:
        due_ms = turns.next_ms()
        assert due_ms is not None
        assert due_ms % 1000 == 0
        assert now_ms - due_ms < 1000  # at most one is behind
        now_ms = max(now_ms, due_ms) + waited_ms
        run(turns, now_ms, took_ms)
        now_ms += took_ms
