"""Questions are answered alike in this process and in a child that ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch.analysis.criteria import LeakCriteria
from leakwatch.analysis.spans import plan_windows
from leakwatch.analysis.state import SeriesState
from leakwatch.judging import JudgingError, in_child, in_process, judge_for
from leakwatch.model import Verdict

if TYPE_CHECKING:
    from leakwatch.analysis.question import Question

WINDOWS = plan_windows((60, 120), 1)
START_MS = 1_700_000_000_000


def question(bytes_per_s: int) -> Question:
    state = SeriesState(WINDOWS)
    for second in range(121):
        state.feed(START_MS + 1000 * second, 50_000_000 + bytes_per_s * second)
    asked = state.ask(LeakCriteria())
    assert asked is not None
    return asked


def test_a_child_answers_as_this_process_does() -> None:
    # GIVEN series that grow
    questions = [question(200_000), question(400_000)]
    # WHEN they are judged in a child
    answers = in_child(questions)
    # THEN its answers are ours, in the same order
    assert answers == in_process(questions)
    assert [round(answer.assessment.slope_bytes_per_hour or 0, -6) for answer in answers] == [
        720_000_000,
        1_440_000_000,
    ]
    assert {answer.assessment.verdict for answer in answers} == {Verdict.LEAK}


def test_nothing_to_ask_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert in_child([]) == []


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false"])
def test_a_child_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(JudgingError, match="could not be judged"):
        in_child([question(200_000)])


def test_only_who_judges_often_keeps_numpy() -> None:
    assert judge_for(5.0) is in_process
    assert judge_for(300.0) is in_child
