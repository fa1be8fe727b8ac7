"""A series as it was captured, live or elsewhere: what every judgement after the fact starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leakwatch.analysis.replay.series_name import Subject

USUAL_GAPS = 5
"""A time that goes back by no more usual gaps is out of order or was measured twice: it is left out. More is a clock
that was set."""
CLOCK_MS = 1_000_000_000_000
"""September 2001: a clock that shows less was never set, as on a board without one."""


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """One series as it was captured, in the order it was sampled."""

    name: str
    """Bytes that were not UTF-8 are surrogate escapes; escape at every output."""
    subject: Subject
    times_ms: NDArray[np.int64]
    """UTC, see ``in_elapsed_time``; goes back where samples are out of order, and never stays the same from one to the
    next."""
    values: NDArray[np.float64]
    """Bytes, or a number where the subject is a count."""
    array: tuple[int, float] | None = None
    """Of a cache that the kernel gives back, where known: what ``reclaim.array_of`` says."""
    begins_ms: tuple[int, ...] | None = None
    """When further lives of it begin, where that is known, as by the boot of each scrape; None where only its shape can
    tell, see ``restarts``."""

    @property
    def sampled_s(self) -> float:
        """Seconds over which it was sampled."""
        steps = np.diff(self.times_ms)
        return float(steps[steps > 0].sum()) / 1000


def in_elapsed_time(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the times of one series without the settings of the clock among them; the newest stays as it is.

    A gap that goes back, or leaves the years before ``CLOCK_MS``, is a setting, and so is one forward that is as long
    as one back: the usual gap stands for it. Any other long one may be a real gap, and stays.
    """
    gaps = np.diff(times_ms)
    if not (gaps > 0).any() or ((gaps > 0).all() and not times_ms[0] < CLOCK_MS <= times_ms[-1]):
        return times_ms
    usual = int(np.median(gaps[gaps > 0]))
    far = USUAL_GAPS * usual
    back = np.flatnonzero(gaps < -far)
    settings = [*back.tolist(), *np.flatnonzero((times_ms[:-1] < CLOCK_MS) & (times_ms[1:] >= CLOCK_MS)).tolist()]
    ahead = np.flatnonzero(gaps > far)
    for at in back.tolist():
        alike = ahead[np.abs(gaps[ahead] + gaps[at] - 2 * usual) <= far]
        if len(alike):
            settings.append(int(alike[np.argmin(np.abs(alike - at))]))
    gaps[settings] = usual
    before_newest = np.concatenate([np.cumsum(gaps[::-1])[::-1], [0]])
    return np.asarray(times_ms[-1] - before_newest, dtype=np.int64)
