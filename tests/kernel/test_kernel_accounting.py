"""The account of RAM, term by term: what overlaps in the kernel's counters is counted once, and all of it adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.kernel.account import REQUIRED, TITLES, Account, Readings, account_of, stacks_are_among

LEAST = dict.fromkeys(REQUIRED, 10) | {"MemTotal": 1000}
LRU = {"Active": 100, "Inactive": 50, "Unevictable": 0}


def account(vmalloc: int | None = 0, *, stacks: bool | None = True, **fields: int) -> Account:
    found = account_of(Readings(LEAST | fields, vmalloc, stacks))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("vmalloc", "fields", "rest"),
    [
        (0, {}, 940),
        (40, {}, 900),
        (40, {"KernelStack": 30}, 900),
        (20, {"KernelStack": 30}, 910),
        (0, {"HugePages_Total": 2, "Hugepagesize": 100}, 740),
        (0, {"HugePages_Total": 2, "Hugepagesize": 100, "Hugetlb": 300}, 640),
        (0, {"Zswap": 1, "Bounce": 8, "SecPageTables": 16, "Percpu": 32, "WritebackTmp": 64}, 819),
        (0, {"HardwareCorrupted": 40}, 900),
        (0, {"Unaccepted": 400}, 940),
        (0, {"KReclaimable": 25, "SReclaimable": 4}, 919),
        (0, {"SwapCached": 5}, 935),
    ],
)
def test_the_rest_term_by_term(vmalloc: int, fields: dict[str, int], rest: int) -> None:
    assert account(vmalloc, **fields).unaccounted_bytes == rest


def test_shared_memory_is_taken_out_of_the_page_cache() -> None:
    parts = account(Cached=500, Shmem=200).parts
    assert (parts["page_cache"], parts["shmem"]) == (300, 200)


@pytest.mark.parametrize(
    ("lists", "alone"),
    [
        ({"Active": 30, "Inactive": 0, "Unevictable": 0}, 0),  # all of it is mapped as well
        ({"Active": 30, "Inactive": 4, "Unevictable": 1}, 5),
        ({"Active": 100, "Inactive": 0, "Unevictable": 0}, 20),  # more than there is cannot be
    ],
)
def test_of_the_swap_cache_counts_what_is_in_no_program(lists: dict[str, int], alone: int) -> None:
    found = account(SwapCached=20, **lists)
    assert found.parts["swap_cache"] == alone
    assert not found.doubts


def test_a_swap_cache_whose_overlap_is_not_told_is_a_doubt() -> None:
    found = account(SwapCached=20)
    assert [doubt.size_bytes for doubt in found.doubts] == [20]


def test_stacks_outside_of_vmalloc_are_not_taken_from_it() -> None:
    assert account(40, stacks=False, KernelStack=30).parts["vmalloc"] == 40
    assert account(40, stacks=True, KernelStack=30).parts["vmalloc"] == 10
    unknown = account(40, stacks=None, KernelStack=30)
    assert unknown.parts["vmalloc"] == 10
    assert unknown.uncertainty_bytes == 30


@pytest.mark.parametrize(
    ("callers", "among"),
    [({"kernel_clone": 90, "load_module": 5}, True), ({"copy_process": 10, "load_module": 500}, False), ({}, False)],
)
def test_stacks_are_in_vmalloc_where_its_callers_say_so(callers: dict[str, int], *, among: bool) -> None:
    assert stacks_are_among(callers, 100) is among


def test_zsmalloc_holds_zswap_and_zram() -> None:
    found = account_of(Readings(LEAST | {"Zswap": 30}, 0, zspages_bytes=50))
    assert found is not None
    assert found.parts["compressed_swap"] == 50


@pytest.mark.parametrize(("balloon", "counted"), [(300, True), (2000, False)])
def test_a_balloon_counts_where_the_rest_has_room_for_it(balloon: int, *, counted: bool) -> None:
    """A balloon of virtio has taken its pages out of MemTotal, so they cannot be in it as well."""
    found = account(Balloon=balloon)
    assert ("balloon" in found.parts) is counted
    assert found.unaccounted_bytes == (640 if counted else 940)
    assert found.uncertainty_bytes == balloon


def test_what_the_counters_may_lag_is_the_uncertainty() -> None:
    found = account_of(Readings(LEAST, 0, node_lag_bytes=10, zone_lag_bytes=100, moved_bytes=7))
    assert found is not None
    assert found.uncertainty_bytes == 6 * 10 + 2 * 100 + 7
    assert all(doubt.reason for doubt in found.doubts)


@pytest.mark.parametrize("missing", REQUIRED)
def test_without_a_term_there_is_no_account(missing: str) -> None:
    fields = {name: value for name, value in LEAST.items() if name != missing}
    assert account_of(Readings(fields, 0)) is None


def test_without_vmalloc_there_is_no_account_but_a_part_of_one() -> None:
    assert account_of(Readings(LEAST, None)) is None
    found = account_of(Readings(LEAST, None), partly=True)
    assert found is not None
    assert "vmalloc" not in found.parts
    assert found.uncertainty_bytes == found.unaccounted_bytes == 940


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("shmem", "Shmem"), ("hugetlb", "HugePages_Total"), ("kernel_stacks", "KernelStack"), ("percpu", "Percpu"),
        ("slab_reclaimable", "SReclaimable"), ("secondary_page_tables", "SecPageTables"), ("bounce", "Bounce"),
        ("kernel_reclaimable", "KReclaimable"), ("swap_cache", "SwapCached"), ("poisoned", "HardwareCorrupted"),
    ],
)  # fmt: skip
def test_a_line_that_is_missing_is_no_zero(part: str, field: str) -> None:
    assert part not in account().parts
    assert account(**{field: 0}).parts[part] == 0


def test_what_zswap_does_not_hold_may_be_in_zram() -> None:
    assert "compressed_swap" not in account(Zswap=0).parts
    assert account(Zswap=5).parts["compressed_swap"] == 5


FIELDS = sorted({
    *REQUIRED, *LRU, "Shmem", "SReclaimable", "KReclaimable", "KernelStack", "SwapCached", "Percpu", "Hugetlb", "Zswap",
    "Balloon", "SecPageTables", "WritebackTmp", "HardwareCorrupted", "Bounce",
})  # fmt: skip


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, st.integers(0, 1 << 50))), st.integers(0, 1 << 50))
def test_it_adds_up_whatever_the_counters_say(fields: dict[str, int], vmalloc: int) -> None:
    found = account_of(Readings(fields, vmalloc, cpu_lists_bytes=5, zspages_bytes=7))
    assert found is not None
    assert sum(found.parts.values()) + found.unaccounted_bytes == found.total_bytes + found.excess_bytes
    assert min(found.unaccounted_bytes, found.excess_bytes) == 0
    assert all(size >= 0 for size in found.parts.values())
    assert list(found.parts) == [name for name in TITLES if name in found.parts]
