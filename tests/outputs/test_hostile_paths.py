"""Paths that can be nothing's: a loop of links, a name too long, an empty one. Each ends in a line and a known code."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from leakwatch.cli.main import _unforeseen, main
from leakwatch.store.files import lock
from leakwatch.store.read.reader import Reader
from tests.report.test_report_cli import make_store

PATHS = {"loop": "a", "in a loop": "a/x", "long": "n" * 300, "long path": "abcdefgh/" * 600 + "x"}


@pytest.fixture(params=PATHS.values(), ids=PATHS.keys())
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a path that nothing can be at."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    return tmp_path / str(request.param)


def config_of(tmp_path: Path, store: Path) -> str:
    file = tmp_path / "config.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    return str(file)


def ended(capsys: pytest.CaptureFixture[str], *words: str) -> int:
    """Return the exit code; what was said to standard error is one line."""
    code = main(words)
    said = capsys.readouterr().err
    assert (said.count("\n"), said[:11], "internal" in said) == (1, "leakwatch: ", False)
    return code


@pytest.mark.parametrize(
    "verb",
    [
        "report", "db stats", "db check", "db vacuum", "kernel --since 1h", "explain x", "evidence x", "incidents",
        "stats", "backtest --since 1h",
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_there_is_none(
    verb: str, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(capsys, *verb.split(), "--config", config_of(tmp_path, bad)) == 66


def test_a_daemon_cannot_store_there_and_doctor_says_so(
    bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, bad)
    assert ended(capsys, "daemon", "--for", "1s", "--config", config) == 74
    assert main(["doctor", "--config", config]) == 74
    assert "\nwrong    leakwatch daemon cannot store into " in capsys.readouterr().out


def test_a_name_too_long_for_the_files_beside_it_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(tmp_path, tmp_path / ("n" * 252))
    assert ended(capsys, "daemon", "--for", "1s", "--config", config) == 74
    assert main(["doctor", "--config", config]) == 74
    assert "File name too long" in capsys.readouterr().out


def test_a_user_without_a_home_has_no_store_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that no passwd knows, as in a container."""
    for name in ("HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: 1_234_567)
    monkeypatch.setattr(lock, "SERVICE_DIRECTORY", Path("/nowhere"))
    assert ended(capsys, "daemon", "--for", "1s") == 2
    assert ended(capsys, "report") == 66
    assert main(["doctor"]) == 2
    assert "\nwrong    this user has no home directory" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["ps", "maps 1 --once", "kernel", "doctor", "daemon --for 1s"])
def test_a_tree_that_cannot_be_there_is_none(
    verb: str, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, tmp_path / "leakwatch.db")
    assert ended(capsys, *verb.split(), "--config", config, "--proc", str(bad)) == 69


def test_a_capture_that_cannot_be_there_is_none(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("ps", "-S", str(bad)), ("analyze", str(bad)), ("explain", "--file", str(bad), "x")):
        assert ended(capsys, *words) == 66


def test_an_output_that_cannot_be_there_is_not_written(
    bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, make_store(tmp_path / "leakwatch.db"))
    expected = 73 if bad.name == "a" else 74  # a link stays as it is
    assert ended(capsys, "db", "backup", str(bad), "--config", config) == expected
    assert ended(capsys, "db", "export", "-o", str(bad), "--config", config) == expected
    assert ended(capsys, "evidence", "web", "-o", str(bad), "--config", config) == expected


@pytest.mark.parametrize("words", ["db backup", "db export -o", "evidence web -o", "ps --bar pid -o"])
def test_an_empty_name_is_not_a_default(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words.split(), ""])
    assert "an empty name; give that of a file" in capsys.readouterr().err


def test_what_fails_while_an_error_is_told_is_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Reader, "opened", Path("\0"))  # as one that nobody foresaw
    assert _unforeseen(KeyError("x")) == 70
    assert capsys.readouterr().err.startswith("leakwatch: internal error: KeyError: 'x'")


@pytest.mark.parametrize(
    "words",
    ["ps --proc {}", "explain --file {} x", "maps {}", "{}", "ps -c {}", "report --config {}", "ps --bar -o {}"],
)
def test_a_message_is_short_whatever_was_typed(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main([word.format("\u202e" * 40_000) for word in words.split()])
    said = capsys.readouterr().err
    assert said.startswith(("leakwatch: ", "usage: "))
    assert len(said) < 3000
