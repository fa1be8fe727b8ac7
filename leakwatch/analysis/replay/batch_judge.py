"""Answers what the walks through many captured series ask, all at once: what makes a replay fast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.replay.checkpoint_walk import least_units
from leakwatch.analysis.rules.evaluate import answer_of, by_checkpoint, marks_of, scores_of
from leakwatch.analysis.rules.tests import judge, may_hit, may_veto
from leakwatch.analysis.window_request import WindowResult
from leakwatch.analysis.windows.block_table import Table
from leakwatch.analysis.windows.cut import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.replay.checkpoint_walk import Series, WindowBatch
    from leakwatch.analysis.rules.tests import TestResults
    from leakwatch.analysis.time_plan import TimePlan
    from leakwatch.analysis.window_request import WindowHit
    from leakwatch.analysis.windows.block_table import Bools, Ints
    from leakwatch.analysis.windows.cut import Screen


class BatchJudge:
    """Answers what the walks through many series of one plan ask."""

    def __init__(self, plan: TimePlan, series: Sequence[Series]) -> None:
        self.plan = plan
        counts = [len(one.segments) for one in series]
        self.first = (np.cumsum(counts) - counts).tolist()
        self.segments = [segment for one in series for segment in one.segments]
        self.criteria = [one.criteria for one in series for _ in one.segments]
        self.table = Table([segment.blocks for segment in self.segments], plan)

    def answers(self, asks: Sequence[tuple[int, WindowBatch]]) -> list[list[WindowResult]]:
        """Return the answers of each, in its order."""
        out: list[list[WindowResult]] = [[]] * len(asks)
        kinds: dict[Callable[[Ints, Ints, list[bool]], list[WindowResult]], list[int]] = {}
        for at, (_, ask) in enumerate(asks):
            kinds.setdefault(self._whole if ask.whole else self._memory if ask.memory else self._hits, []).append(at)
        for kind, which in kinds.items():
            flat = [(self.first[asks[at][0]] + asks[at][1].segment, asks[at][1]) for at in which]
            whose = np.repeat([segment for segment, _ in flat], [len(ask.checkpoints) for _, ask in flat])
            ends = np.concatenate([self.segments[segment].ends[ask.checkpoints] for segment, ask in flat])
            found = iter(kind(whose, ends, [ask.suspect for _, ask in flat]))
            for at, (_, ask) in zip(which, flat, strict=True):
                out[at] = [next(found) for _ in ask.checkpoints]
        return out

    def _hits(self, whose: Ints, ends: Ints, _: list[bool]) -> list[WindowResult]:
        """Return which windows hit, and of the looks with such ones, which longer ones contradict them."""
        k = self.criteria[0]
        least = least_units(k)
        hits = self._judged(whose, ends, least, lambda y: may_hit(y, k))
        marks = self._marks(hits, hits.hit, len(ends))
        some = np.unique(hits.rows.checkpoint[hits.hit])
        if len(some):
            vetoes = self._judged(whose[some], ends[some], least, lambda y: may_veto(y, k))
            for at, of_one in zip(some.tolist(), self._marks(vetoes, vetoes.veto, len(some)), strict=True):
                marks[at] += of_one
        return [_answer(of_one) for of_one in marks]

    def _memory(self, whose: Ints, ends: Ints, _: list[bool]) -> list[WindowResult]:
        judged = self._judged(whose, ends, 0.0, None)
        telling = judged.growing | judged.memory | judged.veto
        return [_answer(of_one) for of_one in self._marks(judged, telling, len(ends))]

    def _whole(self, whose: Ints, ends: Ints, suspect: list[bool]) -> list[WindowResult]:
        """Return all that is to be said of one look of each."""
        judged = self._judged(whose, ends, 0.0, None)
        rows, scores = by_checkpoint(judged.rows.checkpoint, len(ends)), scores_of(judged, self.plan)
        return [
            answer_of(judged, of_one, self.segments[segment].blocks, end, self.plan, scores=scores, suspect=asked)
            for of_one, segment, end, asked in zip(rows, whose.tolist(), ends.tolist(), suspect, strict=True)
        ]

    def _judged(self, whose: Ints, ends: Ints, least: float, screen: Screen | None) -> TestResults:
        rows = cut(self.table, whose, ends, least, screen)
        return judge(rows, self.plan, self.criteria, whose[rows.checkpoint])

    def _marks(self, judged: TestResults, telling: Bools, checkpoints: int) -> list[tuple[WindowHit, ...]]:
        """Return the marks of the rows that tell something, by look."""
        rows = np.flatnonzero(telling)
        rows = rows[np.argsort(judged.rows.checkpoint[rows], kind="stable")]
        marks = marks_of(judged, rows, self.plan)
        out: list[tuple[WindowHit, ...]] = [()] * checkpoints
        which, cuts = np.unique(judged.rows.checkpoint[rows], return_index=True)
        for checkpoint, begin, end in zip(
            which.tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(marks)], strict=False
        ):
            out[checkpoint] = marks[begin:end]
        return out


NOTHING = WindowResult((), (), (), 0.0, 0.0, 0, 0, 0.0, growing=False)


def _answer(marks: tuple[WindowHit, ...]) -> WindowResult:
    """Return the answer of a look that is not the newest: only what it showed."""
    return replace(NOTHING, marks=marks) if marks else NOTHING
