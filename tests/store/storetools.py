"""What several store tests need: made-up scrapes, children that write or read, and a daemon to start and kill.

Run as a program it is such a child: ``storetools.py [--as=UID] {write STORE | seal STORE | read STORE |
leakwatch ARGUMENT...}``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import Block, CollectorOutcome, Sample, Scrape, SealedBlock, Tick
from leakwatch.store.files import engine
from leakwatch.store.files.driver import connect_to_write
from leakwatch.store.maintenance.integrity import block_rows, sample_rows
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_MS = 1_790_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
USS = "process.uss_bytes"
RSS = "process.rss_bytes"
NOBODY = 65534


def process(pid: int, *, boot: str = "boot-a", name: str | None = None, command: str = "/usr/bin/x -d") -> ProcessInfo:
    service = Service(ServiceKind.UNIT, f"s{pid % 3}.service")
    return ProcessInfo(ProcessIdentity(boot, pid, 100 + pid), name or f"p{pid}", command, 1000, service)


def scrape(number: int, pids: range = range(1, 6), *, ts_ms: int | None = None, boot: str = "boot-a") -> Scrape:
    """Return the made-up scrape of this number: two samples a process and one of the host, told from the number."""
    processes = tuple(process(pid, boot=boot) for pid in pids)
    samples = [Sample("kernel.mem_free_bytes", HOST, number)]
    for info in processes:
        samples.append(Sample(USS, info.identity.target, number * 1000 + info.identity.pid))
        samples.append(Sample(RSS, info.identity.target, -number))
    outcome = CollectorOutcome("processes", 1000, len(processes))
    at = BASE_MS + number * MINUTE_MS if ts_ms is None else ts_ms
    return Scrape(Tick(at, boot), tuple(samples), processes, (outcome,), duration_us=5)


def block(pid: int, start_ms: int, span_s: int = 300, last: float = 7.0) -> SealedBlock:
    return SealedBlock(USS, process(pid).identity.target, span_s, BASE_MS, Block(start_ms, 5, 1.0, 2.0, 3.0, last))


SERVICE = Target(TargetKind.SERVICE, "unit:s1.service")


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the file itself, past the code under test."""
    connection = sqlite3.connect(path, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def change(path: Path, *statements: str) -> None:
    """Change the file itself, past the code under test."""
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def all_samples(path: Path) -> list[tuple[int, int, int]]:
    """Return (scrape, series, value) of every sample there is, in order, whether sealed or not."""
    connection = engine.connect_reader(path)
    try:
        return sorted(sample_rows(connection))
    finally:
        engine.disconnect(connection)


def all_blocks(path: Path) -> list[tuple[float, ...]]:
    """Return (span, start, series, n, minimum, median, maximum, last, segment) of every block there is, in order."""
    connection = engine.connect_reader(path)
    try:
        return sorted({row[:3]: row for row in block_rows(connection)}.values())
    finally:
        engine.disconnect(connection)


def nameless(path: Path) -> set[int]:
    """Return the numbers of series that have samples or blocks and no name."""
    named = {row[0] for row in rows(path, "SELECT id FROM series")}
    return ({row[1] for row in all_samples(path)} | {int(row[2]) for row in all_blocks(path)}) - named


def overwrite(path: Path, *, first: int = 0, count: int | None = None, page: int = 4096) -> None:
    """Overwrite pages of a file in place, all from ``first`` on where no count is given."""
    pages = path.stat().st_size // page
    last = pages if count is None else min(pages, first + count)
    with path.open("r+b") as file:
        file.seek(first * page)
        file.write(b"\xa5garbage" * ((last - first) * page // 8))


def beside(path: Path, mark: str = ".corrupt-") -> list[Path]:
    """Return the files that were set aside, without SQLite's files beside them."""
    return sorted(p for p in path.parent.glob(f"{path.name}{mark}*") if not p.name.endswith(("-wal", "-shm")))


def until(met: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.02)


class Child:
    """A daemon of its own process, on a recorded /proc, logging to a file."""

    def __init__(
        self, directory: Path, store: Path, proc: Path | str, *, interval: str = "0.1s", more: str = ""
    ) -> None:
        config = directory / "config.toml"
        config.write_text(
            f'[sampling]\ninterval = "{interval}"\n[analysis]\nwindows = ["1m"]\n'
            f'[store]\nurl = "sqlite:///{store}"\nkeep_samples = "14d"\n{more}'
        )
        self.store = store
        self.log_file = directory / f"daemon-{time.monotonic_ns()}.log"
        self.argv = [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config), "--proc", str(proc)]

    def __enter__(self) -> Self:
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log)
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)

    def ended(self) -> int:
        return self.process.wait(timeout=20)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def logged(self, text: str) -> None:
        until(lambda: text in self.log or self.process.poll() is not None, f"log line {text!r} in {self.log}")
        assert text in self.log

    def scrapes(self) -> int:
        """Return the number of the newest scrape stored, 0 where there is none."""
        try:
            return int(str(rows(self.store, "SELECT max(id) FROM scrape")[0][0] or 0))
        except sqlite3.OperationalError:
            return 0

    def stored(self, count: int) -> None:
        until(lambda: self.scrapes() >= count or self.process.poll() is not None, f"{count} scrapes; {self.log}")
        assert self.process.poll() is None, self.log


