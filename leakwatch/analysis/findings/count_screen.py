"""Counts under the same detector: which of them are judged, and what their verdicts are called.

Nine processes in ten hold the same few descriptors and threads for life. A judged series takes 13 kB, so one is begun
only once a count has risen by half of what matters, which no leak can avoid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.analysis.thresholds import COUNT_RATIO
from leakwatch.model.identity import TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from leakwatch.analysis.series.derived import Key
    from leakwatch.model.identity import Target
    from leakwatch.model.verdict import Assessment, Criterion

RISEN_SHARE = 0.5
"""Of the growth worth telling; the detector's own first look asks for as much (``level_history.RANGE_SHARE``)."""


class CountScreen:
    """Remembers the lowest each count has been, until it has risen."""

    __slots__ = ("_lowest",)

    def __init__(self) -> None:
        self._lowest: dict[Key, int] = {}

    def risen(
        self, values: Mapping[Key, int], judged: Mapping[Key, object], least: Callable[[Key], float]
    ) -> dict[Key, int]:
        """Return the counts among the samples that are to be judged: those that are, and those that have risen.

        ``least`` is the growth worth telling, asked only of what has moved at all.
        """
        out: dict[Key, int] = {}
        for key, value in values.items():
            if key[0] not in metrics.COUNTS:
                continue
            if key in judged:
                out[key] = value
                continue
            low = self._lowest.setdefault(key, value)
            if value < low:
                self._lowest[key] = value
            elif value - low >= RISEN_SHARE * COUNT_RATIO * low and value - low >= RISEN_SHARE * least(key):
                out[key] = value
                del self._lowest[key]
        return out

    def keep(self, processes: Iterable[Target]) -> None:
        """Forget all processes but these."""
        there = set(processes)
        gone = [k for k in self._lowest if k[1].kind is TargetKind.PROCESS and k[1] not in there]
        for key in gone:
            del self._lowest[key]


_UNITS = {"bytes": "count", "bytes/h": "count/h"}
_WORDS = (
    ("memory would run out before", "the limit would be reached before"),
    ("the memory was given back", "most of them are gone again"),
    ("gave memory back before", "went down before"),
)


def counted(found: Assessment) -> Assessment:
    """Return the assessment of a count in a count's words and units."""
    return replace(
        found, unit="count", reason=in_counts(found.reason), evidence=tuple(_criterion(test) for test in found.evidence)
    )


def in_counts(text: str) -> str:
    """Return a reason that speaks of memory as one that speaks of a number."""
    for of_memory, of_counts in _WORDS:
        text = text.replace(of_memory, of_counts)
    return text


def _criterion(test: Criterion) -> Criterion:
    return replace(test, unit=_UNITS.get(test.unit, test.unit))
