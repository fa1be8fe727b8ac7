"""Files of names and numbers, such as ``memory.stat``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.procfs import files
from leakwatch.procfs.files import MalformedError

WANTED = (b"anon", b"oom_kill")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"anon 5\nfile 6\noom_kill 7\n", {"anon": 5, "oom_kill": 7}),
        (b"file 6\n", {}),
        (b"", {}),
        (b"total_anon 5\nanon_thp 6\n", {}),  # a name is the whole word
        (b"odd -3\nanon 5\n", {"anon": 5}),  # what is not asked for need not make sense
    ],
)
def test_what_is_asked_for_and_there_is_found(data: bytes, found: dict[str, int]) -> None:
    assert files.parse_flat_keyed(data, WANTED) == found


@pytest.mark.parametrize("data", [b"nonsense\n", b"anon -1\n", b"anon max\n", b"anon 99999999999999999999\n"])
def test_another_format_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        files.parse_flat_keyed(data, WANTED)


@given(st.binary(max_size=200))
def test_any_bytes_give_numbers_or_are_malformed(data: bytes) -> None:
    try:
        found = files.parse_flat_keyed(data, WANTED)
    except MalformedError:
        return
    assert all(value >= 0 for value in found.values())
