"""Want of memory: known by every name it has, and seen before work begins."""

from __future__ import annotations

import pytest

from leakwatch.errors import NoResourcesError
from leakwatch.system.shortage import MemoryFor

NAMES = (
    MemoryError(),
    RuntimeError("can't start new thread"),
    RuntimeError("can't allocate lock"),
    SystemError("error return without exception set"),
    ImportError("libopenblas.so: failed to map segment from shared object"),
    OSError(12, "Cannot allocate memory"),
    NoResourcesError("too little memory"),
)


@pytest.mark.parametrize("error", NAMES, ids=lambda error: type(error).__name__)
def test_want_of_memory_says_what_to_do_by_whatever_name_it_comes(error: Exception) -> None:
    with (
        pytest.raises(NoResourcesError, match=r"too little memory for a scrape; allow .*ulimit -v"),
        MemoryFor("a scrape"),
    ):
        raise error


def test_a_defect_is_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="dictionary changed"), MemoryFor("a scrape"):
        raise RuntimeError("dictionary changed size during iteration")


def test_work_does_not_begin_where_there_is_no_room() -> None:
    done = []
    with pytest.raises(NoResourcesError, match="too little memory for verdicts"), MemoryFor("verdicts", 1 << 62):
        done.append(True)
    assert not done
