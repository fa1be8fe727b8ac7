"""``leakwatch config check|show|default``, through its own parser."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli import config as cli
from leakwatch.config import default_toml
from leakwatch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def run(*argv: str) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE")
    parser = argparse.ArgumentParser(prog="leakwatch")
    cli.add_parser(parser.add_subparsers(dest="verb", required=True), common, "")
    args = parser.parse_args(["config", *argv])
    return int(args.run(args))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text('[sampling]\ninterval = "30s"\n')
    return path


def test_check_names_the_files_it_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--config", str(file)) == 0
    assert capsys.readouterr().out == f"configuration is valid\n  read {file}\n"


def test_config_may_stand_before_the_action(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--config", str(file), "check") == 0
    assert str(file) in capsys.readouterr().out


def test_check_raises_every_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[sampling]\na = 1\nb = 2\n")
    with pytest.raises(ConfigError) as caught:
        run("check", "--config", str(file))
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 2
    assert capsys.readouterr().out == ""


def test_show_prints_the_values_in_force_as_toml(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "--config", str(file)) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"# The values in force.\n# read {file}\n\n[sampling]\n")
    sampling = tomllib.loads(shown)["sampling"]
    assert (sampling["interval"], sampling["slow_every"]) == ("30s", 5)


def test_without_files_show_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("leakwatch.cli.config.ETC", tmp_path)
    monkeypatch.setattr("leakwatch.config.load_config.__kwdefaults__", {"etc": tmp_path})
    assert run("show") == 0
    assert f"# no file in {tmp_path}: all defaults\n" in capsys.readouterr().out


def test_default_prints_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("default") == 0
    assert capsys.readouterr().out == default_toml()


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run()
    assert caught.value.code == 2
    assert "ACTION" in capsys.readouterr().err


def test_the_list_of_verbs_loads_none_of_them() -> None:
    program = (
        "import sys; from leakwatch.cli.main import VERBS, build_parser; build_parser('')\n"
        "asked = ['leakwatch.config', 'tomllib', *(module for module, _ in VERBS.values())]\n"
        "print([name for name in asked if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
