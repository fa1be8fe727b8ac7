"""What leakwatch does for somebody without privileges, and what ``doctor`` says of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from leakwatch.queries.doctor import held_capabilities
from tests.e2e.e2e_tools import Daemon, User, Workload, by_pid, report, run_command, wait_for, write_config

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

Start = Callable[..., Daemon]
StartWorkload = Callable[..., Workload]


@pytest.mark.slow
@pytest.mark.root
def test_without_privileges_it_watches_what_it_may(
    tmp_path: Path, nobody: User, daemon: Start, workload: StartWorkload
) -> None:
    assert nobody.home is not None
    own, others = workload("user-leak", nobody.home, user=nobody), workload("root-leak", tmp_path)
    config = write_config(nobody.home)
    running = daemon(config, user=nobody)

    def leaking() -> bool:
        return {own.pid, others.pid} <= {one["pid"] for one in report(config, "--verdict", "leak")["findings"]}

    running.wait_until_scraped()
    wait_for("both leaks are found", leaking)
    found = report(config)
    assert found["absences"]["denied"] > 0
    assert found["host"]["slab_caches_read"] == 0
    assert by_pid(found, own.pid)["metric"] == "process.uss_swap_bytes"
    assert by_pid(found, others.pid)["metric"] == "process.anon_swap_bytes"
    assert (by_pid(found, own.pid)["user"], by_pid(found, others.pid)["user"]) == ("nobody", "root")
    for one in (own, others):
        assert by_pid(found, one.pid)["slope_bytes_per_hour"] == pytest.approx(500 * 1024 * 3600, rel=0.1)
    text = run_command("report", "--config", config, user=nobody).stdout
    assert "leakwatch doctor" in text


def test_doctor_tells_somebody_without_privileges_which_are_missing(nobody: User) -> None:
    done = run_command("doctor", user=nobody)
    assert done.returncode == 77
    lines = done.stdout.splitlines()
    assert any("refused" in line and "CAP_SYS_PTRACE" in line for line in lines)
    assert any(line.startswith("missing") and "slabinfo" in line and "CAP_DAC_READ_SEARCH" in line for line in lines)
    assert "service install" in lines[-1] or "as root it has them" in lines[-1]
    assert done.stderr == ""


@pytest.mark.root
def test_doctor_has_nothing_to_ask_of_root() -> None:
    if "CAP_SYS_PTRACE" not in held_capabilities():
        pytest.skip("needs root with all its capabilities")
    done = run_command("doctor")
    assert done.returncode == 0
    assert "needs CAP" not in done.stdout
    assert "read here" in done.stdout.splitlines()[-1]


@pytest.mark.root
@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        ("hidepid=invisible", 77, ("hidepid=invisible", "CAP_SYS_PTRACE to see others' processes")),
        ("subset=pid", 69, ("subset=pid", "would not start")),
    ],
)
def test_doctor_sees_how_proc_is_mounted(nobody: User, option: str, code: int, words: tuple[str, str]) -> None:
    script = f'mount -t proc -o {option} proc /proc && exec setpriv --reuid nobody --regid 65534 --clear-groups "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", nobody.python, "-m", "leakwatch", "doctor"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=nobody.home)
    except FileNotFoundError:
        pytest.skip("needs unshare of util-linux")
    if not done.stdout:
        pytest.skip(f"/proc cannot be mounted so here: {done.stderr.strip()}")
    assert done.returncode == code
    assert all(word in done.stdout for word in words), done.stdout


def test_doctor_says_where_everything_is(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    done = run_command("doctor", "--config", config)
    assert f"configuration: {config}" in done.stdout
    assert f"store into {tmp_path / 'leakwatch.db'}" in done.stdout
    assert "none yet" in done.stdout
    assert any(line[9:].startswith("service:") for line in done.stdout.splitlines())


def test_doctor_names_a_store_that_is_in_use(tmp_path: Path, daemon: Start) -> None:
    config = write_config(tmp_path)
    daemon(config).wait_until_scraped()
    done = run_command("doctor", "--config", config)
    assert any(line.startswith("ok") and "last scrape 20" in line for line in done.stdout.splitlines())


def test_doctor_shows_a_wrong_configuration_and_goes_on(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[sampling]\nintervall = 3\n[nothing]\n")
    done = run_command("doctor", "--config", config)
    assert done.returncode == 2
    assert "intervall" in done.stdout
    assert "nothing" in done.stdout
    assert "meminfo" in done.stdout


def test_doctor_reads_a_kernel_without_slabinfo(proc_tree: Callable[[str], Path]) -> None:
    done = run_command("doctor", "--proc", proc_tree("linux-6.1-ppc64"))
    assert done.returncode == 0
    assert "slabinfo: not there" in done.stdout


@pytest.mark.parametrize("kind", ["empty", "missing", "file"])
def test_doctor_refuses_what_is_no_proc(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "proc"
    if kind == "empty":
        root.mkdir()
    elif kind == "file":
        root.write_text("no directory")
    done = run_command("doctor", "--proc", root)
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
