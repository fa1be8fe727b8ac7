"""Where questions are answered: in this process, or in a child that ends.

numpy costs 12 MB that would stay for good in a daemon that needs it for a moment every few minutes: a child answers for
it, only when there are questions, and ends. Commands that judge all they read at once answer them here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from leakwatch.analysis.window_request import WindowRequest, WindowResult
from leakwatch.errors import LeakwatchError
from leakwatch.system.worker import Child, ChildError

Judge = Callable[[Sequence[WindowRequest]], list[WindowResult]]

TIMEOUT_S = 120
"""A child that has not answered thousands of questions by then never will."""


class JudgingError(LeakwatchError):
    """The child did not answer."""


def in_process(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Answer here."""
    if not questions:
        return []
    from leakwatch.analysis.rules import evaluate  # noqa: PLC0415 - numpy

    return evaluate.answer(questions)


def in_child(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Answer in a child that ends; its start is 0.15 s of CPU. Raises JudgingError."""
    if not questions:
        return []
    try:
        (answers,) = Child(answered, list(questions), TIMEOUT_S).values()
    except ChildError as error:
        raise JudgingError(f"the series that grow could not be judged: {error}") from error
    if len(answers) != len(questions):
        raise JudgingError(
            f"the series that grow could not be judged: {len(answers)} answers to {len(questions)} questions"
        )
    return answers


def answered(questions: Sequence[WindowRequest]) -> Iterator[list[WindowResult]]:
    """Be the child's work."""
    yield in_process(questions)
