"""The built wheel, installed into an empty environment and used from a directory that knows nothing of the checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.e2e.e2e_tools import PATIENCE_S, write_config

pytestmark = [pytest.mark.live, pytest.mark.slow]

CHECKOUT = Path(__file__).parents[2]
INSTALL_S = 240
UNIT = """\
from leakwatch.system.service_install import shipped
print(shipped("_systemd/leakwatch.service", "systemd/leakwatch.service"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the environment the wheel is installed in."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("the build backend (hatchling) is not installed")
    directory = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    built = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    assert built.returncode == 0, built.stderr
    (wheel,) = directory.glob("leakwatchd-*.whl")
    environment = directory / "venv"
    try:
        venv.create(environment, with_pip=True)
    except subprocess.CalledProcessError:
        pytest.skip("this Python cannot make environments with pip (Debian: python3-venv)")
    argv = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--retries", "1", str(wheel)]
    got = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    if got.returncode:
        pytest.skip(f"the dependencies cannot be had: {(got.stderr.strip().splitlines() or ['?'])[-1][:120]}")
    return environment


def run_installed(installed: Path, directory: Path, program: str, *arguments: object) -> str:
    """Run a program of the environment in the directory, and return what it printed; it must not fail."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "STATE_", "XDG_"))}
    done = subprocess.run(
        [installed / "bin" / program, *map(str, arguments)],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_it_comes_from_the_environment_alone(installed: Path, tmp_path: Path) -> None:
    place = run_installed(installed, tmp_path, "python", "-c", "import leakwatch; print(leakwatch.__file__)")
    assert Path(place.strip()).is_relative_to(installed)


def test_it_tells_its_version(installed: Path, tmp_path: Path) -> None:
    import leakwatch

    assert run_installed(installed, tmp_path, "leakwatch", "--version") == f"leakwatch {leakwatch.__version__}\n"


def test_it_watches_and_reports(installed: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    run_installed(installed, tmp_path, "leakwatch", "daemon", "--config", config, "--for", "2s")
    found = json.loads(
        run_installed(installed, tmp_path, "leakwatch", "report", "--config", config, "--format", "json")
    )
    assert found["host"]["processes_read"] > 0
    assert found["evaluated_at"] is not None


def test_it_brings_its_configuration_and_its_unit(installed: Path, tmp_path: Path) -> None:
    example = run_installed(installed, tmp_path, "leakwatch", "config", "default")
    assert example == (CHECKOUT / "config.example.toml").read_text()
    unit = Path(run_installed(installed, tmp_path, "python", "-c", UNIT).strip())
    assert unit.is_relative_to(installed)
    assert unit.read_text() == (CHECKOUT / "systemd/leakwatch.service").read_text()


def test_it_diagnoses(installed: Path, tmp_path: Path) -> None:
    proc = CHECKOUT / "tests/data/proc/linux-6.18-x86_64/proc"
    assert "meminfo" in run_installed(installed, tmp_path, "leakwatch", "doctor", "--proc", proc)
