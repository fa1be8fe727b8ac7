"""Where questions are answered: in this process, or in a child that ends.

numpy costs 12 MB that would stay for good in a daemon that needs it for a moment every few minutes. So at the default
interval a child answers and ends; where evaluations follow one another within a minute, starting a Python each time
would cost more than the memory is worth, and numpy stays.
"""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence

from leakwatch.analysis.question import Answer, Question
from leakwatch.errors import LeakwatchError

Judge = Callable[[Sequence[Question]], list[Answer]]

CHILD_FROM_S = 60.0
"""Seconds between evaluations from which a child answers: its start is 0.15 s of CPU, a quarter of a percent then."""
TIMEOUT_S = 120
"""A child that has not answered thousands of questions by then never will."""


class JudgingError(LeakwatchError):
    """The child did not answer."""


def judge_for(evaluate_every_s: float) -> Judge:
    """Return how questions are to be answered at this pace; what stays in memory for it is loaded now.

    Later it would look like growth of our own.
    """
    if evaluate_every_s >= CHILD_FROM_S:
        return in_child
    importlib.import_module("leakwatch.analysis.assess")
    return in_process


def in_process(questions: Sequence[Question]) -> list[Answer]:
    """Answer here."""
    if not questions:
        return []
    from leakwatch.analysis.assess import answer  # noqa: PLC0415 - numpy

    return answer(questions)


def in_child(questions: Sequence[Question]) -> list[Answer]:
    """Answer in a child that ends. Raises JudgingError."""
    if not questions:
        return []
    argv = [sys.executable, "-m", "leakwatch.judging"]
    try:
        done = subprocess.run(
            argv,
            input=pickle.dumps(list(questions)),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            start_new_session=True,  # a Ctrl-C at the terminal is the daemon's, which ends in order
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JudgingError(f"the series that grow could not be judged: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise JudgingError(f"the series that grow could not be judged: {last}")
    # Our own child's bytes, over a pipe nobody else holds: pickle is safe here and only here.
    answers: list[Answer] = pickle.loads(done.stdout)  # noqa: S301
    return answers


def main() -> int:
    """Answer the pickled questions on standard input."""
    questions = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from our parent
    sys.stdout.buffer.write(pickle.dumps(in_process(questions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
