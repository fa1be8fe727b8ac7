"""What must have become of a process since its last full read, and by how much that can be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.collectors.processes.estimate import (
    NO_HABIT,
    CowModel,
    FullRead,
    Since,
    estimated,
    full_read,
    learnt,
    learnt_gap,
    possible_error,
)
from leakwatch.procfs.pid.smaps import MemoryUse

PAGE = 4096
MIB_PAGES = 256


def use(private: int, shared: int = 0, sharers: int = 1, file: int = 0, *, divided: bool = True) -> MemoryUse:
    """Return the read of a process with so many pages of its own, shared after forks, and of files of its own."""
    anonymous, pss = private + shared, private + shared // sharers
    return MemoryUse(
        rss_bytes=(anonymous + file) * PAGE,
        pss_bytes=(pss + file) * PAGE,
        uss_bytes=(private + file) * PAGE,
        swap_bytes=0,
        swap_pss_bytes=0,
        anonymous_bytes=anonymous * PAGE,
        pss_anon_bytes=pss * PAGE if divided else None,
        mappings=None,
    )


def test_without_a_move_the_values_are_those_read_and_nothing_can_be_wrong() -> None:
    full = full_read(use(1000, file=50), PAGE)
    now = estimated(full, Since(), NO_HABIT, PAGE)
    assert (now.uss, now.pss, now.rss, now.swap) == (1050 * PAGE, 1050 * PAGE, 1050 * PAGE, 0)
    assert possible_error(full, Since(), NO_HABIT, 0.0) == 0


def test_anonymous_memory_is_followed_to_the_page() -> None:
    now = estimated(full_read(use(1000), PAGE), Since(anonymous=-300, resident=-300), NO_HABIT, PAGE)
    assert (now.uss, now.pss, now.rss) == (700 * PAGE, 700 * PAGE, 700 * PAGE)


def test_no_value_falls_below_zero() -> None:
    now = estimated(full_read(use(10), PAGE), Since(anonymous=-300, resident=-300, swap_bytes=-5), NO_HABIT, PAGE)
    assert (now.uss, now.pss, now.rss, now.swap) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("since", "gap", "pages"),
    [
        (Since(shared_moves=40), 0.0, 40),  # whose pages of files those are nobody knows: the whole amount
        (Since(resident=40), 0.0, 0),
        (Since(anonymous=6400), 0.0, 100),  # what grew far is verified
        (Since(anonymous=-6400), 0.0, 100),
        (Since(), 30.0, 60),  # twice the gap between statm and the rollup
        (Since(upset=500), 0.0, 500),
        (Since(own_faults=500, siblings_faults=500), 0.0, 0),  # nothing is shared: these were allocations
        (Since(shared_moves=1, anonymous=64, upset=1), 1.0, 5),
    ],
)
def test_the_error_that_is_possible_term_by_term(since: Since, gap: float, pages: int) -> None:
    assert possible_error(full_read(use(1000), PAGE), since, NO_HABIT, gap) == pages


@given(private=st.integers(0, 10_000), shared=st.integers(1, 10_000), sharers=st.integers(2, 64))
def test_pages_shared_after_a_fork_are_recognised_with_their_sharers(private: int, shared: int, sharers: int) -> None:
    full = full_read(use(private, shared * sharers, sharers), PAGE)
    assert full.cow == shared * sharers
    assert full.sharers == pytest.approx(sharers)


@given(
    private=st.integers(0, 10_000), shared=st.integers(1, 10_000), sharers=st.integers(2, 64), file=st.integers(0, 9)
)
def test_files_of_its_own_hide_few_of_the_shared_pages(private: int, shared: int, sharers: int, file: int) -> None:
    full = full_read(use(private, shared * sharers, sharers, file), PAGE)
    assert shared * sharers - file <= full.cow <= shared * sharers


def test_before_5_3_what_is_shared_is_what_anonymous_memory_exceeds_the_private() -> None:
    full = full_read(use(100, 900, 3, divided=False), PAGE)
    assert (full.cow, full.sharers) == (900, 2.0)


def test_own_writes_to_shared_pages_are_doubted_until_their_habit_is_known() -> None:
    full, since = full_read(use(100, 9000, 9), PAGE), Since(own_faults=200)
    assert possible_error(full, since, NO_HABIT, 0.0) == 200
    assert estimated(full, since, NO_HABIT, PAGE).uss == 100 * PAGE
    # every fault has copied a page, twice over: the third time that is what is expected
    habit = learnt(NO_HABIT, full, since, use(300, 8800, 9), PAGE)
    habit = learnt(habit, full, since, use(300, 8800, 9), PAGE)
    assert (habit.own, habit.own_unsure) == (1.0, 1 / 8)
    assert estimated(full, since, habit, PAGE).uss == 300 * PAGE
    assert possible_error(full, since, habit, 0.0) == 25


def test_allocations_that_are_freed_again_are_learnt_to_copy_nothing() -> None:
    full, since = full_read(use(100, 9000, 9), PAGE), Since(own_faults=5000)
    habit = learnt(CowModel(own=1.0), full, since, use(100, 9000, 9), PAGE)
    habit = learnt(habit, full, since, use(100, 9000, 9), PAGE)
    assert (habit.own, habit.own_unsure) == (0.0, 1 / 8)


@pytest.mark.parametrize(("sharers", "pages"), [(2, 400), (3, 200), (5, 100)])
def test_a_page_is_mine_alone_when_all_others_have_left_it(sharers: int, pages: int) -> None:
    full = full_read(use(100, 1000 * sharers, sharers), PAGE)
    assert possible_error(full, Since(siblings_faults=400), NO_HABIT, 0.0) == pages


def test_no_more_than_what_is_shared_can_become_mine() -> None:
    full = full_read(use(100, 300, 2), PAGE)
    assert possible_error(full, Since(own_faults=9999, siblings_faults=9999), NO_HABIT, 0.0) == 300


def test_freed_pages_of_a_sharing_process_may_have_been_shared() -> None:
    full = full_read(use(1000, 300, 2), PAGE)
    assert possible_error(full, Since(anonymous=-200), NO_HABIT, 0.0) == 200 + 200 // 64


def test_the_gap_is_that_to_the_nearer_look_and_wears_off() -> None:
    assert learnt_gap(0.0, 1000, 900, 990) == 10
    assert learnt_gap(100.0, 1000, 900, 1000) == 75


def test_swap_moves_with_vmswap() -> None:
    full = FullRead(use(100), 0, 2.0)
    assert estimated(full, Since(swap_bytes=8192), NO_HABIT, PAGE).swap == 8192