def write_for_ever(path: Path) -> None:
    """Write scrapes and blocks as fast as they go, and tell of each when it is committed."""
    writer = Writer(path)
    reader = Reader(path)
    last = reader.last_scrape()
    reader.close()
    number = last.id if last else 0
    while True:
        number += 1
        pids = range(number // 10, number // 10 + 40)  # processes come and go
        writer.write_scrape(scrape(number, pids), [block(pid, BASE_MS + number * 300_000) for pid in pids])
        print(number, flush=True)


def seal_for_ever(path: Path) -> None:
    """Write scrapes, seal and merge them as fast as it goes, and tell of each scrape when it is committed."""
    from leakwatch.store.maintenance import sealing

    sealing.SEALED_SCRAPES, sealing.MERGED_SCRAPES, sealing.BATCH_SERIES = 10, 40, 2  # type: ignore[misc]
    writer = Writer(path)
    number = len(rows(path, "SELECT id FROM scrape"))
    while True:
        number += 1
        writer.write_scrape(scrape(number, range(number // 10, number // 10 + 5)))
        print(number, flush=True)
        if number % 4 == 0:
            sealing.seal(writer)
            while sealing.merge(writer, 1 << 40):
                pass


def read_all(path: Path) -> None:
    """Print how many scrapes a reader sees."""
    reader = Reader(path)
    print(len(reader.scrapes_since(0)))
    reader.close()


def open_often(path: Path) -> None:
    """Open the store to write, again and again, until the file ``enough`` lies beside it."""
    opened = 0
    print("begun", flush=True)
    while not path.with_name("enough").exists():
        connect_to_write(path).close()
        opened += 1
    print(opened)


def as_user(user: int, verb: str, *arguments: str) -> list[str]:
    """Return the command that does this as another user, which need not be able to read checkout or interpreter."""
    return [sys.executable, __file__, f"--as={user}", verb, *arguments]


def become(user: int) -> None:
    """Load what is loaded late, then give up root for good."""
    import concurrent.futures.thread
    from datetime import UTC

    import apscheduler.triggers.date  # noqa: F401 - loaded when the first job is added
    from apscheduler.schedulers.background import BackgroundScheduler

    import leakwatch
    from leakwatch.store.files import engine

    for module in pkgutil.walk_packages(leakwatch.__path__, "leakwatch."):
        if not module.name.endswith(("__main__", "_migrations")):
            importlib.import_module(module.name)
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start()
    scheduler.shutdown()
    with concurrent.futures.thread.ThreadPoolExecutor(1), tempfile.TemporaryDirectory() as directory:
        engine.disconnect(engine.connect_writer(Path(directory) / "warm.db"))
    os.chdir("/")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def leakwatch(*arguments: str) -> int:
    from leakwatch.cli.main import main

    return main(arguments)


def run() -> int:
    from leakwatch.errors import LeakwatchError

    arguments = sys.argv[1:]
    if arguments[0].startswith("--as="):
        become(int(arguments.pop(0).removeprefix("--as=")))
    verb, *rest = arguments
    try:
        if verb == "leakwatch":
            return leakwatch(*rest)
        {"write": write_for_ever, "open": open_often, "seal": seal_for_ever, "read": read_all}[verb](Path(rest[0]))
    except LeakwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run())
