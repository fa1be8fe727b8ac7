"""Fixtures more than one package's tests use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


# Built on the profile Hypothesis chose: with CI set, every run tries the same examples.
settings.register_profile("leakwatch", examples(50))
settings.load_profile("leakwatch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes for one thing, unless all is asked for."""
    if os.environ.get("LEAKWATCH_TEST_ALL") != "1":
        skip = pytest.mark.skip(reason="takes minutes: LEAKWATCH_TEST_ALL=1 runs it, too")
        for item in items:
            if item.get_closest_marker("whole"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Let hostile names that a test has logged pass from a worker: as UTF-8, which has no surrogates."""
    report: pytest.TestReport = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


PROC_TREES = Path(__file__).parent / "data" / "proc"


@pytest.fixture
def proc_tree(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a recorded tree (``linux-6.18-x86_64``) and returns its /proc, to read or change.

    Its /sys lies beside it. The copy has the links an archive cannot hold.
    """

    def copy(name: str) -> Path:
        tree = tmp_path / name
        shutil.copytree(PROC_TREES / name, tree)
        for note in tree.glob("proc/*/exe.link"):
            note.with_name("exe").symlink_to(note.read_text())
        return tree / "proc"

    return copy
