"""What the end-to-end tests share: one long run of the daemon beside many workloads, and children that do not stay.

The long run begins with the first test and goes on while the tests that do not need it run; those that do come last.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.e2e_shared import SharedRun
from tests.e2e.e2e_tools import Child, Daemon, User, Workload, shares_a_service, start_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = "shared_run_started"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that wait for the long run behind the others of this directory."""
    here = Path(__file__).parent
    places = [at for at, item in enumerate(items) if here in item.path.parents]
    ours = sorted((items[at] for at in places), key=_after)
    for at, item in zip(places, ours, strict=True):
        items[at] = item


def _after(item: pytest.Item) -> int:
    names = getattr(item, "fixturenames", ())
    return 2 if "quiet_kernel" in names else 1 if "shared_run" in names else 0


@pytest.fixture(scope="session")
def shared_run_started() -> Iterator[SharedRun]:
    """Start the long run; it goes on by itself."""
    with tempfile.TemporaryDirectory(prefix="leakwatch-e2e-") as directory:
        run = SharedRun(Path(directory))
        try:
            run.start()
            yield run
        finally:
            run.end()


@pytest.fixture(scope="session", autouse=True)
def _begin_early(request: pytest.FixtureRequest) -> None:
    """Begin the long run before the first test when any of those to come needs it."""
    if any("shared_run" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue(START)


@pytest.fixture(scope="session")
def shared_run(shared_run_started: SharedRun) -> SharedRun:
    """Return the long run once it is over."""
    shared_run_started.wait()
    return shared_run_started


@pytest.fixture(scope="session")
def quiet_kernel(request: pytest.FixtureRequest) -> None:
    """Wait until nobody measures the kernel whom our own messages would mislead."""
    if any("shared_run" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("shared_run")


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Return a list whose members are ended after the test."""
    started: list[Child] = []
    yield started
    for child in reversed(started):
        child.end()


@pytest.fixture
def daemon(children: list[Child]) -> Callable[..., Daemon]:
    """Return a function that starts a daemon, which is ended after the test."""

    def start(*arguments: object, **options: object) -> Daemon:
        child = Daemon(*arguments, **options)  # type: ignore[arg-type]
        children.append(child)
        return child

    return start


@pytest.fixture
def workload(children: list[Child]) -> Callable[..., Workload]:
    """Return a function that starts a workload, which is ended after the test."""

    if os.geteuid() != 0 and shares_a_service():
        pytest.skip("our control group makes one service of all we start, and only root can change that")

    def start(*arguments: object, **options: object) -> Workload:
        child = start_workload(*arguments, **options)  # type: ignore[arg-type]
        children.append(child)
        assert not child.refusal, child.refusal
        return child

    return start


@pytest.fixture(scope="session")
def nobody() -> Iterator[User]:
    """Return the user nobody, with a directory of its own and an interpreter it may run."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    with tempfile.TemporaryDirectory(prefix="leakwatch-nobody-") as directory:
        home = Path(directory)
        try:
            shutil.chown(home, "nobody")
        except LookupError:
            pytest.skip("there is no user nobody")
        user = User("nobody", sys.executable, home)
        argv = [user.python, "-c", "import leakwatch.monitoring.daemon, leakwatch.demo.workloads"]
        try:
            done = subprocess.run(argv, cwd=home, capture_output=True, text=True, check=False, **user.popen_options())
        except PermissionError:
            pytest.skip(f"nobody may not run {sys.executable}: it lies in a closed directory")
        if done.returncode:
            pytest.skip(f"nobody cannot import leakwatch: it lies in a closed directory ({done.stderr.strip()[-80:]})")
        yield user


@pytest.fixture(scope="session")
def own_name() -> str:
    """Return the name of the user who runs the tests, as a report has it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
