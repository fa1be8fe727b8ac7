"""What a daemon says of real programs under a steady load: none of them leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.e2e_tools import by_pid

if TYPE_CHECKING:
    from tests.e2e.e2e_shared import SharedRun

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.parametrize("name", ["redis", "node", "java"])
def test_a_program_at_work_is_no_leak(shared_run: SharedRun, name: str) -> None:
    shared_run.require(name)
    program = shared_run.programs[name]
    found = by_pid(shared_run.report, program.pid)
    print(name, found["verdict"], found["slope_bytes_per_hour"], found["reason"])
    assert found["verdict"] != "leak", found
    assert not [line for line in shared_run.daemon.announced() if f"(pid {program.pid}" in line]
