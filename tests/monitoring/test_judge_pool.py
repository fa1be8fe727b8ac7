"""Questions are answered alike in this process and in a child that ends."""

from __future__ import annotations

import sys
from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import plan_of
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.evaluation import JudgingError, in_child, in_process

if TYPE_CHECKING:
    from leakwatch.analysis.window_request import WindowRequest

PLAN = plan_of((60, 120), 1)
START_MS = 1_700_000_000_000


def asked(bytes_per_s: int) -> tuple[SeriesState, WindowRequest]:
    """Return a series at its second minute and the newest of its questions."""
    state = SeriesState(PLAN, LeakCriteria())
    for second in range(126):
        state.feed(START_MS + 1000 * second, 50_000_000 + bytes_per_s * second)
    return state, state.questions()[-1]


def test_a_child_answers_as_this_process_does() -> None:
    # GIVEN series that grow
    questions = [asked(200_000)[1], asked(400_000)[1]]
    # WHEN they are judged in a child
    answers = in_child(questions)
    # THEN its answers are ours, in the same order
    assert [astuple(one) for one in answers] == [astuple(one) for one in in_process(questions)]
    assert [round(one.slope, -6) for one in answers] == [720_000_000, 1_440_000_000]
    assert {trend.verdict for one in answers for trend in one.trends} == {Verdict.LEAK}


def test_what_a_child_answered_settles_a_series() -> None:
    state, _ = asked(400_000)
    questions = state.questions()
    state.settle(dict(zip(questions, in_child(questions), strict=True)))
    assert state.assessment is not None
    assert state.assessment.verdict is Verdict.LEAK


def test_nothing_to_ask_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert in_child([]) == []


def test_a_child_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JudgingError, match="could not be judged"):
        in_child([asked(200_000)[1]])
