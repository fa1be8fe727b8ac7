"""Who shares pages with whom after a fork."""

from __future__ import annotations

import pytest

from leakwatch.collectors.processes.tracked_process import Parentage, families

Tree = dict[int, tuple[int, int]]


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ({10: (1, 10), 11: (10, 10), 12: (10, 10)}, [{10, 11, 12}]),
        ({10: (5, 5), 11: (10, 5), 20: (5, 5), 21: (20, 5)}, [{10, 11}, {20, 21}]),  # of one parent that shares nothing
        ({11: (10, 10), 12: (10, 10)}, [{11}, {12}]),
        ({11: (1, 10), 12: (1, 10), 13: (1, 13)}, [{11, 12}, {13}]),  # orphans, by their process group
        ({13: (12, 10), 12: (11, 10), 11: (1, 10)}, [{11, 12, 13}]),
        ({}, []),
    ],
)
def test_families(sharing: Tree, expected: list[set[int]]) -> None:
    found = families({pid: Parentage(*of) for pid, of in sharing.items()})
    assert set(found.values()) == {frozenset(family) for family in expected}
    assert all(pid in family for pid, family in found.items())
    assert found.keys() == sharing.keys()
