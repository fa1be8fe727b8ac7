"""What part of a leaking program grows, as the daemon finds it: stored, told by report and explain, over a restart."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch.model.memory_class import title
from tests.e2e.e2e_tools import Child, Daemon, Workload, by_pid, report, run_command, wait_for, write_config

if TYPE_CHECKING:
    from collections.abc import Mapping

# after the long run: its daemon would take ours for its own service, and what we leak for what leaks there
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.usefixtures("quiet_kernel")]

SOURCE = Path(__file__).parents[1] / "maps" / "class_leaker.c"
FAST = """\
[sampling]
interval = "0.5s"
cpu_budget = 0.05
[analysis]
windows = ["12s", "24s"]
[store]
url = "sqlite:///{store}"
"""
"""Judges a leak after about 12 seconds, with the time to look into every suspect."""
RATE = 400_000
C_CLASSES = {
    "heap": "heap",
    "arenas": "arenas",
    "stacks": "thread_stacks",
    "mmap": "anonymous",
    "memfd": "memfd:leaky",
}
LOOKS = 4

Start = Callable[..., Daemon]


@pytest.fixture
def leakers(tmp_path: Path, children: list[Child], workload: object) -> dict[str, Workload]:
    """Return a running leaker of each class, each a program of its own name; ``workload`` says where that is told."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    found = {}
    for kind in C_CLASSES:
        program = tmp_path / f"leak-{kind}"
        subprocess.run([compiler, "-O0", "-pthread", "-o", program, SOURCE], check=True)
        found[kind] = Workload([program, kind, str(RATE)], tmp_path / kind, cwd=tmp_path)
        children.append(found[kind])
        assert not found[kind].refusal, found[kind].refusal
    found["python"] = python = start_python(tmp_path)
    children.append(python)
    return found


def start_python(directory: Path) -> Workload:
    """Return a Python program that keeps small objects, which its own allocator maps."""
    code = (
        "import select, sys\nkept = []\nprint('ready', flush=True)\n"
        "while not select.select([sys.stdin], [], [], 0.1)[0]:\n"
        f"    kept.extend([bytes(400) for _ in range({RATE // 4320})])"
    )
    python = shutil.which("python3") or ""
    return Workload([python, "-c", code], directory / "python", cwd=directory)


CLASSES = C_CLASSES | {"python": "anonymous"}


def growing(found: Mapping[str, Any], pid: int) -> dict[str, Any]:
    told: dict[str, Any] = by_pid(found, pid)["growing"] or {"looks": 0, "classes": []}
    return told


def all_looked_into(config: Path, leakers: Mapping[str, Workload], looks: int) -> bool:
    found = report(config)  # without findings before the first evaluation
    return bool(found["findings"]) and all(growing(found, one.pid)["looks"] >= looks for one in leakers.values())


def test_of_each_leaker_the_class_that_grows_is_named_and_goes_on_after_a_restart(
    tmp_path: Path, daemon: Start, leakers: dict[str, Workload]
) -> None:
    config = write_config(tmp_path, FAST)
    first = daemon(config)
    first.wait_until_scraped()
    wait_for("every leaker was looked into", lambda: all_looked_into(config, leakers, LOOKS), 120)
    code, _ = first.stop(signal.SIGTERM)
    assert code == 0, first.log
    before = report(config)
    for kind, one in leakers.items():
        check(before, one.pid, CLASSES[kind])
    check_words(config, leakers["heap"].pid, CLASSES["heap"])
    second = daemon(config)
    more = {kind: growing(before, one.pid)["looks"] + 1 for kind, one in leakers.items()}
    wait_for(
        "the looks go on",
        lambda: all(growing(report(config), one.pid)["looks"] >= more[kind] for kind, one in leakers.items()),
        120,
    )
    after = report(config)
    for kind, one in leakers.items():
        check(after, one.pid, CLASSES[kind])
        assert growing(after, one.pid)["first_at"] == growing(before, one.pid)["first_at"], kind
    second.stop(signal.SIGTERM)
    only_processes_are_judged(after)


def check(found: Mapping[str, Any], pid: int, expected: str) -> None:
    one = by_pid(found, pid)
    assert one["verdict"] in ("watch", "leak"), one
    told = one["growing"]
    first = told["classes"][0]
    assert first["class"] == expected, told
    assert first["share"] > 0.8, told
    assert first["slope_bytes_per_hour"] == pytest.approx(one["slope_bytes_per_hour"], rel=0.35), one
    assert sum(part["held_bytes"] for part in told["classes"]) <= one["current_bytes"] * 1.3


def check_words(config: Path, pid: int, expected: str) -> None:
    """The same in a report and an explanation for people."""
    said = run_command("report", "--config", config, "--pid", str(pid), "--verdict", "all").stdout
    assert f"    grows: {title(expected)}, +" in said, said
    explained = run_command("explain", "--config", config, str(pid)).stdout
    table = explained.partition("What grows, by ")[2].splitlines()
    assert table[1].split()[0] == "class"
    assert table[2].strip().startswith(title(expected)), explained
    as_json = json.loads(run_command("explain", "--config", config, str(pid), "--format", "json").stdout)
    assert as_json["growing"]["classes"][0]["class"] == expected


def only_processes_are_judged(found: Mapping[str, Any]) -> None:
    """A class is evidence, never a finding of its own."""
    assert not [one for one in found["findings"] if one["metric"].startswith("class.")]
