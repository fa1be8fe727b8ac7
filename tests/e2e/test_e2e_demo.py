"""``leakwatch demo`` as a newcomer runs it: it finds its leaks, and nothing of it stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.e2e_tools import (
    PATIENCE_S,
    Child,
    User,
    alone_in_cgroup,
    become,
    kernel_is_ours,
    processes_with,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.slow]
DEMO_S = 180


def message_queues() -> str:
    file = Path("/proc/sysvipc/msg")
    return file.read_text() if file.exists() else ""


def left_behind(directory: Path, marker: str, queues: str) -> list[str]:
    """Return what a demo left behind in its directory, among processes and in the kernel."""
    found = [str(path) for path in directory.glob("leakwatch-demo-*")]
    found += [f"pid {pid}" for pid in processes_with(marker)]
    return found + (["message queues"] if message_queues() != queues else [])


@dataclass
class Demo:
    """A demo with its output in a file, and what tells its processes from others."""

    user: User
    directory: Path
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    queues: str = field(default_factory=message_queues)

    def __post_init__(self) -> None:
        self.output = self.directory / f"{self.marker}.output"
        mine = {"TMPDIR": str(self.directory), "LEAKWATCH_E2E": self.marker, "PYTHONUNBUFFERED": "1"}
        options = self.user.popen_options()
        argv = [self.user.python, "-m", "leakwatch", "demo"]
        if alone := alone_in_cgroup():
            argv, options = [*alone, *become(options), *argv], {}
        with self.output.open("wb") as file:
            self.child = Child(
                argv,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env=self.user.environment() | mine,
                start_new_session=True,
                **options,
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def end(self) -> None:
        """End it and whatever it did not end itself."""
        self.child.end()
        for pid in processes_with(self.marker):
            os.kill(pid, signal.SIGKILL)

    def leaves_nothing(self) -> bool:
        return not left_behind(self.directory, self.marker, self.queues)


@pytest.fixture(scope="module")
def whole(
    quiet_kernel: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Demo | str]]:
    """Return a demo of ours and one of nobody's, at work at the same time; or why there is none."""
    demos: dict[str, Demo | str] = {"ourselves": "another run of these tests is making the kernel leak"}
    if os.geteuid() != 0 or kernel_is_ours():
        demos["ourselves"] = Demo(User(), tmp_path_factory.mktemp("demo"))
    try:
        nobody: User = request.getfixturevalue("nobody")
        assert nobody.home is not None
        demos["nobody"] = Demo(nobody, nobody.home)
    except pytest.skip.Exception as reason:
        demos["nobody"] = str(reason)
    yield demos
    for demo in demos.values():
        if isinstance(demo, Demo):
            demo.end()


@pytest.mark.parametrize("who", ["ourselves", "nobody"])
def test_it_finds_what_leaks_and_leaves_nothing(whole: dict[str, Demo | str], who: str) -> None:
    demo = whole[who]
    if isinstance(demo, str):
        pytest.skip(demo)
    code = demo.child.process.wait(DEMO_S)
    text = demo.text
    print(text)
    assert "Traceback" not in text
    assert code == 0
    assert "As it should be" in text
    assert "\n    next: leakwatch maps " in text
    own = re.search(r"^leakwatch itself uses .*; its own verdict: (\w+)", text, re.MULTILINE)
    assert own is not None
    assert own[1] != "leak"
    if who == "nobody":
        assert "no leak in the kernel this time" in text
    elif os.access("/proc/slabinfo", os.R_OK):
        assert "the leak in the kernel" in text or "no leak in the kernel this time: unshare" in text
    wait_for("nothing is left", demo.leaves_nothing)


@pytest.fixture
def demo(quiet_kernel: None, tmp_path: Path) -> Iterator[Demo]:
    """Return a demo whose daemon samples."""
    started = Demo(User(), tmp_path)
    try:
        wait_for("the daemon samples", lambda: "sampling every" in started.text)
        time.sleep(0.5)
        yield started
    finally:
        started.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("whom", ["all", "demo"])
def test_interrupted_it_leaves_nothing_either(demo: Demo, number: signal.Signals, whom: str) -> None:
    # A terminal sends Ctrl-C to all of them; kill sends to the one that is named.
    send = os.killpg if whom == "all" else os.kill
    send(demo.child.pid, number)
    code = demo.child.process.wait(PATIENCE_S)
    assert "Traceback" not in demo.text
    assert code == 128 + number
    wait_for("nothing is left", demo.leaves_nothing)


def test_killed_it_takes_its_workloads_along(demo: Demo) -> None:
    demo.child.process.kill()
    demo.child.process.wait(PATIENCE_S)
    wait_for("its workloads end", lambda: not workloads_with(demo.marker))


def workloads_with(marker: str) -> list[int]:
    found = []
    for pid in processes_with(marker):
        try:
            if b"leakwatch.demo.workloads" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found
