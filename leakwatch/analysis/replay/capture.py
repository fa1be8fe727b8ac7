"""Captured series: as they were sampled, live or elsewhere, what they are before any is judged, and what comes of them.

The series of one host tell how often they are sampled, and whether growth can be a leak. Of a recording too short for
the configured windows ``watch`` is said at most: twelve blocks of its own tell its slope, but nothing so short is
called a leak: it could be a start, a request, a morning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from leakwatch import metrics
from leakwatch.analysis import thresholds as k
from leakwatch.analysis.findings.counts import RISEN_SHARE, counted, least_ratio
from leakwatch.analysis.replay.series_name import Subject, SubjectKind
from leakwatch.analysis.rules.tests import T95
from leakwatch.analysis.settings import criteria_for
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS, plan_of
from leakwatch.analysis.tracking.alarm_state import AlarmState, LevelHistory
from leakwatch.analysis.windows.features import measure
from leakwatch.analysis.windows.robust import onset
from leakwatch.config import Config
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.verdict import Assessment, Criterion, Phrase, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


_FIRST = 9
"""Samples by which a series' interval is known: no later one is looked at."""
SPARSE_HOURS = 2.0
"""From this interval on samples are judged as they are: windows of half a day would hold six."""
USUAL_S = 60.0
"""The interval of a series of one sample."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a replay needs of the configuration."""

    windows_s: tuple[int, ...]
    criteria_for: Callable[[Subject], LeakCriteria]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSeries:
    """One series of a host, ready to be judged."""

    capture: Capture
    """Of what is screened only from where it has risen, maybe nothing: the daemon judges none before."""
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
        judged = _since_risen(capture, criteria) if subject.screened else capture
        sparse = usual_s is not None and is_sparse(interval_s, settings.windows_s)
        out.append(PreparedSeries(judged, criteria, interval_s, sparse, mild))
    return out


def _is_of_machine(one: Capture) -> bool:
    """Return whether it is one of the machine's own counters, by whatever name."""
    return one.subject.kind is SubjectKind.KERNEL and not one.name.startswith(("slab/", "vmalloc/"))


def is_sparse(interval_s: float, windows_s: tuple[int, ...]) -> bool:
    """Return whether samples are too far apart for blocks."""
    return interval_s > SPARSE_HOURS * plan_of(windows_s, 1.0).rule_hour_s


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

    What is taken now and then, such as a count until it has risen, is judged by the interval of the series beside it,
    where they are taken more often: so the daemon does.
    """
    seldom = [_is_seldom(series_of(capture.subject)[0]) for capture in captures]
    known = [found or USUAL_S for found in own]
    tick_s = min((found for found, slow in zip(known, seldom, strict=True) if not slow), default=inf)
    return [min(found, tick_s) if slow else found for found, slow in zip(known, seldom, strict=True)]


def _is_seldom(metric: str) -> bool:
    return metric in metrics.SCREENED or (metric in metrics.SELDOM and metrics.row(metric).judged)


def _since_risen(capture: Capture, criteria: LeakCriteria) -> Capture:
    """Return the samples from where it has risen, as ``counts.CountScreen`` has it."""
    lowest = np.minimum.accumulate(capture.values)
    least = RISEN_SHARE * np.maximum(least_ratio(capture.subject.screened) * lowest, criteria.min_growth_bytes)
    fallen = np.diff(lowest, prepend=lowest[:1]) < 0
    risen = np.flatnonzero((capture.values - lowest >= least) & ~fallen)
    first = int(risen[0]) if len(risen) else len(capture.values)
    return replace(capture, times_ms=capture.times_ms[first:], values=capture.values[first:])


_METRICS = {metrics.capture_name(name): name for name, metric in metrics.METRICS.items() if metric.scope is HOST.kind}
_TARGETS = {SubjectKind.SLAB: TargetKind.SLAB, SubjectKind.GROUP: TargetKind.SERVICE}
_OF_TARGET = {TargetKind.SLAB: metrics.SLAB_ACTIVE, TargetKind.VMALLOC: metrics.VMALLOC_BYTES}


def settings_of(config: Config) -> Settings:
    """Return the settings under which series are judged with this configuration."""

    def for_subject(subject: Subject) -> LeakCriteria:
        metric, target = series_of(subject)
        return criteria_for(config, metric, target, subject.programs or (subject.owner,), subject.owner)

    return Settings(config.analysis.windows_s, for_subject)


def series_of(subject: Subject) -> tuple[str, Target]:
    """Return the metric and the target the daemon would know a captured series by."""
    if subject.kind is SubjectKind.KERNEL and not subject.service.startswith("vmalloc/"):
        return subject.screened or _METRICS.get(subject.field, subject.field), HOST
    kind = TargetKind.VMALLOC if subject.kind is SubjectKind.KERNEL else _TARGETS.get(subject.kind, TargetKind.PROCESS)
    return subject.screened or _OF_TARGET.get(kind, ""), Target(kind, subject.field or subject.owner)


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """What a replay says of one series."""

    name: str
    assessment: Assessment
    """At the last sample."""
    alerts: tuple[tuple[int, int | None], ...]
    """Times with verdict leak, in UTC milliseconds; the last is open (None) when it still holds at the end."""
    alarm_state: AlarmState | None = None
    history: LevelHistory | None = None
    """What is remembered at the end, None of a sparse series: what a later verdict would start from."""


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
