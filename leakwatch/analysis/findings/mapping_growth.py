"""Which class of a process's memory grows: a robust line for each, from the looks at it.

The classes are not judged: the verdict is the process's. They only tell what part of its growth each has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leakwatch.analysis.windows.robust_rows import FittedLine, Floats, fit_line, slope_of
from leakwatch.model.memory_class import ClassTrend, Growth

LOOKS_MOST = 96
"""A day of looks at the defaults: a line needs no more, and takes the square of their number."""
HOUR_MS = 3_600_000
Course = dict[int, int]
"""Value by UTC milliseconds."""


def growth_of(reads: Mapping[str, tuple[Course, Course]]) -> Growth | None:
    """Return what grows in one process; None before the second look.

    ``reads`` has the bytes and the number of mappings of each class. A class that a look did not see had nothing then:
    every look sees all classes.
    """
    times = sorted({ts_ms for held, _ in reads.values() for ts_ms in held})
    if len(times) < 2:
        return None
    times = _thinned(times)
    t = (np.array(times, dtype=np.float64) - times[0]) / HOUR_MS
    courses = {key: _filled(held, times) for key, (held, _) in reads.items()}
    whole = fit_line(t, np.sum(list(courses.values()), axis=0))
    last = times[-1]
    trends = [
        _trend(key, fit_line(t, y), reads[key], slope_of(t, _filled(reads[key][1], times)), last, whole.slope)
        for key, y in courses.items()
    ]
    return Growth(len(times), 1, times[0], last, whole.slope, _ordered(trends))


def _thinned(times: list[int]) -> list[int]:
    """Return the newest half of the allowed number, and of the older ones as many, evenly spread."""
    if len(times) <= LOOKS_MOST:
        return times
    newest, older = times[-LOOKS_MOST // 2 :], times[: -LOOKS_MOST // 2]
    places = np.linspace(0, len(older) - 1, LOOKS_MOST // 2).round().astype(int)
    return [*(older[at] for at in sorted(set(places.tolist()))), *newest]


def _filled(course: Course, times: Sequence[int]) -> Floats:
    return np.array([course.get(ts_ms, 0) for ts_ms in times], dtype=np.float64)


def _trend(
    key: str, line: FittedLine, reads: tuple[Course, Course], mappings_per_hour: float, last: int, whole: float
) -> ClassTrend:
    held, mappings = reads
    share = line.slope / whole if whole > 0 else None
    return ClassTrend(
        key, held.get(last, 0), mappings.get(last, 0), line.slope, line.low, line.high, mappings_per_hour, share
    )


def _ordered(trends: list[ClassTrend]) -> tuple[ClassTrend, ...]:
    return tuple(sorted(trends, key=lambda one: (one.slope_bytes_per_hour, one.held_bytes), reverse=True))


def together(several: Sequence[Growth]) -> Growth | None:
    """Return what grows in the processes of a service; slopes of lines add up, and so do their intervals at most."""
    if len(several) < 2:
        return several[0] if several else None
    whole = sum(one.slope_bytes_per_hour for one in several)
    by_class: dict[str, list[ClassTrend]] = {}
    for growth in several:
        for trend in growth.classes:
            by_class.setdefault(trend.key, []).append(trend)
    return Growth(
        max(one.reads for one in several),
        len(several),
        min(one.first_ms for one in several),
        max(one.last_ms for one in several),
        whole,
        _ordered([_sum(key, trends, whole) for key, trends in by_class.items()]),
    )


def _sum(key: str, trends: Sequence[ClassTrend], whole: float) -> ClassTrend:
    slope = sum(one.slope_bytes_per_hour for one in trends)
    return ClassTrend(
        key,
        sum(one.held_bytes for one in trends),
        sum(one.mappings for one in trends),
        slope,
        sum(one.slope_low for one in trends),
        sum(one.slope_high for one in trends),
        sum(one.mappings_per_hour for one in trends),
        slope / whole if whole > 0 else None,
    )
