"""The cheap look against the close one, and what an assessment says for itself."""

from __future__ import annotations

import numpy as np
import pytest
from analysis_shapes import BASE, MIB, MINUTES, START_MS, first_leak, looks, seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.analysis.assess import assess
from leakwatch.analysis.blocks import Ring
from leakwatch.analysis.criteria import LeakCriteria
from leakwatch.analysis.question import Question
from leakwatch.analysis.screen import screen
from leakwatch.analysis.spans import Window, plan_windows
from leakwatch.model import Block, Verdict

CRITERIA = LeakCriteria()
HOUR_WINDOW = plan_windows((3600,), 60.0)
FRACTIONS = st.floats(0, 1, allow_subnormal=False)


@st.composite
def troughs(draw: st.DrawFn) -> list[float]:
    """Draw 6 to 24 troughs between 0 and 1: rising, s-shaped, toothed or any."""
    n = draw(st.integers(6, 24))
    kind = draw(st.sampled_from(["any", "rising", "s", "teeth"]))
    if kind == "s":
        middle, steep = draw(st.floats(0.1, 0.9)), draw(st.floats(3, 40))
        return list(1 / (1 + np.exp(-(np.arange(n) / n - middle) * steep)))
    if kind == "teeth":
        tooth, lift = draw(st.integers(2, 9)), draw(FRACTIONS)
        return [(at % tooth) / tooth + lift * (at // tooth) for at in range(n)]
    values = draw(st.lists(FRACTIONS, min_size=n, max_size=n))
    return sorted(values) if kind == "rising" else values


def _ring(window: Window, values: list[float], steps: list[int], first_n: int) -> Ring:
    ring, start_ms = Ring(window), START_MS
    for at, value in enumerate(values):
        start_ms += steps[at % len(steps)] * window.span_s * 1000
        ring.append(Block(start_ms, first_n if not at else 5, value, value, value, value))
    return ring


@settings(max_examples=1500)
@given(
    troughs(),
    st.floats(0.05, 1.5),
    st.lists(st.sampled_from([1, 1, 1, 1, 2, 4]), min_size=1, max_size=24),
    st.integers(1, 5),
)
def test_what_the_screen_passes_as_ok_the_close_look_passes_too(
    values: list[float], size: float, steps: list[int], first_n: int
) -> None:
    low, reach = min(values), max(max(values) - min(values), 1e-9)
    lows = [5 * MIB + (value - low) / reach * size * MIB for value in values]
    rings = (_ring(HOUR_WINDOW[0], lows, steps, first_n),)
    quick = screen(HOUR_WINDOW, rings, CRITERIA, 0)
    if quick is not None:
        assert quick.verdict is assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment.verdict


def test_a_line_may_rise_more_than_the_range_of_its_troughs() -> None:
    # GIVEN seven blocks whose range is four fifths of the growth seven blocks must show
    lows = [5 * MIB + part / 12 * 0.79 * 7 / 12 * MIB for part in (0, 2, 5, 8, 9, 12, 12)]
    rings = (_ring(HOUR_WINDOW[0], lows, [1], 5),)
    # THEN the line makes it a leak, and the screen must not say otherwise
    assert assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment.verdict is Verdict.LEAK
    assert screen(HOUR_WINDOW, rings, CRITERIA, 0) is None


def test_the_screen_does_settle_what_stands_still() -> None:
    # A screen that never said ok would pass the test above.
    rings = (_ring(HOUR_WINDOW[0], [5.0 * MIB + at % 2 * 1000 for at in range(12)], [1], 5),)
    found = screen(HOUR_WINDOW, rings, CRITERIA, 7)
    assert found is not None
    assert (found.verdict, found.current_bytes, found.reason) == (Verdict.OK, 7, "no growth within 60 min")


@pytest.mark.parametrize("blocks", range(6))
def test_too_few_blocks_are_learning_and_say_how_many_it_takes(blocks: int) -> None:
    rings = (_ring(HOUR_WINDOW[0], [5.0 * MIB] * blocks, [1], 5),)
    for found in (
        screen(HOUR_WINDOW, rings, CRITERIA, 0),
        assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment,
    ):
        assert found is not None
        assert found.verdict is Verdict.LEARNING
        assert found.reason.endswith("of data, 30 min needed for a first verdict")
        assert found.evidence[0].measured == blocks * 300


def _reasons(values: np.ndarray, windows_s: tuple[int, ...] = MINUTES) -> list[str]:
    return [assessment.reason for _, assessment in looks(values, windows_s)]


def test_each_verdict_says_why() -> None:
    t = seconds(300)
    leak = _reasons(BASE + t * MIB)
    assert leak[0] == "5 s of data, 30 s needed for a first verdict"
    assert "a straight rise in 1 of 1 windows, the longest 60 s; not yet confirmed by fresh data" in leak
    assert leak[-1] == "a straight rise in 2 of 2 windows, the longest 2 min"
    assert _reasons(np.full(300, BASE))[-1] == "no growth within 2 min"
    assert "grew within 2 min and stopped" in _reasons(BASE + np.minimum(t, 100) * MIB)
    assert "grew within 60 s, but is slowing: it may be bounded" in _reasons(BASE + 100 * MIB * (1 - np.exp(-t / 20)))
    steps = _reasons(BASE + 20 * MIB * np.minimum(t // 30, 3))
    assert "grew within 2 min, but in a few steps: it may not go on" in steps
    assert "grew within 2 min in a few steps, flat since" in steps
    assert "rises and falls back within known ground, 60 s" in _reasons(BASE + 20 * MIB * np.sin(t / 40), (60,))


def test_a_leak_carries_its_evidence_whole() -> None:
    _, found = first_leak(looks(BASE + seconds(200) * MIB)) or pytest.fail("not found")
    names = [criterion.criterion for criterion in found.evidence]
    assert names == [
        "growth is significant", "rate is worth waking for", "growth in the window", "growth relative to the level",
        "growth against noise", "still rising", "newer half as steep", "not one step", "separate rises", "new ground",
        "not coming down", "no levelling curve", "fresh data", "fresh data follow the line",
    ]  # fmt: skip
    assert all(criterion.passed for criterion in found.evidence)
    assert all(np.isfinite(criterion.measured or 0) for criterion in found.evidence)
    assert found.slope_low is not None
    assert found.slope_high is not None
    assert found.slope_low <= (found.slope_bytes_per_hour or 0) <= found.slope_high
    assert 0 < found.confidence <= 1


@pytest.mark.parametrize(
    ("failed", "verdict", "shape", "lows"),
    [
        ("newer half as steep", Verdict.WATCH, "plateau", [0, 2, 3, 3, 5, 7, 9, 9, 9, 11, 11, 12]),
        ("no levelling curve", Verdict.WATCH, "plateau", [0, 8, 13, 19, 24, 29, 33, 37, 37, 41, 45, 46]),
        ("not one step", Verdict.WATCH, "step", [0, 2, 2, 4, 4, 6, 7, 8, 8, 9, 9, 22]),
        ("separate rises", Verdict.WATCH, "step", [1, 6, 2, 1, 3, 0, 4, 4, 11, 12, 10, 19]),
        ("still rising", Verdict.WATCH, "plateau", [4, 0, 2, 9, 17, 19, 19, 24, 32, 30, 32, 29]),
        ("not coming down", Verdict.OK, "sawtooth", [0, 2, 8, 3, 9, 5, 6, 4, 11, 16, 12, 7]),
    ],
)
def test_each_criterion_alone_takes_the_leak_away(failed: str, verdict: Verdict, shape: str, lows: list[int]) -> None:
    rings = (_ring(HOUR_WINDOW[0], [(50.0 + low) * MIB for low in lows], [1], 5),)
    found = assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment
    assert [criterion.criterion for criterion in found.evidence if not criterion.passed] == [failed]
    assert (found.verdict, found.windows[0].shape) == (verdict, shape)


def test_a_rise_back_to_known_ground_is_no_leak() -> None:
    (ring,) = rings = (_ring(HOUR_WINDOW[0], [(50.0 + low) * MIB for low in range(12)], [1], 5),)
    assert assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment.verdict is Verdict.LEAK
    ring.known = 56.0 * MIB
    found = assess(Question(HOUR_WINDOW, rings, CRITERIA, 0)).assessment
    assert [criterion.criterion for criterion in found.evidence if not criterion.passed] == ["new ground"]
    assert (found.verdict, found.windows[0].shape) == (Verdict.OK, "sawtooth")


def test_the_onset_and_the_growth_since_are_told() -> None:
    t = seconds(240)
    _, found = looks(BASE + np.maximum(0, t - 120) * MIB)[-1]
    assert found.verdict is Verdict.LEAK
    assert found.since_ms is not None
    assert abs(found.since_ms - START_MS - 120_000) <= 15_000
    assert found.grown_bytes == pytest.approx(115 * MIB, rel=0.1)
    assert found.current_bytes == round(BASE + 115 * MIB)


@pytest.mark.parametrize(
    ("criteria", "criterion"),
    [
        (LeakCriteria(min_rate_bytes_per_hour=3601 * MIB), "rate is worth waking for"),
        (LeakCriteria(min_growth_bytes=1 << 30), "growth in the window"),
        (LeakCriteria(min_growth_ratio=100.0), "growth relative to the level"),
        (LeakCriteria(min_noise_ratio=1e12), "growth against noise"),
    ],
)
def test_each_threshold_can_silence_a_leak(criteria: LeakCriteria, criterion: str) -> None:
    _, found = looks(BASE + seconds(200) * MIB, criteria=criteria)[-1]
    assert found.verdict is Verdict.OK
    # The screen answers for the absolute size; its evidence has the same name.
    assert criterion in [c.criterion for c in found.evidence if not c.passed]
