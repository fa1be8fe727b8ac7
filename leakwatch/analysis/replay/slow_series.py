"""Series sampled more slowly than windows can be cut in blocks: here the samples are the blocks.

One sample in some hours, as a cron job leaves them. A window needs at least eight real samples; what lies between two
of them is not known and never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp

import numpy as np

from leakwatch.analysis.replay.capture import SPARSE_HOURS, Capture, ReplayOutcome
from leakwatch.analysis.rules.verdict import Observed, unjudged
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import BLOCKS
from leakwatch.analysis.windows.robust import climb_onset
from leakwatch.analysis.windows.robust_rows import Floats, fit_line, mad_sigma, slope_of
from leakwatch.model.verdict import Assessment, Criterion, Phrase, Verdict

LEAST = 8
WINDOWS = (8, 10, 12)
"""Samples in a window; above 24 the whole life in twelve minima as well."""
LEAST_HOURS = BLOCKS * SPARSE_HOURS
"""What grows must have been seen for a day, as windows of blocks at the longest interval take: which of the two rules
judges a series must not decide how soon."""
MIN_GROWTH = 0.08
"""Of the level. Slow samplers see allocators settle over days: 2 % would be half of all of them."""
MIN_Z = 2.7
"""Mann-Kendall's z."""
MIN_NOISE = 4.0
"""Growth over the residuals' median deviation."""
MAX_STEP = 0.5
"""Of the growth in one rise: what came mostly at once is a load, not a leak."""
MIN_HALF = 0.6
"""Newer half's slope over the older half's. 0.5: one settling allocator more in 164 is called a leak for days."""
MIN_PREVIOUS = 0.5
"""Slope over that of as many samples before the window: slower by half is settling."""
MIN_OF_LIFE = 0.5
"""Slope over the life's mean slope without its first sample: creeping after a start is not what the start was.
0.3: seven of 164 settling allocators ever called a leak instead of four."""
WAIVED = 0.5
"""Growth by half of the level needs but one fresh sample: there is no time to wait for a day's."""
CONFIRM_SHARE = 0.25
"""Of the window that hit must come as fresh samples, two at least, before it is called a leak."""
FOLLOW = 0.4
"""Of the growth its line forecasts must show in the fresh samples."""
NEW_LIFE = 2 / 3
"""A fall below two thirds begins a new life."""
LEVELLED = 0.3
"""Newest slope over the alarm's steepest: below it the growth is over."""
GONE = 0.25
"""Of the growth still held: below it the memory was given back. Also how far a window's end may be below its top."""
PAUSE = 3
"""Samples without a new record that end an alarm, a quarter of the life's samples where that is more."""
RECORD = 0.02
"""Of the growth so far: rises smaller than this are no new record."""
_MS_PER_HOUR = 3.6e6


@dataclass(frozen=True, slots=True, eq=False)
class _Hit:
    slope: float
    growth: float
    level: float
    base: float
    at: float
    """Line: the level at time 0, bytes."""
    t: Floats
    y: Floats
    tests: tuple[Criterion, ...]


def replay_sparse(capture: Capture, criteria: LeakCriteria, rule_hour_s: float) -> ReplayOutcome:
    """Return the outcome of a sparse series: one checkpoint a sample."""
    forward = np.concatenate([[True], capture.times_ms[1:] > np.maximum.accumulate(capture.times_ms)[:-1]])
    times, values = capture.times_ms[forward], capture.values[forward]
    run = _Run((times - times[0]) / _MS_PER_HOUR, values, criteria, LEAST_HOURS * rule_hour_s)
    alerts: list[tuple[int, int | None]] = []
    for at in range(len(times)):
        was = run.alarm is not None
        run.take(at)
        if run.alarm is not None and not was:
            alerts.append((int(times[at]), None))
        elif run.alarm is None and was:
            alerts[-1] = (alerts[-1][0], int(times[at]))
    return ReplayOutcome(capture.name, run.assessment(times), tuple(alerts))


@dataclass(slots=True)
class _Alarm:
    top: float
    last: int
    base: float
    onset: tuple[int, float]
    """The sample the growth began with, and the level there."""


