"""A kmalloc cache that holds what the kernel notes of reclaimable objects, over captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.findings.kernel_facts import array_of
from leakwatch.analysis.replay.capture import Capture, settings_of
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.config import Config
from leakwatch.model.verdict import Verdict
from leakwatch.report.phrases import text

if TYPE_CHECKING:
    from leakwatch.analysis.replay.capture import ReplayOutcome

MIB = 1 << 20
HOURS = np.arange(30 * 60) / 60.0
START_MS = 1_790_000_000_000
DENTRY = array_of(21, 192)


def capture(name: str, bytes_an_hour: float, array: tuple[int, float] | None = None) -> Capture:
    times_ms = START_MS + (HOURS * 3_600_000).astype(np.int64)
    return Capture(name, subject_of(name), times_ms, np.round(40 * MIB + bytes_an_hour * HOURS), array)


def outcomes(*captures: Capture) -> list[ReplayOutcome]:
    return replay(captures, settings_of(Config()))


def test_the_arrays_of_21_dentries_lie_in_kmalloc_192() -> None:
    assert (192, pytest.approx(1 / 21)) == DENTRY


def test_growth_along_with_dentries_is_no_alarm() -> None:
    found, dentries = outcomes(capture("slab/kmalloc-192", MIB), capture("slab/dentry", 21 * MIB, DENTRY))
    assert (found.alerts, found.assessment.verdict) == ((), Verdict.WATCH)
    assert "gives this back" in text(found.assessment.reasons)
    assert dentries.alerts, "without the kernel's own counters a cache is judged by its shape alone"


@pytest.mark.parametrize(
    "other",
    [
        capture("slab/dentry", 5 * MIB, DENTRY),
        capture("slab/dentry", 21 * MIB),
        capture("slab/dentry", 21 * MIB, (256, 1 / 21)),
        capture("slab/dentry", -MIB, DENTRY),
    ],
    ids=["too little", "of unknown size", "of another cache", "falling"],
)
def test_growth_that_dentries_do_not_explain_is_one(other: Capture) -> None:
    found = outcomes(capture("slab/kmalloc-192", MIB), other)[0]
    assert len(found.alerts) == 1
    assert found.assessment.verdict is Verdict.LEAK


def test_what_grew_long_before_explains_nothing() -> None:
    # GIVEN dentries that grew for six hours, and nothing for a day when the cache begins to grow
    times_ms = START_MS + (np.arange(60 * 60) * 60_000).astype(np.int64)
    hours = np.arange(60 * 60) / 60.0
    walked = 40 * MIB + 2000 * MIB * np.minimum(hours, 6)
    late = 40 * MIB + MIB * np.maximum(0, hours - 30)
    cache = Capture("slab/kmalloc-192", subject_of("slab/kmalloc-192"), times_ms, np.round(late))
    dentries = Capture("slab/dentry", subject_of("slab/dentry"), times_ms, np.round(walked), DENTRY)
    # THEN its alarm stands
    assert outcomes(cache, dentries)[0].assessment.verdict is Verdict.LEAK


def test_other_caches_go_along_with_nothing() -> None:
    found = outcomes(capture("slab/kmalloc-cg-192", MIB), capture("slab/dentry", 21 * MIB, DENTRY))[0]
    assert found.assessment.verdict is Verdict.LEAK
