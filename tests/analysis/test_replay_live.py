"""What a replay of the whole says is what a series fed sample by sample said, at every time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.replay.block_grid import all_checkpoints, all_segments
from leakwatch.analysis.replay.capture import Capture, Settings, interval_s, is_sparse
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.rules.evaluate import answer
from leakwatch.analysis.time_plan import plan_of
from leakwatch.model.verdict import Verdict
from leakwatch.report.phrases import text
from tests.analysis.shapes import CRITERIA, DAY, DEFAULT, HOUR, MIB, MINUTES, START_MS
from tests.examples import examples

if TYPE_CHECKING:
    from leakwatch.analysis.replay.capture import ReplayOutcome
    from leakwatch.model.verdict import Assessment

Alerts = list[tuple[int, "int | None"]]

# Shapes, as MiB over hours h with noise r


def _rising(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 200 + r.uniform(1, 20) * h + r.normal(0, r.choice([0.0, 0.3, 3.0]), len(h))


def _late(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 200 + 15 * np.maximum(0, h - r.uniform(0.2, 0.6) * h[-1]) + r.normal(0, 0.5, len(h))


def _stops(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 150 + 12 * np.minimum(h, r.uniform(0.3, 0.7) * h[-1]) + r.normal(0, 0.2, len(h))


def _saw(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 300 + h % r.uniform(0.5, 5) * 20 + r.choice([0.0, 8.0]) * h


def _released(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every = r.uniform(0.25, 0.45) * h[-1]
    return 100 + 15 * h - 15 * every * r.uniform(0.4, 1.0) * (h // every)


def _stairs(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 200 + 8 * (h // r.uniform(0.5, 3)) + r.normal(0, 0.2, len(h))


def _walk(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return np.abs(300 + np.cumsum(r.normal(0, 2, len(h))))


def _daily(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 300 - 60 * np.cos(h / 24 * 2 * np.pi) + r.choice([0.0, 5.0]) * h + r.normal(0, 1, len(h))


def _pauses(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return 200 + 15 * np.minimum.reduce([h, 0 * h + 0.3 * h[-1]]) + 15 * np.maximum(0, h - 0.6 * h[-1])


SHAPES = {f.__name__[1:]: f for f in (_rising, _late, _stops, _saw, _released, _stairs, _walk, _daily, _pauses)}

# Times, in seconds since the start


def _even(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return t


def _jitter(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return t + r.uniform(0, 0.4, len(t)) * (t[1] - t[0])


def _missing(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return t[(r.random(len(t)) > 0.3) | (np.arange(len(t)) < 10)]


def _gap(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    at = int(r.uniform(0.2, 0.8) * len(t))
    return np.concatenate([t[:at], t[at + int(r.uniform(0.02, 0.3) * len(t)) :]])


def _long_gap(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    at = int(r.uniform(0.3, 0.7) * len(t))
    return np.concatenate([t[:at], t[at:] + r.uniform(0.5, 40) * (t[-1] - t[0])])


def _jump(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    at = int(r.uniform(0.3, 0.7) * len(t))
    return np.concatenate([t[:at], t[at:] + 0.1 * (t[-1] - t[0])])


def _back(t: np.ndarray, r: np.random.Generator, share: float = 1.0) -> np.ndarray:
    at = int(r.uniform(0.3, 0.8) * len(t))
    return np.concatenate([t[:at], t[at:] - share * r.uniform(0.01, 1.0) * t[at]])


def _little_back(t: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _back(t, r, 0.02)


TIMES = {
    f.__name__[1:]: f for f in (_even, _jitter, _missing, _gap, _long_gap, _jump, _back, _little_back)
}  # fmt: skip

KINDS = [
    # windows, interval in seconds, samples, shapes tried with each kind of times
    (DEFAULT, 10.0, 4000, 1),
    (DEFAULT, 60.0, 1500, 1),
    (DEFAULT, 300.0, 400, 1),
    (DEFAULT, 400.0, 260, 1),
    (DEFAULT, 1200.0, 110, 1),
    (MINUTES, 1.0, 600, 2),
    ((180,), 2.0, 500, 2),
    ((HOUR, 4 * HOUR), 60.0, 1200, 1),
]
Kind = tuple[tuple[int, ...], float, int, int]


def captured(name: str, t_s: np.ndarray, values: np.ndarray) -> Capture:
    times = START_MS + np.round(t_s * 1000).astype(np.int64)
    apart = np.concatenate([[True], np.diff(times) != 0])  # a reader lets no time stand still
    # A live series is one life, as the daemon knows a process by its start.
    return Capture(name, subject_of(name), times[apart], np.round(values * MIB)[apart], begins_ms=())


def made(shape: str, when: str, kind: Kind, seed: int) -> Capture:
    rng = np.random.default_rng(seed)
    windows_s, every_s, count, _ = kind
    t = TIMES[when](np.arange(count) * every_s, rng)
    hours = np.arange(len(t)) * every_s / plan_of(windows_s, every_s).rule_hour_s
    return captured(f"{shape}-{when}", t, SHAPES[shape](hours, rng))


def said_live(capture: Capture, windows_s: tuple[int, ...]) -> tuple[Alerts, SeriesState, list[Assessment]]:
    """Feed a series sample by sample, judging at once; return when it was a leak, and everything said."""
    state = SeriesState(plan_of(windows_s, interval_s(capture)), CRITERIA)
    alerts: Alerts = []
    said = []
    for ts_ms, value in zip(capture.times_ms.tolist(), capture.values.tolist(), strict=True):
        segment_ms = state.segment_ms
        state.feed(ts_ms, value)
        is_open = bool(alerts) and alerts[-1][1] is None
        if is_open and state.segment_ms != segment_ms:
            alerts[-1] = (alerts[-1][0], state.segment_ms)
            is_open = False
        questions = state.questions()
        state.settle(dict(zip(questions, answer(questions), strict=True)))
        assert state.assessment is not None
        if (state.assessment.verdict is Verdict.LEAK) is not is_open:
            if is_open:
                alerts[-1] = (alerts[-1][0], state.settled_ms)
            else:
                alerts.append((state.settled_ms, None))
        said.append(state.assessment)
    return alerts, state, said


def replayed(capture: Capture, windows_s: tuple[int, ...]) -> ReplayOutcome:
    (outcome,) = replay([capture], Settings(windows_s, lambda _: CRITERIA))
    return outcome


def upto(capture: Capture, count: int) -> Capture:
    return replace(capture, times_ms=capture.times_ms[:count], values=capture.values[:count])


def cut_at(alerts: tuple[tuple[int, int | None], ...], checkpoint_at_ms: int) -> Alerts:
    """Return the alerts as they were known when the look of that time had been taken."""
    return [(a, None if b is None or b > checkpoint_at_ms else b) for a, b in alerts if a <= checkpoint_at_ms]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0][0]}s-{kind[1]:g}s")
@pytest.mark.parametrize("when", TIMES)
def test_a_replay_says_what_a_live_series_said(kind: Kind, when: str) -> None:
    first = 2 * KINDS.index(kind) + list(TIMES).index(when)
    for seed in range(first, first + kind[3]):
        shape = list(SHAPES)[seed % len(SHAPES)]
        capture = made(shape, when, kind, seed)
        assert not is_sparse(interval_s(capture), kind[0])
        alerts, _, said = said_live(capture, kind[0])
        outcome = replayed(capture, kind[0])
        assert list(outcome.alerts) == alerts, shape
        theirs, ours = said[-1], outcome.assessment
        assert (ours.verdict, text(ours.reasons), ours.evidence) == (
            theirs.verdict,
            text(theirs.reasons),
            theirs.evidence,
        ), shape
        assert (ours.slope_bytes_per_hour, ours.since_ms) == (theirs.slope_bytes_per_hour, theirs.since_ms), shape


def test_the_shapes_are_of_both_kinds() -> None:
    # Series that never alarm would agree on nothing.
    alerts = [
        len(replayed(made(shape, "even", kind, seed), kind[0]).alerts)
        for kind in KINDS
        for seed, shape in enumerate(SHAPES)
    ]
    assert sum(1 for count in alerts if count) >= len(alerts) / 4
    assert sum(1 for count in alerts if not count) >= len(alerts) / 8


@pytest.mark.quality
@examples(60)
@given(
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from(sorted(TIMES)),
    st.sampled_from(KINDS[1:]),
    st.integers(0, 2**31),
    st.lists(st.floats(0.02, 1.0), min_size=4, max_size=4),
)
def test_the_verdict_on_a_prefix_is_that_of_the_replay_at_that_time(
    shape: str, when: str, kind: Kind, seed: int, places: list[float]
) -> None:
    capture = made(shape, when, kind, seed)
    whole = replayed(capture, kind[0])
    for place in places:
        count = max(12, round(place * len(capture.times_ms)))
        part = upto(capture, count)
        outcome = replayed(part, kind[0])
        assert (outcome.assessment.verdict is Verdict.LEAK) == bool(outcome.alerts and outcome.alerts[-1][1] is None)
        if when in ("back", "little_back", "long_gap"):
            # An alert may end where a segment does, which no checkpoint tells: only whole alerts are compared.
            known = len([alert for alert in outcome.alerts if alert[1] is not None])
            assert whole.alerts[:known] == outcome.alerts[:known]
            assert [a for a, _ in whole.alerts[: len(outcome.alerts)]] == [a for a, _ in outcome.alerts]
            continue
        plan = plan_of(kind[0], interval_s(part))
        looked = max(
            (checkpoint.end_ms for s in all_segments([part], plan)[0] for checkpoint in all_checkpoints([s], plan)[0]),
            default=0,
        )
        assert list(outcome.alerts) == cut_at(whole.alerts, looked)


@pytest.mark.parametrize("when", TIMES)
def test_looks_are_those_of_a_live_series(when: str) -> None:
    for seed, shape in enumerate(SHAPES):
        kind = KINDS[seed % len(KINDS)]
        capture = made(shape, when, kind, seed)
        plan = plan_of(kind[0], interval_s(capture))
        segment = all_segments([capture], plan)[0][-1]
        state = SeriesState(plan, CRITERIA)
        taken = []
        for ts_ms, value in zip(capture.times_ms.tolist(), capture.values.tolist(), strict=True):
            state.feed(ts_ms, value)
            taken += [pending.checkpoint for pending in state._pending if ts_ms >= segment.start_ms]
            state._pending.clear()
        ours = [checkpoint for checkpoint in taken if checkpoint.end_ms > state.segment_ms]
        theirs = all_checkpoints([segment], plan)[0]
        assert np.array(ours[-len(theirs) :]) == pytest.approx(np.array(theirs), nan_ok=True)


# Series sampled too seldom for blocks


@pytest.mark.quality
@examples(60)
@given(
    st.sampled_from(sorted(SHAPES)),
    st.integers(0, 2**31),
    st.sampled_from([3 * HOUR, 8 * HOUR, DAY]),
    st.integers(1, 70),
    st.booleans(),
)
def test_a_sparse_series_never_looks_ahead(shape: str, seed: int, every_s: int, stop: int, uneven: bool) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(70) * float(every_s)
    if uneven:
        t += rng.uniform(0, 0.8, 70) * every_s
    capture = captured("x", t, SHAPES[shape](np.arange(70) * 1.0, rng))
    assert is_sparse(interval_s(capture), DEFAULT)
    whole, part = replayed(capture, DEFAULT), upto(capture, stop)
    outcome = replayed(part, DEFAULT)
    assert list(outcome.alerts) == cut_at(whole.alerts, int(part.times_ms[-1]))
    assert (outcome.assessment.verdict is Verdict.LEAK) == bool(outcome.alerts and outcome.alerts[-1][1] is None)
    if stop < 8:
        assert outcome.assessment.verdict is Verdict.LEARNING


def test_sparse_leaks_are_found_and_what_settles_is_not() -> None:
    t = np.arange(40) * float(DAY)
    days = np.arange(40.0)
    leak = replayed(captured("x", t, 200 + 10 * days), DEFAULT)
    assert leak.assessment.verdict is Verdict.LEAK
    assert leak.assessment.slope_bytes_per_hour == pytest.approx(10 * MIB / 24)
    for healthy in (200 + 0 * days, 200 + 100 * (1 - np.exp(-days / 3)), 200 + 50 * (days > 20), 200 + days % 7 * 20):
        assert replayed(captured("x", t, healthy), DEFAULT).alerts == ()


# Evaluations further apart than checkpoints


def test_what_is_over_before_the_next_evaluation_was_not_noticed() -> None:
    hours = np.arange(0, 48, 1 / 60)
    capture = captured("x", hours * HOUR, 200 + 10 * np.minimum(hours, 12))
    each = replayed(capture, DEFAULT)
    ((start, end),) = each.alerts
    assert end is not None
    for step_s in (HOUR, 6 * HOUR, 40 * HOUR):
        (outcome,) = replay([capture], Settings(DEFAULT, lambda _: CRITERIA), step_s)
        for a, b in outcome.alerts:
            assert (a - START_MS) % (step_s * 1000) == 0
            assert 0 <= a - start < step_s * 1000
            assert b is not None
            assert 0 <= b - end < step_s * 1000
        assert bool(outcome.alerts) is (step_s < 40 * HOUR)
