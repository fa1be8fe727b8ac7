"""Blocks as samples arrive, against the same reduction done at once."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from statistics import median

import pytest
from analysis_shapes import START_MS
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.analysis.blocks import GAP_BLOCKS, MEDIAN_OF, OpenBlock, Pyramid, Ring
from leakwatch.analysis.spans import BLOCKS_A_WINDOW, KEPT_WINDOWS, plan_windows
from leakwatch.model import Block

WINDOWS = plan_windows((60, 240, 960), 1.0)
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


def reduced(samples: Samples, span_s: int) -> list[Block]:
    """Reduce all samples at once, the block still open left out."""
    groups: dict[int, list[float]] = {}
    for ts_ms, value in samples:
        groups.setdefault(ts_ms - ts_ms % (span_s * 1000), []).append(value)
    blocks = [Block(start, len(v), min(v), median(v), max(v), v[-1]) for start, v in groups.items()]
    return blocks[:-1]


def fed(samples: Samples) -> tuple[Pyramid, list[list[Block]]]:
    pyramid, sealed = Pyramid(WINDOWS), [[] for _ in WINDOWS]
    for ts_ms, value in samples:
        for level, block in pyramid.add(ts_ms, value):
            sealed[level].append(block)
    return pyramid, sealed


def held(pyramid: Pyramid) -> list[tuple[object, ...]]:
    return [(*map(list, (r.starts, r.lows, r.medians, r.counts)), r.known) for r in pyramid.rings]


def without_median(block: Block) -> Block:
    return replace(block, median=0.0)


@given(irregular())
@example([(START_MS, 1.0), (START_MS + 5_000, 2.0), (START_MS + 4_000_000, 3.0)])
def test_the_finest_blocks_are_the_direct_reduction(samples: Samples) -> None:
    _, sealed = fed(samples)
    assert sealed[0] == reduced(samples, WINDOWS[0].span_s)


@given(irregular())
def test_longer_blocks_are_the_direct_reduction_but_for_their_median(samples: Samples) -> None:
    _, sealed = fed(samples)
    for level in (1, 2):
        # A longer block ends when the finest block behind it ends: the newest may be a block behind.
        theirs = [without_median(block) for block in reduced(samples, WINDOWS[level].span_s)]
        ours = [without_median(block) for block in sealed[level]]
        assert ours == theirs[: len(ours)]
        assert len(theirs) - len(ours) in (0, 1)


@given(irregular())
def test_a_longer_median_lies_among_those_it_is_of(samples: Samples) -> None:
    _, sealed = fed(samples)
    for level in (1, 2):
        for block in sealed[level]:
            assert block.minimum <= block.median <= block.maximum


@given(st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=MEDIAN_OF - 1))
def test_the_median_is_exact_below_64_values(values: list[float]) -> None:
    block = OpenBlock(START_MS)
    for value in values:
        block.add(1, value, value, value, value)
    assert block.sealed().median == median(values)


def test_the_median_of_64_and_more_is_of_evenly_spread_values() -> None:
    # GIVEN a ramp, whose every even choice of values has the same median but for one step of the choice
    for n in (64, 65, 200, 1000, 20_000):
        block = OpenBlock(START_MS)
        for value in range(n):
            block.add(1, value, value, value, value)
        assert block.sealed().median == pytest.approx((n - 1) / 2, abs=n / 32)
        assert len(block._held) < MEDIAN_OF


def test_memory_is_bounded() -> None:
    pyramid, generator = Pyramid(WINDOWS), random.Random(1)

    def size() -> int:
        held_values = sum(sys.getsizeof(a) for r in pyramid.rings for a in (r.starts, r.lows, r.medians, r.counts))
        return held_values + sum(sys.getsizeof(block._held) for block in pyramid._open if block)

    sizes = []
    for at in range(40_000):
        pyramid.add(START_MS + at * 200, generator.random())
        if at % 10_000 == 9_999:
            sizes.append(size())
    assert max(sizes) < 40_000
    assert sizes[-1] <= 1.2 * sizes[1]
    assert all(len(ring) <= KEPT_WINDOWS * window.blocks for ring, window in zip(pyramid.rings, WINDOWS, strict=True))


@given(irregular(), st.integers(0, 120))
def test_restored_blocks_continue_as_if_never_stopped(samples: Samples, stop: int) -> None:
    # GIVEN a run that stopped at a moment, of which the store holds the sealed blocks and the samples
    before, after = samples[: stop + 1], samples[stop + 1 :]
    _, sealed = fed(before)
    end_ms = max((block.start_ms + WINDOWS[0].span_s * 1000 for block in sealed[0]), default=0)
    # WHEN another takes the blocks, the samples since, and what comes
    other = Pyramid(WINDOWS)
    for level, blocks in enumerate(sealed):
        for block in blocks:
            other.restore(level, block)
    more = [
        (level, block)
        for sample in [s for s in before if s[0] >= end_ms] + after
        for level, block in other.add(*sample)
    ]
    # THEN it holds what the one that never stopped holds, and sealed what was missing
    straight, all_sealed = fed(samples)
    assert [(kept[:2], kept[3]) for kept in held(other)] == [(kept[:2], kept[3]) for kept in held(straight)]
    for level, blocks in enumerate(all_sealed):
        again = sealed[level] + [block for at, block in more if at == level]
        assert [without_median(block) for block in again] == [without_median(block) for block in blocks]
    assert [b for at, b in more if at == 0] == all_sealed[0][len(sealed[0]) :]


@pytest.mark.parametrize("stop", [3, 14, 37, 61, 118, 240, 333])
def test_longer_blocks_open_at_a_restart_are_completed(stop: int) -> None:
    samples = [(START_MS + at * 1000, float(at * 7919 % 1000)) for at in range(400)]
    test_restored_blocks_continue_as_if_never_stopped.hypothesis.inner_test(samples, stop)


@pytest.mark.parametrize(("first_n", "whole"), [(1, 1), (3, 1), (4, 0), (5, 0)])
def test_a_first_block_that_is_not_whole_does_not_count(first_n: int, whole: int) -> None:
    ring = Ring(WINDOWS[0])
    for at in range(30):
        ring.append(Block(START_MS + at * 5_000, first_n if not at else 5, 1.0, 1.0, 1.0, 1.0))
        if at == 7:
            assert ring.bounds() == (whole, whole)
    assert len(ring) == KEPT_WINDOWS * WINDOWS[0].blocks
    assert ring.bounds() == (0, 12), "that block has been dropped by now"


def test_a_gap_of_more_than_three_blocks_begins_anew_and_is_remembered() -> None:
    span_ms = WINDOWS[0].span_s * 1000
    for missing, kept in ((GAP_BLOCKS, 9), (GAP_BLOCKS + 1, 4)):
        # GIVEN five blocks at 100 and more, a hole, and four blocks above
        pyramid = Pyramid(WINDOWS)
        starts = [*range(5), *range(5 + missing, 10 + missing)]
        for at in starts:
            pyramid.add(START_MS + at * span_ms, 100.0 + at)
        # THEN a hole of three is borne and one of four is a new beginning that knows how high it has been
        ring = pyramid.ring(0)
        assert len(ring) == kept
        assert ring.known == (104.0 if kept == 4 else float("-inf"))


def test_a_new_segment_remembers_the_old_level_only_when_told() -> None:
    for remember in (True, False):
        pyramid, _ = fed([(START_MS + at * 5_000, 100.0 + at) for at in range(10)])
        pyramid.end_segment(remember=remember)
        assert len(pyramid.ring(0)) == 0
        assert pyramid.ring(0).known == (108.0 if remember else float("-inf"))


def test_the_block_a_segment_ends_in_is_not_joined_with_what_comes() -> None:
    pyramid = Pyramid(WINDOWS)
    pyramid.add(START_MS, 100.0)
    pyramid.end_segment(remember=True)
    pyramid.add(START_MS + 1000, 5.0)
    ((_, block),) = pyramid.add(START_MS + 5000, 6.0)
    assert block == Block(START_MS, 1, 5.0, 5.0, 5.0, 5.0)


@given(
    st.lists(st.integers(30, 900_000), min_size=1, max_size=8, unique=True),
    st.sampled_from([0.1, 0.5, 1.0, 2.5, 60.0]),
)
def test_windows_are_cut_in_about_twelve_whole_blocks(windows_s: list[int], interval_s: float) -> None:
    if min(windows_s) < BLOCKS_A_WINDOW * interval_s:
        return  # the configuration refuses it
    plan = plan_windows(tuple(windows_s), interval_s)
    assert [window.window_s for window in plan] == sorted(windows_s)
    for window in plan:
        assert window.span_s % plan[0].span_s == 0
        assert window.span_s >= interval_s
        assert BLOCKS_A_WINDOW * 0.6 <= window.blocks <= BLOCKS_A_WINDOW * 1.7
