"""What ``--exit-code`` ends with: a leak, no samples, no verdict for want of data, or fine. Pure.

Fail closed: fine is what was decided. With several hosts, or with processes beside kernel memory, each of these groups
has to have a verdict of its own; that some in a group are still learning is usual, since new processes always are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from leakwatch.errors import EXIT_LEAK, EXIT_NOT_SAMPLED, EXIT_OK, EXIT_UNDECIDED
from leakwatch.model.verdict import Verdict


class Outcome(StrEnum):
    """The answer to "does it leak?", the first that holds."""

    LEAK = "leak"
    NOT_SAMPLED = "not_sampled"
    UNDECIDED = "undecided"
    OK = "ok"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return _CODES[self]


_CODES = {
    Outcome.LEAK: EXIT_LEAK,
    Outcome.NOT_SAMPLED: EXIT_NOT_SAMPLED,
    Outcome.UNDECIDED: EXIT_UNDECIDED,
    Outcome.OK: EXIT_OK,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were decided, how many are still learning, and whether a whole group is."""

    decided: int = 0
    undecided: int = 0
    group_open: bool = True

    @property
    def outcome(self) -> Outcome:
        """The outcome where nothing leaks and samples are taken."""
        return Outcome.UNDECIDED if self.group_open else Outcome.OK


NOTHING = Tally()


def tally(judged: Iterable[tuple[Hashable, Verdict]], groups: Iterable[Hashable] = ()) -> Tally:
    """Count verdicts by group; ``groups`` are those that must be among them."""
    decided: dict[Hashable, int] = defaultdict(int, dict.fromkeys(groups, 0))
    undecided = 0
    for group, verdict in judged:
        decided[group] += verdict is not Verdict.LEARNING
        undecided += verdict is Verdict.LEARNING
    return Tally(sum(decided.values()), undecided, not decided or not all(decided.values()))


def conclude(found: Tally, *, leaks: bool, sampled: bool = True) -> Outcome:
    """Return the outcome."""
    if leaks:
        return Outcome.LEAK
    return found.outcome if sampled else Outcome.NOT_SAMPLED
