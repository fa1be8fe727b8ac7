"""The service as it is installed: the wheel, in a container with a real systemd, from `service install` to `--purge`.

The tests share one box and one installation and run in the order they are written. Set LEAKWATCH_BOX to the root of a
box that exists to spare its building; one that is up already stays up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch.system.journal import LEAK_FOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.live, pytest.mark.systemd, pytest.mark.root, pytest.mark.slow]

TOOL = Path(__file__).parents[1] / "systemd-box"
CHECKOUT = Path(__file__).parents[2]
MOST_EXPOSURE = 1.1
UNIT = "leakwatch.service"
COMMAND = "/opt/leakwatch/bin/leakwatch"
PYTHON = "/opt/leakwatch/bin/python"
HOME_COPY = "/root/leakwatch"

CONFIG = """\
[sampling]
interval = "1s"
[analysis]
windows = ["30s", "1m"]
"""

LEAKER = """\
import time
kept = []
while True:
    kept.append(bytearray(b"x") * 500_000)
    time.sleep(0.25)
"""


@dataclass(frozen=True)
class Box:
    """A running box; ``root`` is where its files are out here."""

    root: Path

    def run(self, *argv: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [TOOL, "exec", self.root, "--", *argv], capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def out(self, *argv: str) -> str:
        return self.run(*argv).stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def property(self, name: str, unit: str = UNIT) -> str:
        return self.out("systemctl", "show", "--property", name, "--value", unit)

    def log(self, *options: str) -> list[dict[str, Any]]:
        lines = self.out("journalctl", "-u", UNIT, "--no-pager", "-o", "json", *options).splitlines()
        return [json.loads(line) for line in lines]

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.out(COMMAND, "report", "--format", "json"))
        return report

    def purge(self) -> None:
        """Bring the box back to where nothing of leakwatch was ever in it."""
        self.run("systemctl", "stop", UNIT, "leaker.service", check=False)
        for path in (
            f"/etc/systemd/system/{UNIT}",
            "/etc/leakwatch",
            "/var/lib/private/leakwatch",
            "/var/lib/leakwatch",
            HOME_COPY,
        ):
            self.run("rm", "-rf", path)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "reset-failed", check=False)


def wait(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """Return what the condition returns as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    return pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Boot the box, with leakwatch in /opt/leakwatch, not yet as a service."""
    if os.geteuid() != 0:
        pytest.skip("a container with systemd needs root")
    root = Path(os.environ.get("LEAKWATCH_BOX") or cache() / "systemd-box")
    needed = ["systemd-nspawn", "nsenter"] + ([] if (root / "etc/debian_version").exists() else ["debootstrap"])
    if missing := [program for program in needed if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install debootstrap systemd-container")
    started = subprocess.run([TOOL, "up", root], capture_output=True, text=True, check=False, timeout=900)
    if started.returncode:
        pytest.fail(f"the box does not boot: {started.stdout}{started.stderr}")
    box = Box(root)
    try:
        box.purge()
        install_package(box, tmp_path_factory.mktemp("wheels"))
        yield box
        box.purge()
    finally:
        if "already up" not in started.stdout:
            subprocess.run([TOOL, "down", root], check=False, timeout=60)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def install_package(box: Box, wheels: Path) -> None:
    """Build our wheel, gather what it needs for the Python inside, and install from these files alone."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    version = box.out("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, CHECKOUT]
    gather = [*pip, "download", "--only-binary=:all:", "--python-version", version, "--dest", wheels]
    for argv in (build, [*gather, "--find-links", wheels, "leakwatchd"]):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            pytest.fail(f"{' '.join(map(str, argv))}:\n{done.stdout}{done.stderr}")
    shutil.rmtree(box.root / "opt/wheels", ignore_errors=True)
    subprocess.run([TOOL, "put", box.root, wheels, "/opt/wheels"], check=True)
    box.run("python3", "-m", "venv", "--clear", "/opt/leakwatch")
    box.run(PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", "/opt/wheels", "leakwatchd")


@pytest.fixture(scope="module")
def service(box: Box) -> Box:
    """Install the service, with minutes instead of days, beside a process that leaks."""
    box.write("/etc/leakwatch/config.toml", CONFIG)
    box.write("/opt/leaker.py", LEAKER)
    box.run("systemd-run", "--unit=leaker", "--property=User=nobody", "python3", "/opt/leaker.py")
    done = box.run(COMMAND, "service", "install")
    assert f"{COMMAND} report" in done.stdout
    assert "Kept /etc/leakwatch/config.toml" in done.stdout
    return box


def test_an_environment_in_a_home_is_refused(box: Box) -> None:
    # Not the script, whose first line would still lead to /opt: Python finds itself by where it was called. The box
    # outlives a killed run: -T and the purge before it keep what such a run left from swallowing the copy.
    box.run("cp", "-aT", "/opt/leakwatch", HOME_COPY)
    try:
        done = box.run(f"{HOME_COPY}/bin/python", "-m", "leakwatch", "service", "install", check=False)
    finally:
        box.run("rm", "-rf", HOME_COPY)
    assert done.returncode == 77
    assert "below /root" in done.stderr
    assert "sudo python3 -m venv /opt/leakwatch" in done.stderr
    assert not (box.root / "etc/systemd/system" / UNIT).exists()


def test_it_is_up_and_will_be_after_a_boot(service: Box) -> None:
    assert service.property("ActiveState") == "active"
    assert service.property("SubState") == "running"
    assert service.property("NRestarts") == "0"
    assert service.property("StatusText")
    assert service.out("systemctl", "is-enabled", UNIT) == "enabled"


def test_systemd_finds_no_fault_with_the_unit(service: Box) -> None:
    done = service.run("systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}")
    assert (done.stdout, done.stderr) == ("", "")


def test_its_exposure_is_small(service: Box) -> None:
    verdict = service.out("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSURE, verdict


def test_it_has_two_capabilities_and_a_user_of_its_own(service: Box) -> None:
    status = service.out("cat", f"/proc/{service.property('MainPID')}/status")
    wanted = (1 << 19) | (1 << 2)  # CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(re.findall(rf"{name}:\s+(\w+)", status)[0], 16) == wanted
    assert int(re.findall(r"Uid:\s+(\d+)", status)[0]) >= 61184  # where systemd takes dynamic users from
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert re.search(r"Seccomp:\s+2", status)


def test_a_leak_is_reported_and_warned_of(service: Box) -> None:
    def finding() -> dict[str, Any] | None:
        return next(filter(leaker, service.report()["findings"]), None)

    found = wait("a finding about leaker.service", lambda: (f := finding()) and f["verdict"] == "leak" and f, 120)
    rate = found["slope_bytes_per_hour"]
    assert 0.5 * 7.2e9 < rate < 1.5 * 7.2e9
    warnings = wait(
        "a warning that names it",
        lambda: [entry for entry in service.log("-p", "warning") if "leaker" in str(entry["MESSAGE"])],
        30,
    )
    assert warnings[0]["SYSLOG_IDENTIFIER"] == "leakwatch"
    assert warnings[0]["MESSAGE_ID"] == LEAK_FOUND
    assert "leaker" in warnings[0]["LEAKWATCH_NAME"]


def test_it_reads_everything(service: Box) -> None:
    report = service.report()
    host = report["host"]
    assert host["processes_read"] > 3
    assert host["slab_caches_read"] > 20
    assert host["vmalloc_callers_read"] > 3
    assert report["absences"].get("denied", 0) == 0, report["absence_examples"]


def test_killed_it_is_back_within_seconds_with_its_data(service: Box) -> None:
    pid = service.property("MainPID")
    before = service.report()
    service.run("kill", "-KILL", pid)
    wait("a new main process that is ready", lambda: back(service, pid), 10)
    assert service.property("NRestarts") == "1"
    after = service.report()
    assert after["host"]["scrapes"] > before["host"]["scrapes"] > 20
    assert {one["id"] for one in after["findings"]} >= {one["id"] for one in before["findings"] if leaker(one)}


def leaker(finding: dict[str, Any]) -> bool:
    return "leaker" in finding["name"]


def back(service: Box, pid: str) -> bool:
    return service.property("ActiveState") == "active" and service.property("MainPID") not in ("0", pid)


def test_it_stops_at_once(service: Box) -> None:
    begin = time.monotonic()
    service.run("systemctl", "stop", UNIT)
    assert time.monotonic() - begin < 2
    assert service.property("Result") == "success"


def test_a_wrong_configuration_is_named_and_not_retried(service: Box) -> None:
    service.write("/etc/leakwatch/config.toml", CONFIG.replace("interval", "intervall"))
    try:
        done = service.run(COMMAND, "service", "install", check=False)
        assert done.returncode == 69
        assert "intervall" in done.stderr
        assert service.property("ActiveState") == "failed"
    finally:
        service.write("/etc/leakwatch/config.toml", CONFIG)


def test_installing_again_starts_it_with_its_data(service: Box) -> None:
    service.run(COMMAND, "service", "install")
    assert service.property("ActiveState") == "active"
    assert any(map(leaker, service.report()["findings"]))


def test_uninstalling_keeps_configuration_and_store(service: Box) -> None:
    said = service.out(COMMAND, "service", "uninstall")
    assert "Kept /etc/leakwatch, /var/lib/leakwatch" in said
    assert service.property("LoadState") == "not-found"
    assert (service.root / "etc/leakwatch/config.toml").read_text() == CONFIG
    assert (service.root / "var/lib/private/leakwatch/leakwatch.db").exists()
    assert service.run(COMMAND, "report", check=False).returncode == 0


def test_purging_leaves_nothing(service: Box) -> None:
    service.run(COMMAND, "service", "uninstall", "--purge")
    for path in ("etc/leakwatch", "var/lib/private/leakwatch", "var/lib/leakwatch", f"etc/systemd/system/{UNIT}"):
        assert not os.path.lexists(service.root / path)
