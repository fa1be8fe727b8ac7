"""What the series of one host are before any is judged.

How often each is sampled, where the daemon would have begun to judge it, and whether it is ever called a leak: some of
that the series say of each other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from math import inf
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.findings.count_screen import RISEN_SHARE
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.replay.slow_series import is_sparse
from leakwatch.analysis.thresholds import COUNT_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.replay.capture import Capture
    from leakwatch.analysis.replay.series_name import Subject
    from leakwatch.analysis.thresholds import LeakCriteria

_FIRST = 9
"""Samples by which a series' interval is known: no later one is looked at."""
USUAL_S = 60.0
"""The interval of a series of one sample."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of the configuration a replay needs."""

    windows_s: tuple[int, ...]
    criteria_for: Callable[[Subject], LeakCriteria]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSeries:
    """One series of a host, ready to be judged."""

    capture: Capture
    """Of a count only from where it has risen, maybe nothing: the daemon judges none before."""
    criteria: LeakCriteria
    interval_s: float
    is_sparse: bool
    """Sampled too slowly for windows of blocks."""
    at_most_watch: bool
    """Its growth is never called a leak."""


def prepared(captures: Sequence[Capture], settings: Settings) -> list[PreparedSeries]:
    """Return every series of one host, in the order given."""
    told = any(_is_of_machine(one) for one in captures)
    out = []
    own = [_usual_s(capture) for capture in captures]
    for capture, usual_s, interval_s in zip(captures, own, _intervals_s(captures, own), strict=True):
        subject, criteria = capture.subject, settings.criteria_for(capture.subject)
        # Where a capture has the kernel's own counters, growth of what the kernel gives back when asked is held against
        # available memory, as the daemon does. Slab caches alone leave nothing but their shape to go by.
        mild = not subject.grows or (bool(subject.reclaimable) and (told or subject.kind is not SubjectKind.SLAB))
        judged = _since_risen(capture, criteria) if subject.count else capture
        sparse = usual_s is not None and is_sparse(interval_s, settings.windows_s)
        out.append(PreparedSeries(judged, criteria, interval_s, sparse, mild))
    return out


def _is_of_machine(one: Capture) -> bool:
    """Return whether it is one of the machine's own counters, by whatever name."""
    return one.subject.kind is SubjectKind.KERNEL and not one.name.startswith(("slab/", "vmalloc/"))


def interval_s(capture: Capture) -> float:
    """Return the usual time between the first samples, in seconds."""
    return _usual_s(capture) or USUAL_S


def _usual_s(capture: Capture) -> float | None:
    """Return the median of the first gaps, None of a series of one sample; not those where the clock was set back."""
    times_ms = capture.times_ms[:_FIRST].tolist()
    gaps_ms = [after - before for before, after in itertools.pairwise(times_ms) if after > before]
    return median(gaps_ms) / 1000 if gaps_ms else None


def _intervals_s(captures: Sequence[Capture], own: Sequence[float | None]) -> list[float]:
    """Return the interval of each series; ``own`` is what its own samples tell.

    A count is taken now and then until it has risen, and at every tick some time after: its interval is that of the
    series beside it, where they are taken more often.
    """
    counts = [bool(capture.subject.count) for capture in captures]
    known = [found or USUAL_S for found in own]
    tick_s = min((found for found, count in zip(known, counts, strict=True) if not count), default=inf)
    return [min(found, tick_s) if count else found for found, count in zip(known, counts, strict=True)]


def _since_risen(capture: Capture, criteria: LeakCriteria) -> Capture:
    """Return the samples from where the count has risen, as ``counts.CountScreen`` has it."""
    lowest = np.minimum.accumulate(capture.values)
    least = RISEN_SHARE * np.maximum(COUNT_RATIO * lowest, criteria.min_growth_bytes)
    fallen = np.diff(lowest, prepend=lowest[:1]) < 0
    risen = np.flatnonzero((capture.values - lowest >= least) & ~fallen)
    first = int(risen[0]) if len(risen) else len(capture.values)
    return replace(capture, times_ms=capture.times_ms[first:], values=capture.values[first:])
