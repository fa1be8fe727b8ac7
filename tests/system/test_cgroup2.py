"""A real systemd on control groups of version 2, in an emulated machine: units that count, restart, and are OOM killed.

The tests share one run of ``tests/cgroup2-vm``, some minutes; it boots the files of the systemd-box.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leakwatch.system.journal import OOM_KILLED

pytestmark = [pytest.mark.live, pytest.mark.systemd, pytest.mark.root, pytest.mark.slow, pytest.mark.whole]

TESTS = Path(__file__).parents[1]
CHECKOUT = TESTS.parent
MIB = 1 << 20

LEAK = """\
import sys, time
kept, kib, every = [], int(sys.argv[1]), float(sys.argv[2])
while True:
    kept.append(bytearray(b"x") * (kib << 10))
    time.sleep(every)
"""
UNITS = {
    "worker@.service": "ExecStart=/usr/bin/python3 /job/leak.py 256 1",
    "db@.service": "ExecStart=/usr/bin/python3 /job/leak.py 0 600",
    # Killed at its limit, every few seconds, and made anew by systemd, the count of its group with it.
    "hog.service": "ExecStart=/usr/bin/python3 /job/leak.py 4096 0.5\nMemoryMax=48M\nMemorySwapMax=0\n"
    "Restart=always\nRestartSec=1",
    "leakwatch.service": "StateDirectory=leakwatch\nEnvironment=PYTHONPATH=/job/lib PYTHONDONTWRITEBYTECODE=1\n"
    "ExecStart=/usr/bin/python3 -m leakwatch daemon --config /job/config.toml",
}
CONFIG = '[sampling]\ninterval = "1s"\nslow_every = 3\n[analysis]\nwindows = ["30s", "1m"]\n'
JOB = """\
cp units/* /etc/systemd/system/
systemctl daemon-reload
systemctl start worker@1 worker@2 db@15-main db@9.6-old hog
systemd-run -q python3 /job/leak.py 0 601
session="--scope --slice=user-1000.slice --unit=session-3.scope"
systemd-run $session python3 /job/leak.py 0 602 >/dev/null 2>&1 </dev/null &
systemctl start leakwatch
sleep 60
systemctl stop worker@2
systemctl start worker@7
systemctl restart db@15-main
sleep 8
export PYTHONPATH=/job/lib PYTHONDONTWRITEBYTECODE=1
python3 -m leakwatch report --verdict all --config config.toml --format json >out/report.json
systemctl show hog -p NRestarts --value >out/restarts
cat /sys/fs/cgroup/system.slice/memory.events >out/slice
journalctl -q --no-pager -o json MESSAGE_ID=@OOM_KILLED@ >out/oom.json
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the job; return where what it left is."""
    if os.geteuid() != 0:
        pytest.skip("the systemd-box's files need root")
    if missing := [one for one in ("qemu-system-x86_64", "cpio", "apt-get") if shutil.which(one) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install qemu-system-x86 cpio")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get("LEAKWATCH_BOX") or cache / "systemd-box")
    if not (root / "etc/debian_version").exists():
        pytest.skip(f"no files to boot in {root}: tests/systemd-box up, then down")
    job = tmp_path_factory.mktemp("job")
    (job / "leak.py").write_text(LEAK)
    (job / "config.toml").write_text(CONFIG)
    (job / "go.sh").write_text(JOB.replace("@OOM_KILLED@", OOM_KILLED))
    (job / "units").mkdir()
    for name, lines in UNITS.items():
        (job / "units" / name).write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{lines}\n")
    gather_packages(root, job / "lib")
    done = subprocess.run(
        [TESTS / "cgroup2-vm", root, job, "bash", "-e", "./go.sh"],
        env={**os.environ, "VM_SECONDS": "900"}, capture_output=True, text=True, check=False, timeout=960,
    )  # fmt: skip
    if not (job / "log").exists():
        console = (job / "console").read_text(errors="replace")[-1500:] if (job / "console").exists() else ""
        pytest.fail(f"the machine gave nothing back: {done.stdout}{done.stderr}\n{console}")
    assert (job / "log").read_text().rstrip().endswith("ended with 0"), (job / "log").read_text()
    return job


def gather_packages(root: Path, folder: Path) -> None:
    """Put leakwatch and what it needs where the Python inside finds it."""
    version = next(path.name for path in sorted((root / "usr/lib").glob("python3.*")))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = folder.parent.parent / "wheels"
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, CHECKOUT]
    install = [*pip, "install", "--no-compile", "--only-binary=:all:", "--python-version",
               version.removeprefix("python"), "--target", folder, "--find-links", wheels, "leakwatchd"]  # fmt: skip
    for argv in (build, install):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            pytest.fail(f"{' '.join(map(str, argv))}:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="module")
def report(job: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job / "out/report.json").read_text())
    return found


def of(report: dict[str, Any], service: str) -> dict[str, Any]:
    found = [one for one in report["findings"] if one["service"] == service and one["ended_at"] is None]
    assert len(found) == 1, (service, [(one["service"], one["ended_at"]) for one in report["findings"]])
    return found[0]


def test_workers_that_are_numbered_units_are_one_service_over_renumbering(report: dict[str, Any]) -> None:
    worker = of(report, "worker@.service")
    assert worker["whose"]["cgroups"] == [
        f"/system.slice/system-worker.slice/worker@{number}.service" for number in (1, 7)
    ]
    assert not [one for one in report["findings"] if one["service"] in ("worker@1.service", "worker@2.service")]


def test_instances_that_name_something_that_lasts_are_services_of_their_own(report: dict[str, Any]) -> None:
    for name in ("db@15-main.service", "db@9.6-old.service"):
        found = of(report, name)["whose"]
        assert found["cgroups"] == [f"/system.slice/system-db.slice/{name}"]
        assert 2 * MIB < found["current_bytes"] < 60 * MIB
        assert found["current_bytes"] <= found["peak_bytes"]
        assert found["limit_bytes"] is None


def test_neither_a_login_session_nor_a_transient_unit_is_blamed(report: dict[str, Any]) -> None:
    services = {one["service"] for one in report["findings"] if one["service"]}
    assert not {name for name in services if name.startswith(("session-", "run-", "user@", "init.scope"))}, services
    program = of(report, next(name for name in services if name.endswith(" leak.py")))
    assert program["whose"]["user_slice"] is None  # one of the two was started from a login, the other was not
    assert program["whose"]["cgroups"] == []
    assert program["whose"]["current_bytes"] is None


def test_a_unit_that_is_killed_at_its_limit_and_made_anew_is_named(job: Path, report: dict[str, Any]) -> None:
    (kills,) = report["oom_kills"]
    assert kills["service"] == "hog.service"
    restarts = int((job / "out/restarts").read_text())
    # What was killed before the daemon's first look, seconds after the start, nobody can tell the time of.
    assert 3 <= kills["count"] <= restarts
    # systemd has made the group anew each time: its own count is lost, that of the slice is not.
    counted = int(re.findall(r"^oom_kill (\d+)$", (job / "out/slice").read_text(), re.MULTILINE)[0])
    assert restarts <= counted <= restarts + 2  # one may just have been killed
    assert kills["certain"] is False


def test_the_kills_are_in_the_journal_with_fields(job: Path, report: dict[str, Any]) -> None:
    told = [json.loads(line) for line in (job / "out/oom.json").read_text().splitlines()]
    assert {one["LEAKWATCH_SERVICE"] for one in told} == {"hog.service"}
    assert {one["LEAKWATCH_CGROUP"] for one in told} == {"/system.slice/hog.service"}
    assert {one["LEAKWATCH_LIMIT_BYTES"] for one in told} == {str(48 * MIB)}
    count = sum(int(one["LEAKWATCH_COUNT"]) for one in told)
    assert 0 <= count - report["oom_kills"][0]["count"] <= 5  # those since the report
