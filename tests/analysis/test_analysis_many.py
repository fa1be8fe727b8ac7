"""What becomes of many series: nothing that is done for each of them may look at all of them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture, settings_of
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

HOUR_MS = 3_600_000


def alone(number: int) -> Capture:
    return _capture(f"proc/p{number}[{number}]", number, 1)


def worker(number: int) -> Capture:
    return _capture(f"proc/p[{number}]", number, 1)


def life(number: int) -> Capture:
    return _capture(f"proc/p#{number + 1}", number, 5)


def cache(number: int) -> Capture:
    return _capture(f"slab/cache-{number}", number, 1)


def _capture(name: str, number: int, samples: int) -> Capture:
    times_ms = np.arange(samples, dtype=np.int64) * 60_000 + number * HOUR_MS
    return Capture(name, subject_of(name), times_ms, np.full(samples, 1e8))


def work(make: Callable[[int], Capture], number: int) -> int:
    """Return how many lines and calls of ours a replay takes: unlike seconds, the same on every machine."""
    captures = [make(at) for at in range(number)]
    done: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> object:
        done[event] += "leakwatch" in frame.f_code.co_filename
        return note

    sys.settrace(note)
    try:
        replay(captures, settings_of(Config()))
    finally:
        sys.settrace(None)
    return done["line"] + done["call"]


@pytest.mark.parametrize("make", [alone, worker, life, cache])
def test_work_grows_as_the_series_do(make: Callable[[int], Capture]) -> None:
    work(make, 10)  # what is done once
    few, many = work(make, 100), work(make, 400)
    assert many < 4.4 * few
