"""What must stay true of the unit, checked without starting it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from leakwatch import errors
from leakwatch.procfs.files import WANTED
from leakwatch.system.service_install import MARKER, shipped, unit_text

MOST_EXPOSURE_TENTHS = 11


@pytest.fixture(scope="module")
def template() -> str:
    return shipped("_systemd/leakwatch.service", "systemd/leakwatch.service").read_text("utf-8")


@pytest.fixture(scope="module")
def settings(template: str) -> dict[str, list[str]]:
    """Read the directives; one that is given several times has several values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", template, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_command_is_filled_in_where_it_runs_and_nowhere_else(template: str, settings: dict[str, list[str]]) -> None:
    assert template.count(MARKER) == 1
    assert settings["ExecStart"] == [f"{MARKER} daemon"]
    assert "ExecStart=/opt/leakwatch/bin/leakwatch daemon\n" in unit_text(
        template, Path("/opt/leakwatch/bin/leakwatch")
    )


def test_it_has_the_two_capabilities_and_no_other(settings: dict[str, list[str]]) -> None:
    for name in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert settings[name] == ["CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"]


def test_nothing_blinds_it(settings: dict[str, list[str]]) -> None:
    assert settings["ProtectProc"] == ["default"]
    assert settings["ProcSubset"] == ["all"]
    assert settings["PrivateUsers"] == ["no"]


def test_it_may_keep_a_file_open_for_every_process_its_memory_is_enough_for(settings: dict[str, list[str]]) -> None:
    assert settings["LimitNOFILE"] == [str(WANTED)]


def test_it_comes_back_unless_only_an_operator_can_help(settings: dict[str, list[str]]) -> None:
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    assert settings["RestartPreventExitStatus"] == [f"{errors.EXIT_USAGE} {errors.EXIT_DATA}"]


def test_every_group_says_why(template: str) -> None:
    service = template.partition("[Service]\n")[2].partition("[Install]")[0]
    groups = service.strip().split("\n\n")
    assert all("#" in group for group in groups)


def analyze() -> str:
    """Return the program, or skip where it is missing or older than its offline mode (systemd 250)."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if int(re.match(r"\d+", version)[0]) < 250:  # type: ignore[index]
        pytest.skip(f"systemd-analyze {version} judges running services only")
    return program


def test_its_exposure_is_small(template: str, tmp_path: Path) -> None:
    unit = tmp_path / "leakwatch.service"
    unit.write_text(unit_text(template, Path("/bin/true")))
    argv = [analyze(), "security", "--offline=true", f"--threshold={MOST_EXPOSURE_TENTHS}", "--no-pager", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_finds_no_fault(template: str, tmp_path: Path) -> None:
    unit = tmp_path / "leakwatch.service"
    unit.write_text(unit_text(template, Path("/bin/true")))
    done = subprocess.run([analyze(), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "leakwatch.service" not in done.stderr
