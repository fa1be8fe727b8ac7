"""Blocks as samples arrive, against the same reduction done at once."""

from __future__ import annotations

import random
import sys
from array import array
from math import inf, isnan
from statistics import median

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.analysis.series.blocks import COARSE, FINE, HELD_AS, MEDIAN_OF, OpenBlock, Ring, Trail
from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_HOURS, FINE_KEPT, plan_of
from leakwatch.model.sample import Block
from tests.analysis.shapes import DEFAULT, START_MS

PLAN = plan_of((60, 240, 960), 1.0)
FINE_MS, COARSE_MS = PLAN.base_s * 1000, PLAN.coarse_s * 1000
Samples = list[tuple[int, float]]

STEPS = st.tuples(st.one_of(st.integers(1, 9_000), st.integers(20_000, 90_000)), st.integers(0, 2**40).map(float))


@st.composite
def irregular(draw: st.DrawFn) -> Samples:
    ts_ms = START_MS + draw(st.integers(0, 100_000))
    samples = []
    for step, value in draw(st.lists(STEPS, min_size=1, max_size=120)):
        ts_ms += step
        samples.append((ts_ms, value))
    return samples


def reduced(samples: Samples, span_ms: int) -> list[Block]:
    """Reduce all samples at once, the block still open left out."""
    groups: dict[int, list[float]] = {}
    for ts_ms, value in samples:
        groups.setdefault(ts_ms - ts_ms % span_ms, []).append(value)
    blocks = [Block(start, len(v), min(v), median(v), max(v), v[-1]) for start, v in groups.items()]
    return blocks[:-1]


def fed(samples: Samples) -> tuple[Trail, list[list[Block]]]:
    trail, sealed = Trail(PLAN), [[], []]
    for ts_ms, value in samples:
        for level, block in trail.add(ts_ms, value):
            sealed[level].append(block)
    return trail, sealed


def held(trail: Trail) -> list[tuple[object, ...]]:
    """Return what both rings hold, NaN as None, so that it can be compared."""
    return [
        (ring.end, *([None if isnan(x) else x for x in xs] for xs in (ring.lows, ring.medians)))
        for ring in (trail.fine, trail.coarse)
    ]


@given(irregular())
@example([(START_MS, 1.0), (START_MS + 5_000, 2.0), (START_MS + 4_000_000, 3.0)])
def test_fine_blocks_are_the_direct_reduction(samples: Samples) -> None:
    trail, sealed = fed(samples)
    assert sealed[FINE] == reduced(samples, FINE_MS)
    assert trail.first == samples[0][0] // FINE_MS


@given(irregular())
def test_coarse_blocks_are_the_direct_reduction_of_the_fine_ones(samples: Samples) -> None:
    _, sealed = fed(samples)
    theirs = reduced(samples, COARSE_MS)
    assert [(b.start_ms, b.n, b.minimum, b.maximum, b.last) for b in sealed[COARSE]] == [
        (b.start_ms, b.n, b.minimum, b.maximum, b.last) for b in theirs
    ]
    for block in sealed[COARSE]:
        middles = [b.median for b in sealed[FINE] if block.start_ms <= b.start_ms < block.start_ms + COARSE_MS]
        assert block.median == median(middles)


@given(irregular())
def test_rings_lie_on_the_grid_and_are_nan_where_no_sample_fell(samples: Samples) -> None:
    trail, sealed = fed(samples)
    for level, ring, span_ms in ((FINE, trail.fine, FINE_MS), (COARSE, trail.coarse, COARSE_MS)):
        lows = {block.start_ms // span_ms: array(HELD_AS, (block.minimum,))[0] for block in sealed[level]}
        for at, low in enumerate(ring.lows):
            assert (None if isnan(low) else low) == lows.get(ring.start + at)
        assert ring.end == max(lows, default=-1)


@given(st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=MEDIAN_OF - 1))
def test_the_median_is_exact_below_64_values(values: list[float]) -> None:
    block = OpenBlock(7)
    for value in values:
        block.add(1, value, value, value, value)
    assert block.sealed(5) == Block(35_000, len(values), min(values), median(values), max(values), values[-1])


def test_the_median_of_64_and_more_is_of_evenly_spread_values() -> None:
    # GIVEN a ramp, whose every even choice of values has the same median but for one step of the choice
    for n in (64, 65, 200, 1000, 20_000):
        block = OpenBlock(0)
        for value in range(n):
            block.add(1, value, value, value, value)
        assert block.sealed(1).median == pytest.approx((n - 1) / 2, abs=n / 32)
        assert len(block._held) < MEDIAN_OF


def test_memory_is_bounded() -> None:
    trail, generator = Trail(PLAN), random.Random(1)

    def size() -> int:
        rings = sum(sys.getsizeof(a) for ring in (trail.fine, trail.coarse) for a in (ring.lows, ring.medians))
        return rings + sum(sys.getsizeof(block._held) for block in trail._open if block)

    sizes = []
    for at in range(40_000):
        trail.add(START_MS + at * 200, generator.random())
        if at % 10_000 == 9_999:
            sizes.append(size())
    assert max(sizes) < 20_000
    assert sizes[-1] <= 1.2 * sizes[1]
    assert len(trail.fine) == FINE_KEPT
    assert len(trail.coarse) <= PLAN.coarse_kept


