"""What can be said of a recording too short for the configured windows: at most `watch`.

Its own twelve blocks are cut from what there is, so that a capture of some minutes tells its slope. Nothing so short is
called a leak: it could be a start, a request, a morning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.findings.counts import counted
from leakwatch.analysis.replay.capture import Capture
from leakwatch.analysis.replay.series_name import Subject
from leakwatch.analysis.rules.tests import T95
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS
from leakwatch.analysis.windows.features import measure
from leakwatch.analysis.windows.robust import onset
from leakwatch.model.verdict import Assessment, Criterion, Phrase, Verdict

LEAST_SAMPLES = 2 * BLOCKS
"""Two samples a block: a minimum of one is no trough."""
HOUR_MS = 3_600_000


def look_briefly(capture: Capture, found: Assessment, criteria_for: Callable[[Subject], LeakCriteria]) -> Assessment:
    """Return the assessment of a series that is still learning, with its slope, as `watch` where it clearly grows."""
    if found.verdict is not Verdict.LEARNING or len(capture.times_ms) < LEAST_SAMPLES:
        return found
    if not (np.diff(capture.times_ms) > 0).all():
        return found
    criteria = criteria_for(capture.subject)
    size = len(capture.values) // BLOCKS
    values = capture.values[-size * BLOCKS :].reshape(1, BLOCKS, size)
    lows = values.min(axis=2)
    shape = measure(lows)
    begins = len(capture.values) - size * BLOCKS
    at, level = onset(list(map(float, range(BLOCKS))), lows[0].tolist())
    since_ms = int(capture.times_ms[0 if at == 0 else begins + at * size])
    span_ms = int(capture.times_ms[-1] - capture.times_ms[begins])
    per_hour = HOUR_MS * BLOCKS / max(1, span_ms)  # from a slope a block
    slope, half = float(shape.slope[0]) * per_hour, T95 * float(shape.doubt[0]) * per_hour
    z, growth, noise = float(shape.slope[0] / shape.error[0]), float(shape.growth[0]), float(shape.noise[0])
    window_s = max(1, round(span_ms / 1000))
    tests = (
        Criterion("significant_slope", z, k.MIN_Z, z >= k.MIN_Z, "", window_s),
        Criterion(
            "min_growth", growth, criteria.min_growth_bytes, growth >= criteria.min_growth_bytes, "bytes",
            window_s,
        ),
        Criterion(
            "above_noise", growth / max(noise, 1.0), k.MIN_NOISE_RATIO,
            growth >= k.MIN_NOISE_RATIO * noise, "ratio", window_s,
        ),
    )  # fmt: skip
    found = replace(found, slope_bytes_per_hour=slope, slope_low=slope - half, slope_high=slope + half)
    if not all(test.passed for test in tests):
        return found
    watched = replace(
        found,
        verdict=Verdict.WATCH,
        evidence=(*tests, *found.evidence),
        reasons=(Phrase("too_short", (window_s,)), *found.reasons),
        grown_bytes=max(0, round(found.current_bytes - level)),
        since_ms=since_ms,
    )
    return counted(watched) if found.unit == "count" else watched
