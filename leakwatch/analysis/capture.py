"""A series as it was captured, live or elsewhere: what every judgement after the fact starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leakwatch.analysis.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """One series as it was captured, in the order it was sampled."""

    name: str
    """Bytes that were not UTF-8 are surrogate escapes; escape at every output."""
    subject: Subject
    times_ms: NDArray[np.int64]
    """UTC; goes back where the clock was set, and never stays the same from one sample to the next."""
    values: NDArray[np.float64]
    """Bytes, or a number where the subject is a count."""
    array: tuple[int, float] | None = None
    """Of a cache that the kernel gives back, where known: what ``reclaim.array_of`` says."""

    @property
    def sampled_s(self) -> float:
        """Seconds over which it was sampled; where the clock was set back, the time before and after it."""
        steps = np.diff(self.times_ms)
        return float(steps[steps > 0].sum()) / 1000
