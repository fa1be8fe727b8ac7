"""Real servers that replace their workers: one service and one finding each, over reloads, crashes and restarts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.scrape import Scraper
from leakwatch.config import AnalysisConfig, Config, SamplingConfig
from leakwatch.model.sample import Tick
from leakwatch.model.verdict import Rooms
from leakwatch.monitoring.detector import Detector
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leakwatch.model.identity import Service

pytestmark = [pytest.mark.live, pytest.mark.root, pytest.mark.slow]

CONFIG = Config(sampling=SamplingConfig(interval_s=1.0), analysis=AnalysisConfig(windows_s=(60, 120)))
SECONDS = 30.0


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0

    def count_limit_of(self, metric: str, pid: int | None, value: int) -> int | None:  # noqa: ARG002 - the protocol's
        return None


class Eye:
    """Scrapes this machine and remembers which service each process of a server was taken for."""

    def __init__(self) -> None:
        procfs = ProcFS()
        self.boot = procfs.boot_id()
        self.scraper = Scraper(procfs, self.boot, CONFIG.sampling)
        self.detector = Detector(CONFIG, NoLimits())
        self.services: dict[int, Service | None] = {}
        self.now_ms = 1_700_000_000_000

    def look(self, pids: set[int]) -> None:
        """Scrape three times: a process just forked is known for what it is from its third scrape on."""
        for _ in range(3):
            self.now_ms += 1000
            scrape = self.scraper.scrape(Tick(self.now_ms, self.boot))
            self.detector.feed(scrape)
        found = {info.identity.pid: info.service for info in scrape.processes if info.identity.pid in pids}
        assert found, "none of the server's processes was seen"
        self.services |= found

    def findings(self) -> list[str]:
        """Return the names of the services that have a finding, of those seen of the server."""
        names = {service.name for service in self.services.values() if service}
        found = self.detector.evaluate(self.now_ms).findings
        return [one.service for one in found if one.service in names]


def program(name: str, package: str, folders: str = "") -> str:
    """Return the path of a program, installing its Debian package where we may."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/bin", *folders.split()])
    if found := shutil.which(name, path=path):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(argv, env=env, capture_output=True, check=False, timeout=300)
    found = shutil.which(name, path=path)
    return found or pytest.skip(f"{name} is not installed and cannot be: apt-get install {package}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> set[int]:
    """Return a process and its children."""
    with suppress(OSError):
        return {pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())}
    return {pid}


def wait(what: str, condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"not within {SECONDS} s: {what}"
        time.sleep(0.1)


def get(port: int) -> str:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read().decode()
    return ""


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start servers quietly, and end what is left of them."""
    running: list[subprocess.Popen[bytes]] = []

    def start(argv: list[str], cwd: Path, user: str | None = None) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        running.append(subprocess.Popen(argv, cwd=cwd, user=user, stdin=null, stdout=null, stderr=null))
        return running[-1]

    yield start
    for one in running:
        one.send_signal(signal.SIGINT)
        try:
            one.wait(15)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def ended(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    server.wait(SECONDS)


def test_nginx_over_a_reload_and_a_restart(tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    nginx, port, eye = program("nginx", "nginx-light"), free_port(), Eye()
    tmp_path.chmod(0o755)
    (tmp_path / "nginx.conf").write_text(
        "daemon off; worker_processes 3; pid nginx.pid; error_log error; events {} http { access_log off;"
        "client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'up'; }} }} }}"
    )
    argv = [nginx, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "error"]
    server = started(argv, tmp_path)
    wait("nginx answers", lambda: get(port) == "up")
    first = family(server.pid)
    assert len(first) == 4
    eye.look(first)
    server.send_signal(signal.SIGHUP)  # other workers, with other numbers
    wait("the old workers are gone", lambda: len(family(server.pid)) == 4 and len(family(server.pid) & first) == 1)
    eye.look(family(server.pid))
    ended(server)
    server = started(argv, tmp_path)
    wait("nginx answers again", lambda: get(port) == "up")
    eye.look(family(server.pid))
    assert len(eye.services) >= 11
    assert {service.name for service in eye.services.values() if service} == {"nginx"}
    assert eye.findings() == ["nginx"]


APP = """\
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_a_gunicorn_pool_that_replaces_its_workers(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    gunicorn, port, eye = program("gunicorn", "gunicorn"), free_port(), Eye()
    (tmp_path / "shop.py").write_text(APP)
    argv = [gunicorn, "--workers", "3", "--max-requests", "5", "--bind", f"127.0.0.1:{port}", "shop:app"]
    server = started(argv, tmp_path)
    workers: set[str] = set()
    wait("gunicorn answers", lambda: get(port))
    eye.look(family(server.pid))

    def ask() -> bool:
        workers.update(filter(None, [get(port)]))
        return len(workers) >= 9

    wait("workers were replaced twice", ask)
    wait("three workers run", lambda: len(family(server.pid)) == 4)
    eye.look(family(server.pid))
    ended(server)
    server = started(argv, tmp_path)
    wait("gunicorn answers again", lambda: get(port))
    eye.look(family(server.pid))
    names = {service.name for service in eye.services.values() if service}
    assert len(names) == 1
    assert names.pop().endswith(" gunicorn")
    assert len(eye.findings()) == 1


def test_postgresql_s_backends_over_a_crash_and_a_restart(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    folders = " ".join(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
    program("initdb", "postgresql", folders)
    folders = " ".join(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
    initdb, postgres, psql = (program(name, "postgresql", folders) for name in ("initdb", "postgres", "psql"))
    home = Path("/var/tmp") / f"leakwatch-postgres-{os.getpid()}"
    home.mkdir(mode=0o755)
    shutil.chown(home, "postgres", "postgres")
    port, eye = free_port(), Eye()
    try:
        argv = [initdb, "-D", str(home / "data"), "-A", "trust", "--no-sync"]
        subprocess.run(argv, user="postgres", cwd="/", check=True, capture_output=True, timeout=120)
        settings = {"unix_socket_directories": home, "port": port, "listen_addresses": "", "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        client = [psql, "-XqtA", "-U", "postgres", "-h", str(home), "-p", str(port)]

        def up() -> bool:
            done = subprocess.run([*client, "-c", "SELECT 1"], capture_output=True, text=True, check=False, timeout=20)
            return done.stdout.strip() == "1"

        def connected() -> None:
            for _ in range(3):
                started([*client, "-c", "SELECT pg_sleep(60)"], home)
            wait("three backends sleep", lambda: len(sleeping()) == 3)

        def sleeping() -> list[int]:
            sql = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
            done = subprocess.run([*client, "-c", sql], capture_output=True, text=True, check=False, timeout=20)
            return [int(pid) for pid in done.stdout.split()]

        server = started([postgres, "-D", str(home / "data"), *options], home, "postgres")
        wait("PostgreSQL answers", up)
        connected()
        assert len(family(server.pid)) >= 8
        eye.look(family(server.pid))
        os.kill(sleeping()[0], signal.SIGKILL)  # all others are ended and begun anew
        wait("PostgreSQL is back", lambda: up() and not sleeping())
        connected()
        eye.look(family(server.pid))
        ended(server)
        server = started([postgres, "-D", str(home / "data"), *options], home, "postgres")
        wait("PostgreSQL answers again", up)
        connected()
        eye.look(family(server.pid))
        assert len(eye.services) >= 20
        assert {service.name for service in eye.services.values() if service} == {"postgres"}
        assert eye.findings() == ["postgres"]
        ended(server)
    finally:
        shutil.rmtree(home, ignore_errors=True)
