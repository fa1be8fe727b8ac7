"""``smaps`` by what is mapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid import mappings, smaps
from leakwatch.procfs.pid.mappings import ANONYMOUS, NameUse

KIB = 1024
TREES = Path(__file__).parents[1] / "data" / "proc"
RECORDED = [
    path for path in sorted(TREES.glob("*/proc/[0-9]*/smaps")) if path.stat().st_size
]  # kernel threads have none
SIZES = b"""Size:               %d kB
Rss:                  20 kB
Pss:                  10 kB
Private_Clean:         4 kB
Private_Dirty:         2 kB
Private_Hugetlb:       1 kB
Swap:                  3 kB
VmFlags: rd ex
"""


def mapping(name: bytes, size_kib: int = 40) -> bytes:
    end = b"%x" % (0xB6D6E000 + size_kib * KIB)
    return b"b6d6e000-" + end + b" r-xp 00000000 b3:02 310        " + name + b"\n" + SIZES % size_kib


def test_mappings_of_one_name_are_summed_wherever_they_stand() -> None:
    found = mappings.parse_names(mapping(b"/lib/a.so") + mapping(b"[heap]") + mapping(b"/lib/a.so", 8))
    assert list(found) == ["/lib/a.so", "[heap]"]
    assert found["/lib/a.so"] == NameUse(
        mappings=2,
        vss_bytes=48 * KIB,
        rss_bytes=40 * KIB,
        pss_bytes=20 * KIB,
        uss_bytes=14 * KIB,
        swap_bytes=6 * KIB,
    )


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        (b"", ANONYMOUS),
        (b"/tmp/with blanks (deleted)", "/tmp/with blanks (deleted)"),
        (b"/tmp/forged\\012Pss:   99 kB", "/tmp/forged\nPss:   99 kB"),
        (b"/tmp/\xff", "/tmp/\udcff"),
        (b"[anon:a: 1-2 kB]", "[anon:a: 1-2 kB]"),
    ],
)
def test_a_name_is_whatever_stands_behind_the_inode(name: bytes, known_as: str) -> None:
    found = mappings.parse_names(mapping(name))
    assert {key: use.pss_bytes for key, use in found.items()} == {known_as: 10 * KIB}


def test_given_a_kernel_without_swap_or_hugetlb_lines_swap_is_none_not_zero() -> None:
    old = b"".join(
        line for line in mapping(b"x").splitlines(keepends=True) if not line.startswith((b"Swap", b"Private_H"))
    )
    use = mappings.parse_names(old)["x"]
    assert (use.swap_bytes, use.uss_bytes) == (None, 6 * KIB)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"nothing of the kind\n",
        mapping(b"a") + mapping(b"b")[:-60],
        mapping(b"a")[:90],
        mapping(b"a", -8),
        mapping(b"a", 1 << 48),
    ],
)
def test_a_file_that_is_none_or_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        mappings.parse_names(data)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}")
def test_recorded_files_sum_up_to_what_the_other_parser_finds(path: Path) -> None:
    data = path.read_bytes()
    names, whole = mappings.parse_names(data), smaps.parse_smaps(data)
    for field in ("rss_bytes", "pss_bytes", "uss_bytes", "swap_bytes", "mappings"):
        assert sum(getattr(use, field) for use in names.values()) == getattr(whole, field), field


@given(cut=st.integers(0, 6000), size=st.integers(0, 200), piece=st.binary(max_size=40))
@settings(deadline=None)
def test_damaged_files_are_read_or_refused(cut: int, size: int, piece: bytes) -> None:
    data = (TREES / "linux-6.18-x86_64/proc/18676/smaps").read_bytes()[:6000]
    try:
        found = mappings.parse_names(data[:cut] + piece + data[cut + size :])
    except MalformedError:
        return
    assert all(0 <= use.vss_bytes < 2**63 for use in found.values())