class _Run:
    """One series, sample by sample."""

    def __init__(self, hours: Floats, values: Floats, criteria: LeakCriteria, least_s: float) -> None:
        self.hours, self.values, self.criteria, self.least_s = hours, values, criteria, least_s
        self.life = 0
        self.alarm: _Alarm | None = None
        self.slope = 0.0
        self.hit: _Hit | None = None
        self.suspicion: tuple[_Hit, int, tuple[float, float, float] | None] | None = None

    def take(self, at: int) -> None:
        """Take the sample with this index."""
        y = self.values
        if at > self.life and y[at] < NEW_LIFE * y[at - 1]:
            self.life, self.alarm, self.suspicion = at, None, None
        t, v = self.hours[self.life : at + 1], y[self.life : at + 1]
        enough = len(v) >= LEAST and self._seen_s(t) >= self.least_s
        self.hit = best_hit(t, v, self.criteria, self.least_s) if enough else None
        if self.alarm is None:
            self._suspect(at, t, v)
        else:
            self._go_on(at, t, v)

    def _suspect(self, at: int, t: Floats, v: Floats) -> None:
        hit = self.hit
        if hit is None:
            if self.suspicion is not None and at - self.suspicion[1] > len(self.suspicion[0].y):
                self.suspicion = None
            return
        if self._waived(hit, at) or self._confirmed(hit, at, t, v):
            self.alarm = _Alarm(float(v[-1]), at, hit.base, self._onset(at))
            self.slope = hit.slope

    def _seen_s(self, t: Floats) -> float:
        return float(t[-1] - t[0]) * 3600

    def _onset(self, at: int) -> tuple[int, float]:
        place, level, _ = climb_onset(self.values[self.life : at + 1].tolist(), BLOCKS)
        return self.life + place, level

    def _waived(self, hit: _Hit, at: int) -> bool:
        """Return whether the growth is too large to wait for more than a sample that still shows it."""
        return self.suspicion is not None and at > self.suspicion[1] and hit.growth >= WAIVED * hit.base

    def _confirmed(self, hit: _Hit, at: int, t: Floats, v: Floats) -> bool:
        if self.suspicion is None:
            self.suspicion = (hit, at, saturating(hit.t, hit.y))
        held, since, curve = self.suspicion
        wait = _wait(held)
        if at - since < wait:
            return False
        when, new = float(np.median(t[-wait:])), float(np.median(v[-wait:]))
        line = held.at + held.slope * when
        bent = line if curve is None else curve[0] + curve[1] * (1 - exp(-(when - float(held.t[0])) / curve[2]))
        before = held.at + held.slope * float(held.t[-1])
        if new >= (line + bent) / 2 and new - before >= FOLLOW * (line - before):
            return True
        self.suspicion = None
        return False

    def _go_on(self, at: int, t: Floats, v: Floats) -> None:
        alarm = self.alarm
        assert alarm is not None
        if self.hit is not None:
            self.slope = max(self.slope, self.hit.slope)
        if v[-1] > alarm.top + RECORD * (alarm.top - alarm.base):
            alarm.top, alarm.last = float(v[-1]), at
        gone = v[-1] < alarm.base + GONE * (alarm.top - alarm.base)
        paused = at - alarm.last >= max(PAUSE, (at - self.life) / 4)
        if gone or paused or slope_of(t[-LEAST:], v[-LEAST:]) < LEVELLED * self.slope:
            self.alarm = self.suspicion = None

    def assessment(self, times: Floats) -> Assessment:
        """Return the verdict as of the last sample."""
        current = round(float(self.values[-1]))
        count = len(self.values) - self.life
        t, v = self.hours[self.life :], self.values[self.life :]
        seen = self._seen_s(t)
        rises = float(v[-1] - v[0]) >= self.criteria.min_growth_bytes
        if self.alarm is None and (count < LEAST or (rises and seen < self.least_s)):
            return self._learning(times, current, count, seen if rises else None)
        newest = min(len(v), WINDOWS[-1])
        slope, low, high, *_ = fit_line(t[-newest:], v[-newest:])
        parts = t[-newest:], v[-newest:], t[:-newest], v[:-newest]
        tests = self.hit.tests if self.hit else tests_of(*parts, self.criteria)
        if self.alarm is not None:
            slope, low, high = self.slope, min(low, self.slope), max(high, self.slope)
            onset, verdict = self.alarm.onset, Verdict.LEAK
            reason = Phrase("grows_over_samples", (count,))
        else:
            onset = self._onset(len(self.values) - 1)
            failed = [test.criterion for test in tests if not test.passed]
            grows = slope > 0 and tests[0].passed and tests[1].passed
            watched = self.suspicion is not None or (grows and len(failed) <= MOST_FAILED)
            verdict = Verdict.WATCH if watched else Verdict.OK
            reason = Phrase("samples_decide")
            if failed:
                what = "grows_in_samples" if watched else "no_growth_in_samples"
                reason = Phrase(what, (newest, failed[0], tests[0].window_s or 0))
            tests = (*tests, *self._awaited())
        suspect = verdict is not Verdict.OK
        return Assessment(
            verdict, current, tests, (), slope, low, high,
            since_ms=int(times[onset[0]]) if suspect else None,
            grown_bytes=max(0, round(current - onset[1])) if suspect else None,
            confidence=0.7 if verdict is Verdict.LEAK else 0.3 if suspect else 0.0,
            reasons=(reason,),
        )  # fmt: skip

    def _awaited(self) -> tuple[Criterion, ...]:
        """Return how many of the samples have come that decide about a suspicion; nothing without one."""
        if self.suspicion is None:
            return ()
        held, since, _ = self.suspicion
        fresh = len(self.values) - 1 - since
        return (Criterion("fresh_samples", fresh, _wait(held), passed=fresh >= _wait(held)),)

    def _learning(self, times: Floats, current: int, count: int, seen: float | None) -> Assessment:
        """Return that there are too few samples, or that those of what rises lie too close together."""
        evidence = []
        if count < LEAST:
            evidence.append(Criterion("enough_samples", count, LEAST, passed=False))
        if seen is not None and seen < self.least_s:
            window_s = round(self.least_s)
            evidence.append(Criterion("enough_data", seen, self.least_s, False, "s", window_s))
        need = LEAST if count < LEAST else 0
        need_s = self.least_s if len(evidence) > (count < LEAST) else 0.0
        span_s = float(times[-1] - times[self.life]) / 1000
        reason = Phrase("too_few_samples", (count, span_s, need, need_s))
        observed = Observed(int(times[self.life]), int(times[-1]), float(self.values[self.life]))
        return unjudged(observed, current, tuple(evidence), reason)


