"""``smaps_rollup`` and ``smaps``: one record from both."""

from __future__ import annotations

import pytest

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid import smaps

ROLLUP = b"""5555c7f9e000-7ffd4b47d000 ---p 00000000 00:00 0                          [rollup]
Rss:                1492 kB
Pss:                 252 kB
Pss_Anon:             96 kB
Shared_Clean:       1396 kB
Shared_Dirty:          0 kB
Private_Clean:         8 kB
Private_Dirty:        88 kB
Anonymous:           100 kB
Private_Hugetlb:    2048 kB
Swap:                 12 kB
SwapPss:               6 kB
"""
MAPPING = b"""01a2c000-02a2c000 rw-p 00000000 00:00 0          [heap]
Size:              16384 kB
Rss:               15000 kB
Pss:               14000 kB
Private_Clean:         4 kB
Private_Dirty:     13000 kB
Anonymous:         13500 kB
Swap:                  8 kB
VmFlags: rd wr mr mw me ac\x20
"""
LIBRARY = b"""b6d6e000-b6ea8000 r-xp 00000000 b3:02 310 /lib/a file with Rss: 9 kB\\012Pss: 3 kB
Size:               1256 kB
Rss:                 720 kB
Pss:                  33 kB
Private_Clean:         0 kB
Private_Dirty:         4 kB
Anonymous:             4 kB
Swap:                  0 kB
VmFlags: rd ex
"""


def test_given_a_rollup_uss_is_private_memory_with_huge_pages() -> None:
    assert smaps.parse_rollup(ROLLUP) == smaps.MemoryUse(
        rss_bytes=1492 * 1024,
        pss_bytes=252 * 1024,
        uss_bytes=(8 + 88 + 2048) * 1024,
        swap_bytes=12 * 1024,
        swap_pss_bytes=6 * 1024,
        anonymous_bytes=100 * 1024,
        pss_anon_bytes=96 * 1024,
        mappings=None,
    )


def test_given_a_kernel_without_a_field_it_is_none_not_zero() -> None:
    old = b"".join(
        line
        for line in ROLLUP.splitlines(keepends=True)
        if not line.startswith((b"Pss_Anon", b"SwapPss", b"Private_H"))
    )
    use = smaps.parse_rollup(old)
    assert (use.pss_anon_bytes, use.swap_pss_bytes, use.uss_bytes) == (None, None, 96 * 1024)


def test_given_smaps_all_mappings_are_summed() -> None:
    assert smaps.parse_smaps(MAPPING + LIBRARY) == smaps.MemoryUse(
        rss_bytes=15720 * 1024,
        pss_bytes=14033 * 1024,
        uss_bytes=13008 * 1024,
        swap_bytes=8 * 1024,
        swap_pss_bytes=None,
        anonymous_bytes=13504 * 1024,
        pss_anon_bytes=None,
        mappings=2,
    )


def test_given_smaps_cut_anywhere_within_a_mapping_it_is_malformed_rather_than_too_small() -> None:
    whole = MAPPING + LIBRARY
    last_size = whole.rindex(b"Swap:")
    for end in range(len(MAPPING) + len(b"b6d6e000-b6ea8000 "), last_size):
        with pytest.raises(MalformedError):
            smaps.parse_smaps(whole[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        ROLLUP.partition(b"\n")[2],
        ROLLUP.partition(b"\n")[0],
        ROLLUP[:-40],
        ROLLUP.replace(b"252 kB", b"252 MB"),
        ROLLUP.replace(b"252 kB", b"-252 kB"),
        ROLLUP.replace(b"252 kB", b"2_52 kB"),
        ROLLUP.replace(b"252 kB", b"9" * 16 + b" kB"),
        ROLLUP.replace(b"Rss:", b"Rs:"),
        ROLLUP.replace(b"Private_Dirty:", b"Private_Dirt:"),
        MAPPING,
    ],
)
def test_given_something_else_the_rollup_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        smaps.parse_rollup(data)


@pytest.mark.parametrize("data", [b"", b"hello\n", MAPPING.partition(b"\n")[2], MAPPING.replace(b"Rss:", b"Rs:")])
def test_given_something_else_smaps_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        smaps.parse_smaps(data)
