"""How the daemon begins, ends, refuses and comes back, as a real process."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.e2e_tools import FAST, SLOW, Daemon, Workload, by_pid, report, run_command, wait_for, write_config

pytestmark = pytest.mark.live

PROC_TREES = sorted(tree.name for tree in (Path(__file__).parents[1] / "data" / "proc").glob("linux-*"))
START_S = 10
STOP_S = 5
"""What two seconds are for on an idle machine; the unit gives five before it kills."""
MANY = 4000

Start = Callable[..., Daemon]
StartWorkload = Callable[..., Workload]
ProcTree = Callable[[str], Path]


@pytest.fixture
def many_processes(proc_tree: ProcTree) -> Path:
    """Return a recorded /proc with thousands of processes: all but a few are links to one of them."""
    proc = proc_tree("linux-6.18-x86_64")
    one = next(entry.parent for entry in proc.glob("[0-9]*/smaps_rollup"))
    for pid in range(100_000, 100_000 + MANY):
        (proc / str(pid)).symlink_to(one)
    return proc


def scrapes(config: Path) -> int:
    store = config.with_name("leakwatch.db")
    if not store.exists():
        return 0
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        number: int = connection.execute("SELECT count(*) FROM scrape").fetchone()[0]
    except sqlite3.OperationalError:  # no tables yet, or being written
        return 0
    else:
        return number
    finally:
        connection.close()


def test_the_first_scrape_comes_at_the_start(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path, SLOW)
    daemon(config)
    wait_for("a first scrape", lambda: scrapes(config), START_S)
    assert scrapes(config) == 1, "the second comes an hour later"


def test_it_ends_after_its_time_with_everything_judged(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path, FAST)
    ran = daemon(config, "--for", "3s")
    assert ran.wait() == 0
    found = report(config)
    assert found["evaluated_at"] is not None
    assert found["host"]["processes_read"] > 0
    assert found["counts"]["learning"] > 0
    assert ran.announced() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, daemon: Start, number: signal.Signals) -> None:
    running = daemon(write_config(tmp_path, SLOW))
    running.wait_until_scraped()
    code, took_s = running.stop(number)
    assert code == 0
    assert took_s < STOP_S
    print(f"{number.name}: {took_s:.2f} s")


def test_a_signal_ends_it_in_the_middle_of_a_scrape(tmp_path: Path, many_processes: Path, daemon: Start) -> None:
    # Sampling 4000 processes takes longer than the interval: it is always in a scrape.
    config = write_config(tmp_path, FAST.replace('"0.5s"', '"0.1s"').replace('"12s"', '"13s"'))
    running = daemon(config, "--proc", many_processes)
    wait_for("the first scrape", lambda: scrapes(config) > 0)
    code, took_s = running.stop(signal.SIGTERM)
    assert code == 0, running.log
    assert took_s < STOP_S
    assert " ERROR " not in running.log
    assert report(config)["host"]["processes_read"] > MANY
    print(f"in a scrape: {took_s:.2f} s")


def test_a_second_daemon_is_refused(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path, SLOW)
    first = daemon(config)
    first.wait_until_scraped()
    second = daemon(config)
    assert second.wait() == 75
    assert len(second.log.splitlines()) == 1
    assert f"pid {first.pid}" in second.log


def test_every_problem_of_the_configuration_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[sampling]\ninterval = "soon"\n[analisys]\nwindows = []\n[store]\nkeep = 3\n')
    done = run_command("daemon", "--config", config)
    assert done.returncode == 2
    for word in ("interval", "analisys", "keep"):
        assert word in done.stderr
    assert all(line.startswith("leakwatch: ") for line in done.stderr.splitlines())
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["empty", "missing", "file"])
def test_what_is_no_proc_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "proc"
    if kind == "empty":
        root.mkdir()
    elif kind == "file":
        root.write_text("no directory")
    done = run_command("daemon", "--config", write_config(tmp_path), "--proc", root, "--for", "3s")
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(root) in done.stderr


def test_without_a_store_the_report_says_what_to_do(tmp_path: Path) -> None:
    done = run_command("report", "--config", write_config(tmp_path))
    assert done.returncode == 66
    assert len(done.stderr.splitlines()) == 1
    assert "leakwatch daemon" in done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Path, Daemon]]]:
    """Return the proc tree, configuration and daemon of each recorded machine; all run at once for three seconds."""
    runs = {}
    for name in PROC_TREES:
        directory = tmp_path_factory.mktemp(name)
        tree = directory / name
        shutil.copytree(Path(__file__).parents[1] / "data" / "proc" / name, tree)
        config = write_config(directory)
        runs[name] = (tree / "proc", config, Daemon(config, "--proc", tree / "proc", "--for", "3s"))
    yield runs
    for _, _, running in runs.values():
        running.end()


@pytest.mark.parametrize("name", PROC_TREES)
def test_it_watches_a_recorded_machine(recorded: dict[str, tuple[Path, Path, Daemon]], name: str) -> None:
    proc, config, ran = recorded[name]
    assert ran.wait() == 0
    host = report(config)["host"]
    assert host["processes_read"] == processes_with_memory(proc)
    assert host["slab_caches_read"] == slab_caches(proc)
    assert host["vmalloc_callers_read"] == vmalloc_callers(proc)


def processes_with_memory(proc: Path) -> int:
    found = 0
    for entry in proc.glob("[0-9]*"):
        # Of a process whose main thread has ended another thread's file tells; kernel threads and zombies have none.
        files = [*entry.glob("smaps*"), *entry.glob("task/*/smaps*")]
        found += any(file.read_bytes().strip() for file in files)
    return found


def slab_caches(proc: Path) -> int:
    file = proc / "slabinfo"
    return len(file.read_text().splitlines()[2:]) if file.exists() else 0


def vmalloc_callers(proc: Path) -> int:
    file = proc / "vmallocinfo"
    if not file.exists():
        return 0
    callers = re.findall(r"^0x\S+ +\d+ (\S+)", file.read_text(), re.MULTILINE)
    return len({caller.partition("+")[0] for caller in callers})


@pytest.mark.slow
def test_after_a_kill_it_goes_on_and_does_not_repeat_itself(
    tmp_path: Path, daemon: Start, workload: StartWorkload
) -> None:
    leaker = workload("restart-leak", tmp_path)
    config = write_config(tmp_path)
    first = daemon(config)
    mark = f"(pid {leaker.pid}"
    wait_for("the leak is announced", lambda: any(mark in line for line in first.announced()))
    wait_for("the verdict is stored", lambda: by_pid(report(config), leaker.pid)["verdict"] == "leak")
    before = by_pid(report(config), leaker.pid)
    first.stop(signal.SIGKILL)
    second = daemon(config, "--for", "15s")
    wait_for("it scrapes again", lambda: report(config)["host"]["last_scrape_at"] > before["evaluated_at"])
    assert second.wait() == 0
    after = by_pid(report(config), leaker.pid)
    assert after["verdict"] == "leak"
    assert after["id"] == before["id"]
    assert after["evaluated_at"] > before["evaluated_at"]
    assert not [line for line in second.announced() if mark in line]


def test_it_needs_neither_a_locale_nor_standard_files(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path)
    poor = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    closed = daemon(config, "--for", "2s", env=poor, before=["sh", "-c", 'exec "$@" <&- >&-', "sh"])
    assert closed.wait() == 0, closed.log
    assert report(config)["host"]["processes_read"] > 0
    done = run_command("report", "--config", config, "--verdict", "all", env={"LANG": "C", "LC_ALL": "C"})
    assert done.returncode == 0


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path)
    starting = daemon(config)
    wait_for("it takes the store's lock", (tmp_path / "leakwatch.db.lock").exists)
    code, _ = starting.stop(signal.SIGTERM)
    assert code == 0, starting.log
    assert daemon(config, "--for", "2s").wait() == 0


def test_it_works_with_standard_error_closed(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path)
    closed = daemon(config, "--for", "2s", before=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    assert closed.wait() == 0
    assert report(config)["evaluated_at"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("mib", [70, 74, 77, 79, 81, 84])
def test_with_too_little_address_space_it_goes_on_or_says_what_to_do(tmp_path: Path, daemon: Start, mib: int) -> None:
    """How much it takes differs between machines; nowhere may it be a defect, a traceback, or a signal not followed."""
    config = write_config(tmp_path)
    narrow = daemon(config, "--for", "12s", before=["prlimit", f"--as={mib << 20}"])
    assert narrow.wait() in (0, 71), narrow.log
    assert "internal error" not in narrow.log
    assert "Logging error" not in narrow.log


def test_with_too_few_files_it_says_what_to_do(tmp_path: Path, daemon: Start) -> None:
    narrow = daemon(write_config(tmp_path), "--for", "2s", before=["prlimit", "--nofile=8:8"])
    assert narrow.wait() == 74, narrow.log
    assert "Too many open files" in narrow.log
    assert "ulimit -n" in narrow.log