def _wait(held: _Hit) -> int:
    return max(2, ceil(CONFIRM_SHARE * len(held.y)))


MOST_FAILED = 2
"""Growth that fails no more tests than this is worth watching."""


def best_hit(t: Floats, y: Floats, criteria: LeakCriteria, least_s: float) -> _Hit | None:
    """Return the longest window of the newest samples in which all tests pass, those that are long enough."""
    found = None
    for m in WINDOWS:
        if len(y) >= m and float(t[-1] - t[-m]) * 3600 >= least_s * (BLOCKS - 1) / BLOCKS:
            found = _hit(t[-m:], y[-m:], t[:-m], y[:-m], criteria) or found
    size = len(y) // 12
    if size >= 2:
        rest = len(y) - 12 * size
        minima = y[rest:].reshape(12, size).min(axis=1)
        found = _hit(t[rest:].reshape(12, size).mean(axis=1), minima, t[:rest], y[:rest], criteria) or found
    return found


def _hit(t: Floats, y: Floats, past_t: Floats, past_y: Floats, criteria: LeakCriteria) -> _Hit | None:
    tests = tests_of(t, y, past_t, past_y, criteria)
    if not all(test.passed for test in tests):
        return None
    slope = slope_of(t, y)
    at = float(np.median(y - slope * t))
    return _Hit(slope, slope * float(t[-1] - t[0]), float(np.median(y)), float(y[0]), at, t, y, tests)


