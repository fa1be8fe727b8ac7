"""What a daemon says of a service with a real control group and a limit: what it holds, and that it was OOM killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.e2e_tools import report, run_command, wait_for, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.e2e_tools import Daemon

# after the long run: its daemon would take ours for its own service, and what we leak for what leaks there
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.root, pytest.mark.usefixtures("quiet_kernel")]

MIB = 1 << 20
LIMIT, HELD = 96 * MIB, 40 * MIB
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
CONFIG = """\
[sampling]
interval = "500ms"
slow_every = 2
[analysis]
windows = ["10s", "20s"]
[store]
url = "sqlite:///{store}"
"""
GREEDY = f"""\
import sys
open(sys.argv[1], "w").write("0")
kept = [bytearray(b"x") * {HELD}]
print("ready", flush=True)
sys.stdin.readline()
while True:
    kept.append(bytearray(b"x") * (4 << 20))
"""


class Unit:
    """A control group called like a unit, with a limit, made and removed as systemd does."""

    def __init__(self) -> None:
        self.name = f"leakwatch-e2e-{os.getpid()}.service"
        self.version = 1 if (V1 / "memory.limit_in_bytes").exists() else 2
        self.path = (V1 if self.version == 1 else V2) / self.name
        self.process: subprocess.Popen[str] | None = None

    def make(self) -> None:
        self.path.mkdir()
        (self.path / ("memory.limit_in_bytes" if self.version == 1 else "memory.max")).write_text(str(LIMIT))

    def start(self) -> None:
        """Start its process, which holds what it holds."""
        pipe, argv = subprocess.PIPE, [sys.executable, "-c", GREEDY, str(self.path / "cgroup.procs")]
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def be_killed(self) -> None:
        """Have its process take more than is allowed."""
        assert self.process is not None
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == -9

    def remove(self) -> None:
        for _ in range(100):
            with suppress(OSError):
                self.path.rmdir()
            if not self.path.exists():
                return
            time.sleep(0.02)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.remove()


@pytest.fixture
def unit() -> Iterator[Unit]:
    if os.geteuid() != 0:
        pytest.skip("making a control group needs root")
    one = Unit()
    if one.version == 2 and "memory" not in (V2 / "cgroup.subtree_control").read_text().split():
        pytest.skip("no memory controller to make a group with")
    try:
        one.make()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    yield one
    one.end()


def kills(config: Path, unit: Unit) -> dict[str, Any]:
    found = [one for one in report(config)["oom_kills"] if one["service"] == unit.name]
    return found[0] if found else {"count": 0}


def whose(config: Path, unit: Unit) -> dict[str, Any] | None:
    found = [one["whose"] for one in report(config)["findings"] if one["service"] == unit.name]
    return found[0] if found else None


def test_a_service_with_a_limit_from_its_memory_to_its_kills(
    tmp_path: Path, unit: Unit, daemon: Callable[..., Daemon]
) -> None:
    config = write_config(tmp_path, CONFIG)
    unit.start()
    running = daemon(config)
    running.wait_until_scraped()

    # What its group holds, against its limit, is in the report and in the explanation.
    wait_for("a finding with its control group", lambda: (whose(config, unit) or {}).get("current_bytes"))
    found = whose(config, unit)
    assert found is not None
    assert found["cgroups"] == [f"/{unit.name}"]
    assert found["limit_bytes"] == LIMIT
    assert HELD <= found["anon_bytes"] <= found["current_bytes"] <= found["peak_bytes"] <= LIMIT
    assert found["oom_kills"] is None
    said = run_command("explain", unit.name, "--config", config).stdout
    assert f"of /{unit.name} · control group: " in said
    assert "of 96.0 MiB allowed, peak " in said

    # A kill the group itself counts is certain.
    unit.be_killed()
    wait_for("the first kill", lambda: kills(config, unit)["count"] == 1)
    assert kills(config, unit)["certain"] is True
    assert f"killed 1 process of {unit.name}; its control group's limit is 96.0 MiB" in running.log

    # One while nobody watches is found at the next start, where the group is still there.
    running.end()
    unit.start()
    unit.be_killed()
    unit.start()
    running = daemon(config)
    wait_for("the second kill", lambda: kills(config, unit)["count"] == 2)

    # And one whose group is made anew at once, as systemd does, is told by what is left.
    wait_for("the group is known again", lambda: (whose(config, unit) or {}).get("anon_bytes", 0) >= HELD)
    time.sleep(2)
    unit.be_killed()
    unit.remove()
    unit.make()
    wait_for("the third kill", lambda: kills(config, unit)["count"] == 3)
    assert kills(config, unit)["certain"] is False
    text = run_command("report", "--config", config).stdout
    assert f"OOM killed by the kernel: {unit.name} 3 times since " in text
