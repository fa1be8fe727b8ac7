"""The command line of ``leakwatch service``, as far as it goes without a systemd."""

import os
from pathlib import Path

import pytest

from leakwatch.cli.main import main


@pytest.mark.skipif(os.geteuid() == 0, reason="root is not refused")
def test_without_root_the_command_to_type_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install"]) == 77
    assert "sudo /" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to get that far")
@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs this machine")
def test_without_systemd_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install"]) == 69
    assert "systemd does not run this machine" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["service"], ["service", "instal"], ["service", "install", "--purge"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