def tests_of(t: Floats, y: Floats, past_t: Floats, past_y: Floats, c: LeakCriteria) -> tuple[Criterion, ...]:
    """Return every test of one window of samples; ``past_t`` and ``past_y`` are the life's samples before it."""
    slope = slope_of(t, y)
    growth, level = slope * float(t[-1] - t[0]), max(1.0, float(np.median(y)))
    residuals = y - slope * t
    noise = float(mad_sigma((residuals - np.median(residuals))[None, :])[0])
    rises = np.maximum(np.diff(y), 0.0)
    largest = float(rises.max())
    step = largest / max(1e-9, min(float(rises.sum()), max(1e-9, float(y[-1] - y[0]))))
    half = len(y) // 2
    early, late = slope_of(t[: half + 1], y[: half + 1]), slope_of(t[half:], y[half:])
    window_s = round(float(t[-1] - t[0]) * 3600)

    def at_least(name: str, measured: float, threshold: float, unit: str = "ratio") -> Criterion:
        return Criterion(name, measured, threshold, measured >= threshold, unit, window_s)

    tests = [
        at_least("significant_slope", mann_kendall(y), MIN_Z * c.sensitivity, ""),
        at_least("min_growth_ratio", growth / level, MIN_GROWTH),
        at_least("min_rate", slope, c.min_rate_bytes_per_hour, "bytes/h"),
        at_least("above_noise", growth / max(noise, 1.0), MIN_NOISE * c.sensitivity),
        Criterion("not_a_step", step, MAX_STEP, step <= MAX_STEP, "ratio", window_s),
        at_least("newer_half_as_steep", late / early if early > 0 else (1.0 if late > 0 else 0.0), MIN_HALF),
    ]
    if len(past_y) >= 3:
        reach = min(len(past_y), len(y))
        before = slope_of(past_t[-reach:], past_y[-reach:])
        tests.append(at_least("as_fast_as_before", slope / before if before > 0 else 1.0, MIN_PREVIOUS))
    life_t, life_y = np.concatenate([past_t, t])[1:], np.concatenate([past_y, y])[1:]
    mean = (float(np.median(life_y[-2:])) - float(life_y[0])) / max(1e-9, float(life_t[-1] - life_t[0]))
    tests.append(at_least("as_fast_as_run_mean", slope / mean if mean > 0 else 1.0, MIN_OF_LIFE))
    below = (float(y.max()) - float(y[-1])) / growth if growth > 0 else 1.0
    tests.append(Criterion("near_window_peak", below, GONE, below <= GONE, "ratio", window_s))
    if len(past_y):
        above = float(min(y[-2:]) - past_y.max())
        tests.append(at_least("above_previous_peak", above, 0.0, "bytes"))
    return tuple(tests)


def mann_kendall(y: Floats) -> float:
    """Return Mann-Kendall's z, 0 for no rise."""
    n = len(y)
    i, j = np.triu_indices(n, 1)
    score = float(np.sign(y[j] - y[i]).sum())
    return (score - 1) / (n * (n - 1) * (2 * n + 5) / 18) ** 0.5 if score > 0 else 0.0


def saturating(t: Floats, y: Floats) -> tuple[float, float, float] | None:
    """Return (a, b, T) of the best a + b(1 - exp(-(t - t0)/T)) with b > 0, None where none rises."""
    x = t - t[0]
    best: tuple[float, tuple[float, float, float]] | None = None
    for part in (0.15, 0.25, 0.4, 0.6, 0.8, 1.0, 1.5):
        span = part * float(x[-1])
        design = np.column_stack([np.ones_like(x), 1 - np.exp(-x / span)])
        factors = np.linalg.lstsq(design, y, rcond=None)[0]
        squares = float(((y - design @ factors) ** 2).sum())
        if factors[1] > 0 and (best is None or squares < best[0]):
            best = squares, (float(factors[0]), float(factors[1]), span)
    return best[1] if best else None
