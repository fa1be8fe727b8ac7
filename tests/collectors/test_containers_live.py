"""A real podman container: its memory by its control group, and one service over its making anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import Service, ServiceKind
from leakwatch.model.sample import Scrape, Tick
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.live, pytest.mark.root, pytest.mark.slow]

MIB = 1 << 20
SECONDS = "86399"


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return what runs podman on a store of its own below ``tmp_path``, as of a machine whose root that is."""
    if os.geteuid() != 0:
        pytest.skip("podman with a store of its own needs root")
    if missing := [one for one in ("podman", "runc") if shutil.which(one) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install podman runc")
    storage = tmp_path / "var/lib/containers/storage"
    runs = Path(tempfile.mkdtemp(prefix="lw", dir="/tmp"))  # podman takes no path of more than 50 characters here
    options = [
        "--root", storage, "--runroot", runs, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
        "--events-backend", "none", "--runtime", "runc",
    ]  # fmt: skip

    def run(*argv: str | Path, check: bool = True) -> str:
        done = subprocess.run(["podman", *options, *argv], capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            pytest.skip(f"podman cannot run a container here: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()

    yield run
    run("rm", "--force", "--all", "--time", "0", check=False)
    shutil.rmtree(runs, ignore_errors=True)


def image(root: Path) -> Path:
    """Make a root file system that holds sleep and what it needs."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    linked = subprocess.run(["ldd", sleep], capture_output=True, text=True, check=True).stdout.split()
    for path in (sleep, *(word for word in linked if word.startswith("/"))):
        copy = root / path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(path).resolve(), copy)
    return root


def seen(tmp_path: Path) -> tuple[Scrape, Service, dict[str, int]]:
    """Scrape the machine; return the service of the one process that sleeps for so long, and its group's values."""
    procfs = ProcFS()
    procfs.host_root = str(tmp_path)
    scrape = Scraper(procfs, "b", SamplingConfig()).scrape(Tick(1, "b"))
    (service,) = {info.service for info in scrape.processes if info.command.endswith(f"sleep {SECONDS}")}
    assert service is not None
    values = {s.metric: s.value for s in scrape.samples if s.target == service.target}
    return scrape, service, values


def test_a_container_is_one_service_over_its_making_anew(tmp_path: Path, podman: Callable[..., str]) -> None:
    root, sleep = image(tmp_path / "image"), str(shutil.which("sleep"))
    run = ["run", "--detach", "--name", "web", "--network", "none", "--log-driver", "none", "--memory", "64m",
           "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--rootfs", root, sleep, SECONDS]  # fmt: skip
    ids = []
    for _ in range(2):
        ids.append(podman(*run))
        scrape, service, values = seen(tmp_path)
        assert service == Service(ServiceKind.CONTAINER, "web")
        assert scrape.owners is not None
        owner = scrape.owners[service.target]
        assert (owner.engine, owner.container) == ("podman", ids[-1])
        assert values[metrics.GROUP_LIMIT] == 64 * MIB
        assert 0 < values[metrics.GROUP_CURRENT] < 64 * MIB
        podman("rm", "--force", "--time", "0", "web")
    assert ids[0] != ids[1]
