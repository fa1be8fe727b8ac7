"""Twenty processes among three hundred hang with their mmap lock taken: nothing waits for them, nothing is left behind.

The kernel's own wait, not a stand-in: their files lie on a FUSE server that takes reads and never answers. Ending it
ends all waits, whatever happens here.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
HUNG, OTHERS = 20, 280
MORE_S = 2.0
LEAKWATCH = (sys.executable, "-m", "leakwatch")


def _lacks() -> str:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs root and /dev/fuse"
    if shutil.which("gcc") is None or shutil.which("pkg-config") is None:
        return "needs gcc and pkg-config"
    found = subprocess.run(["pkg-config", "--exists", "fuse3"], check=False).returncode == 0
    return "" if found else "needs libfuse3-dev"


pytestmark = [pytest.mark.live, pytest.mark.root, pytest.mark.slow, pytest.mark.skipif(bool(_lacks()), reason=_lacks())]


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Mount the file system whose server never answers a read."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=True)
    subprocess.run(["gcc", "-O1", "-o", folder / "server", HERE / "server.c", *flags.stdout.split()], check=True)
    subprocess.run(["gcc", "-O1", "-pthread", "-o", folder / "victim", HERE / "victim.c"], check=True)
    mount = folder / "mount"
    mount.mkdir()
    try:
        # Each read that waits holds a thread of the server; before 3.12 there was no limit on them.
        limited = subprocess.run(["pkg-config", "--atleast-version=3.12", "fuse3"], check=False).returncode == 0
        more = ["-o", "max_threads=100"] if limited else []
        with ended(subprocess.Popen([folder / "server", "-f", *more, mount])):
            until(lambda: os.path.ismount(mount), 10, "mounted")
            yield mount
    finally:
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


class Machine:
    """A daemon at 1 s among three hundred processes, twenty of which can be made to hang."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._server = ExitStack()
        stack.push(self._server)
        self.mount = self._server.enter_context(server(folder))
        self.store, self.log = folder / "leakwatch.db", folder / "log"
        self.config = folder / "c.toml"
        self.config.write_text(f'[sampling]\ninterval = "1s"\n[store]\nurl = "sqlite:////{str(self.store)[1:]}"\n')
        for _ in range(OTHERS):
            stack.enter_context(ended(subprocess.Popen(["sleep", "900"])))
        self.hung: list[subprocess.Popen[bytes]] = []
        out = stack.enter_context(self.log.open("wb"))
        command = [*LEAKWATCH, "daemon", "--config", str(self.config)]
        self.daemon = stack.enter_context(ended(subprocess.Popen(command, stdout=out, stderr=out)))
        until(lambda: len(self.scrapes()) >= 5, 60, "it samples")

    def hang(self) -> None:
        """Have them hang, all at once."""
        for number in range(HUNG):
            command = [self.folder / "victim", self.mount / f"f{number}"]
            self.hung.append(self._stack.enter_context(ended(subprocess.Popen(command))))
        # The server goes first when this ends: before that nothing ends them.
        self._stack.push(self._server)
        until(lambda: all(_waits(one.pid) for one in self.hung), 10, "they hang")

    def answer(self) -> None:
        self._server.close()

    def scrapes(self) -> list[tuple[int, int]]:
        """Return when each scrape was taken, in ms, and how long it took, in us."""
        if not self.store.exists():
            return []
        with suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=5)
            try:
                return list(connection.execute("select ts_ms, duration_us from scrape order by id"))
            finally:
                connection.close()
        return []

    def run(self, *arguments: str, seconds: float = 30.0) -> tuple[subprocess.CompletedProcess[str], float]:
        """Return how a command ended, and after how long."""
        began = time.monotonic()
        done = subprocess.run([*LEAKWATCH, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
        return done, time.monotonic() - began

    @property
    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))  # noqa: PTH208

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.daemon.pid}/task"))  # noqa: PTH208


def _waits(pid: int) -> bool:
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return states.count("D") == 2


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


def test_twenty_of_three_hundred_hang_and_nothing_waits(machine: Machine) -> None:
    config = ("--config", str(machine.config))
    usual = {verb: machine.run(verb, *config)[1] for verb in ("ps", "report", "doctor")}
    files, threads = machine.files, machine.threads
    at_ms = machine.scrapes()[-1][0]
    machine.hang()
    time.sleep(12)

    stamps = [ts_ms for ts_ms, _ in machine.scrapes() if ts_ms >= at_ms]
    gaps = [after - before for before, after in itertools.pairwise(stamps)]
    print("gaps", sorted(gaps)[-5:], "longest scrape ms", max(us for _, us in machine.scrapes()) / 1000)
    assert len(stamps) >= 10
    assert max(gaps) <= 2000, "none is late by more than an interval"

    pid = machine.hung[0].pid
    for verb, arguments in (
        ("ps", ()), ("report", ()), ("doctor", ()), ("maps", (str(pid), "--once")), ("kernel", ()),
    ):  # fmt: skip
        done, took_s = machine.run(verb, *arguments, *config)
        print(verb, done.returncode, f"{took_s:.2f} s, usually {usual.get(verb, 0):.2f} s", done.stderr[-200:])
        assert took_s <= usual.get(verb, usual["report"]) + MORE_S, verb
        if verb in ("ps", "report", "doctor"):
            assert f"{HUNG} process" in done.stdout + done.stderr or f": {HUNG}, such as" in done.stdout, verb

    found = json.loads(machine.run("report", *config, "--format", "json")[0].stdout)["host"]["not_answering"]
    assert {one["pid"] for one in found} == {one.pid for one in machine.hung}
    assert machine.log.read_text().count("does not answer, its memory map is locked") <= 3, "told once"
    print("threads", threads, machine.threads, "files", files, machine.files)
    assert machine.threads <= threads + HUNG + 1
    assert machine.files <= files + 2 * HUNG + 10

    machine.answer()

    def none_hangs() -> bool:
        done = machine.run("report", *config, "--format", "json")[0]
        return not json.loads(done.stdout)["host"]["not_answering"]

    until(none_hangs, 20, "they answer again")
    assert "answers again, or has ended" in machine.log.read_text()
    until(lambda: machine.threads <= threads + 1, 10, "no thread is left")
    assert machine.daemon.poll() is None


def test_the_daemon_ends_in_order_while_they_hang(machine: Machine) -> None:
    machine.hang()
    time.sleep(4)
    began = time.monotonic()
    machine.daemon.send_signal(signal.SIGTERM)
    assert machine.daemon.wait(15) == 0
    assert time.monotonic() - began < 10
    assert not Path(f"/proc/{machine.daemon.pid}").exists()
    again = subprocess.Popen(
        [*LEAKWATCH, "daemon", "--config", str(machine.config), "--for", "5s"], stdout=subprocess.DEVNULL
    )
    with ended(again):
        count = len(machine.scrapes())
        assert again.wait(30) == 0, "one that starts among them samples and ends, too"
    assert len(machine.scrapes()) >= count + 4
