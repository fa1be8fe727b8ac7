"""Standard output that is full, closed or not read any more, as a real command meets it; ends by a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.outputs.hostile_store import PLAIN, make_store, make_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.live

COMMAND = [sys.executable, "-m", "leakwatch"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("streams")
    config = root / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{make_store(root / "leakwatch.db", PLAIN)}"\n')
    capture = root / "capture.csv"
    capture.write_text("time,series,value\n" + "".join(f"{60 * at},a,{at}\n" for at in range(1, 9)))
    return {"config": str(config), "tree": str(make_tree(root / "tree", PLAIN)), "capture": str(capture)}


def run(made: dict[str, str], arguments: Sequence[str], redirection: str) -> tuple[int, str, str]:
    argv = [*COMMAND, *(one.format(**made) for one in arguments)]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *argv], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


CONFIG = ("--config", "{config}")
VERBS = (
    ("--help",), ("report", *CONFIG), ("report", "--format", "json", *CONFIG), ("explain", "name0", *CONFIG),
    ("incidents", *CONFIG), ("ps", "--proc", "{tree}"), ("ps", "--proc", "{tree}", "--bar"),
    ("maps", "20001", "--once", "--proc", "{tree}"), ("kernel", "--proc", "{tree}"), ("stats", *CONFIG),
    ("analyze", "{capture}"), ("analyze", "--format", "jsonl", "{capture}"), ("backtest", "{capture}"),
    ("config", "show", *CONFIG), ("db", "stats", *CONFIG), ("db", "check", *CONFIG), ("db", "export", *CONFIG),
    ("db", "export", "--format", "jsonl", *CONFIG), ("doctor", "--proc", "{tree}", *CONFIG),
    ("evidence", "--list", *CONFIG),
)  # fmt: skip


@pytest.mark.parametrize("arguments", VERBS, ids=[" ".join(one) for one in VERBS])
def test_output_that_cannot_be_written_is_74_and_one_line(made: dict[str, str], arguments: Sequence[str]) -> None:
    for redirection, why in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        code, _, err = run(made, arguments, redirection)
        assert code == 74
        assert err.splitlines()[-1] == f"leakwatch: standard output cannot be written: {why}"
        assert err.count("leakwatch: ") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("report", "--exit-code", *CONFIG), 1),  # a leak is not passed because a pager was left
        (("analyze", "--exit-code", "{capture}"), 3),
        (("db", "export", *CONFIG), 0),
        (("ps", "--proc", "{tree}"), 0),
    ],
)
def test_a_reader_that_goes_away_is_no_error(made: dict[str, str], arguments: Sequence[str], code: int) -> None:
    argv = [*COMMAND, *(one.format(**made) for one in arguments)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        err = child.stderr.read()
        assert child.wait(60) == code
    assert "Broken pipe" not in err
    assert "Traceback" not in err


def test_messages_that_cannot_be_written_change_nothing(made: dict[str, str]) -> None:
    for redirection in ("2>/dev/full", "2>&-"):
        assert run(made, ("report", "--exit-code", *CONFIG), redirection)[0] == 1
        assert run(made, ("explain", "nothing", *CONFIG), redirection)[0] == 67


def test_no_file_takes_the_number_of_a_closed_stream(made: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code, _, _ = run(made, ("db", "export", "-o", str(out), *CONFIG), "<&- >&- 2>&-")
    assert code == 0
    assert out.read_text().startswith("time,series,value,estimated\n")
    assert len(out.read_text().splitlines()) > len(PLAIN)


@pytest.mark.parametrize(
    "arguments",
    [
        ("db", "export", "-o", "/dev/full"),
        ("db", "export", "--format", "jsonl", "-o", "/dev/full"),
        ("evidence", "name0", "-o", "/dev/full"),
    ],
    ids=" ".join,
)
def test_a_device_is_written_to_and_stays_one(made: dict[str, str], arguments: Sequence[str]) -> None:
    code, _, err = run(made, (*arguments, *CONFIG), "")
    assert code == 74
    assert err == "leakwatch: /dev/full cannot be written: No space left on device\n"
    assert Path("/dev/full").is_char_device()


def test_standard_output_by_its_name(made: dict[str, str], tmp_path: Path) -> None:
    assert run(made, ("db", "export", "-o", "/dev/stdout", *CONFIG), f">{tmp_path}/a.csv")[0] == 0
    assert (tmp_path / "a.csv").read_text().startswith("time,series,value,estimated\n")
    code, _, err = run(made, ("evidence", "name0", "-o", "/dev/stdout", *CONFIG), f"| cat >{tmp_path}/b")
    assert (code, "README.txt says what is what" in err) == (0, True)
    with tarfile.open(tmp_path / "b") as tar:  # a bundle that is no directory is packed
        assert "leakwatch-evidence/README.txt" in tar.getnames()


def test_the_store_is_not_replaced_by_its_own_export(made: dict[str, str]) -> None:
    store = Path(made["config"]).with_name("leakwatch.db")
    before = store.read_bytes()
    for suffix in ("", "-wal", ".lock"):
        code, _, err = run(made, ("db", "export", "--force", "-o", f"{store}{suffix}", *CONFIG), "")
        assert (code, "is the store itself" in err) == (73, True)
    assert store.read_bytes() == before


WAITS = """
import sys, time
from pathlib import Path
from leakwatch.cli import main, output
from leakwatch.text import outfile
with main.in_order(), output.written(sys.argv[1], binary=True, force=True) as (_, out):
    out.write(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_and_the_old_file(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(number)
        assert child.wait(30) == -number  # as a process that does not handle it
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert path.read_bytes() == b"old"


def test_a_run_that_took_no_scrape_says_so_and_is_no_success(made: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path / "new.db"}"\n')
    arguments = ("daemon", "--for", "0.0001s", "--proc", "{tree}", "--config", str(config))
    code, _, err = run(made, arguments, "")
    assert code == 4
    assert "no scrape was taken" in err.splitlines()[-1]