def continue_as_if_never_stopped(samples: Samples, stop: int) -> None:
    # GIVEN a run that stopped at a moment, of which the store holds the sealed blocks and the samples
    before, after = samples[: stop + 1], samples[stop + 1 :]
    _, sealed = fed(before)
    end_ms = max((block.start_ms + FINE_MS for block in sealed[FINE]), default=0)
    # WHEN another takes the blocks, the coarse ones first, the samples since, and what comes
    other, first = Trail(PLAN), before[0][0] // FINE_MS
    for level in (COARSE, FINE):
        for block in sealed[level]:
            other.restore(level, block, first)
    more = [
        (level, block)
        for sample in [s for s in before if s[0] >= end_ms] + after
        for level, block in other.add(*sample)
    ]
    # THEN it holds what the one that never stopped holds, and sealed what was missing
    straight, all_sealed = fed(samples)
    assert held(other)[FINE] == held(straight)[FINE]
    assert held(other)[COARSE] == held(straight)[COARSE]
    assert other.first == straight.first
    assert [block for level, block in more if level == FINE] == all_sealed[FINE][len(sealed[FINE]) :]


@given(irregular(), st.integers(0, 120))
def test_restored_blocks_continue_as_if_never_stopped(samples: Samples, stop: int) -> None:
    continue_as_if_never_stopped(samples, stop)


@pytest.mark.parametrize("stop", [3, 14, 37, 61, 118, 240, 333])
def test_the_coarse_block_open_at_a_restart_is_completed(stop: int) -> None:
    samples = [(START_MS + at * 1000, float(at * 7919 % 1000)) for at in range(400)]
    continue_as_if_never_stopped(samples, stop)


def test_a_gap_is_padded_and_never_joined() -> None:
    # GIVEN ten fine blocks, a hole of twenty, and one more
    trail, _ = fed([(START_MS + at * FINE_MS, 100.0 + at) for at in (*range(10), 30, 31)])
    lows = list(trail.fine.lows)
    assert len(lows) == 31
    assert [at for at, low in enumerate(lows) if not isnan(low)] == [*range(10), 30]


def test_a_ring_padded_for_longer_than_it_holds_is_all_nan() -> None:
    ring = Ring(5, 2)
    ring.append(0, 1.0, 1.0)
    ring.append(100, 2.0, 2.0)
    assert (ring.start, ring.end, len(ring)) == (96, 100, 5)
    assert [isnan(low) for low in ring.lows] == [True] * 4 + [False]
    ring.pad(50)
    assert ring.end == 100, "padding never goes back"
    ring.clear()
    assert (len(ring), ring.end) == (0, -1)


def test_a_new_segment_remembers_the_old_level_only_when_told() -> None:
    for remember in (True, False):
        trail, _ = fed([(START_MS + at * FINE_MS, 100.0 + at) for at in range(10)])
        trail.end_segment(remember=remember)
        assert (len(trail.fine), len(trail.coarse), trail.first) == (0, 0, -1)
        assert trail.top_before == (108.0 if remember else -inf)


def test_the_block_a_segment_ends_in_is_not_joined_with_what_comes() -> None:
    trail = Trail(PLAN)
    trail.add(START_MS, 100.0)
    trail.end_segment(remember=True)
    trail.add(START_MS + 1000, 5.0)
    ((level, block),) = trail.add(START_MS + 5000, 6.0)
    assert (level, block) == (FINE, Block(START_MS, 1, 5.0, 5.0, 5.0, 5.0))


# Plans


@given(
    st.lists(st.integers(30, 900_000), min_size=1, max_size=8, unique=True),
    st.sampled_from([0.1, 0.5, 1.0, 2.5, 60.0, 300.0]),
)
def test_every_plan_is_cut_in_whole_blocks_that_are_held(windows_s: list[int], interval_s: float) -> None:
    plan = plan_of(tuple(windows_s), interval_s)
    assert plan.base_s >= interval_s
    assert plan.rule_hour_s <= min(windows_s)
    assert [span.seconds for span in plan.spans] == sorted({span.seconds for span in plan.spans})
    for span in plan.spans:
        block_s = plan.coarse_s if span.coarse else plan.base_s
        assert span.seconds == BLOCKS * span.q * block_s
        assert span.rule_hours == pytest.approx(span.seconds / plan.rule_hour_s)
        assert span.seconds <= max(windows_s) or span is plan.spans[0]
        assert span.q * BLOCKS <= (plan.coarse_kept if span.coarse else FINE_KEPT)
    assert plan == plan_of(tuple(reversed(windows_s)), interval_s), "the order in which they are named means nothing"


def test_the_default_plan_is_hours() -> None:
    plan = plan_of(DEFAULT, 60.0)
    assert (plan.base_s, plan.rule_hour_s, plan.checkpoint_blocks, plan.levels) == (300, 3600.0, 3, (300, 3600))
    assert plan.spans[0].seconds == 3600
    assert plan.spans[-1].seconds == 10 * 86400
    assert {span.coarse for span in plan.spans if span.rule_hours <= FINE_HOURS} == {False}
    assert plan.blocks_of(1) == COARSE_OF
