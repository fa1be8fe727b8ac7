"""Charts, in the terminal and in a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from leakwatch.cli.main import main
from leakwatch.ps.chart import SHOWN, bar, bars, draw, shares
from leakwatch.ps.table import Scale, TableStyle
from leakwatch.ps.views import PROCESSES, Row

MIB = 1 << 20
Trees = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
SCALE = Scale(TableStyle.KIB, 1000 * MIB, 100 * MIB)


def row(name: str, pss_mib: int, uss_mib: int = 1) -> Row:
    sizes: Row = {"swap": 0, "uss": uss_mib * MIB, "pss": pss_mib * MIB, "rss": pss_mib * MIB, "vss": 0}
    return {"pid": 1, "user": "root", "name": name, "command": name, "maps": None, **sizes}


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.5, 10, plain=False) == "█████"
    assert bar(0.25, 10, plain=False) == "██▌"
    assert bar(0.5, 10, plain=True) == "#####"
    assert bar(0, 10, plain=False) == ""


def test_bars_stand_in_order_with_size_and_share_of_memory() -> None:
    rows = [row("small", 10), row("large", 400), row("middle", 100)]
    assert draw(bars(PROCESSES, rows, "name", ("pss",), SCALE), None, plain=True).splitlines() == [
        "PSS by name, of 1000.0M",
        "large   400.0M  40.0%  " + "#" * 40,
        "middle  100.0M  10.0%  " + "#" * 10,
        "small    10.0M   1.0%  #",
    ]


def test_several_columns_stand_below_one_another() -> None:
    text = draw(bars(PROCESSES, [row("one", 400, 200)], "name", ("pss", "uss"), SCALE), 60, plain=True)
    assert [line.split()[:-1] for line in text.splitlines()[1:]] == [
        ["one", "PSS", "400.0M", "40.0%"],
        ["USS", "200.0M", "20.0%"],
    ]
    assert [line.count("#") for line in text.splitlines()] == [0, 35, 18], "60 columns less what stands before"


def test_what_a_screen_has_no_room_for_is_said() -> None:
    rows = [row(f"p{number}", number) for number in range(1, 31)]
    lines = draw(bars(PROCESSES, rows, "name", ("pss",), SCALE), None, plain=True).splitlines()
    assert len(lines) == 1 + SHOWN + 1
    assert lines[1].split()[0] == "p30"
    assert lines[-1] == "10 more, not drawn: PSS 55.0M together"


def test_those_of_one_label_are_one_bar() -> None:
    rows = [row("worker", 30), row("master", 40), row("worker", 20)]
    chart = bars(PROCESSES, rows, "name", ("pss", "uss"), SCALE)
    assert chart.labels == ("worker (2)", "master")
    assert chart.values == ((50 * MIB, 2 * MIB), (40 * MIB, MIB))


def test_the_whole_machine_is_drawn_by_what_is_used(proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "-w", "--proc", str(proc_tree("linux-6.18-x86_64")), "--pie"]) == 0
    heading, *slices = capsys.readouterr().out.splitlines()
    assert heading.startswith("Used by area, of ")
    assert slices[0].startswith("free memory ")
    shown = [float(word.rstrip("%")) for line in slices for word in line.split() if word.endswith("%")]
    assert sum(shown) == pytest.approx(100, abs=0.2)


def test_slices_of_the_pie_make_up_the_whole_and_small_ones_are_together() -> None:
    rows = [row("large", 400), row("middle", 30), row("tiny", 4), row("tinier", 2), row("nothing", 0)]
    chart = shares(PROCESSES, rows, "name", "pss", SCALE)
    assert chart.labels == ("large", "middle", "other", "everything else")
    assert [values[0] // MIB for values in chart.values] == [400, 30, 6, 564]


def test_a_pie_of_what_is_no_memory_is_of_their_sum(proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(proc_tree("linux-5.15-arm64-64k")), "-u", "-n", "--pie", "-s", "count"]) == 0
    heading, *slices = capsys.readouterr().out.splitlines()
    assert heading == "Count by user"
    assert [line.split()[:3] for line in slices] == [["113", "2", "50.0%"], ["0", "1", "25.0%"], ["1000", "1", "25.0%"]]


def test_bars_without_a_label_are_named_by_the_view(proc_tree: Trees, capsys: Capture) -> None:
    proc = str(proc_tree("linux-5.15-arm64-64k"))
    assert main(["ps", "--proc", proc, "--bar"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "postgres", "api-server", "systemd",
    ]  # fmt: skip
    assert main(["ps", "--proc", proc, "--bar", "pid", "-H", "-s", "rss"]) == 0
    assert capsys.readouterr().out.split()[0] == "2210"


def test_a_label_is_made_safe_and_cut() -> None:
    text = draw(bars(PROCESSES, [row("\x1b[31m" + "x" * 60, 1)], "name", ("pss",), SCALE), None, plain=True)
    assert "\x1b" not in text
    assert r"\x1b[31mxxxxxxxxxxxxxxxxxxxxxxx…" in text


def test_nothing_to_draw_is_a_heading(proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(proc_tree("linux-3.10-x86_64")), "--bar", "-P", "nobody's"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("PSS by name")
    assert err == "No process matches.\n"


def test_without_matplotlib_one_line_says_what_to_install_and_no_file_is_left(proc_tree: Trees, tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from leakwatch.cli.main import main; sys.exit(main())"
    proc, picture = str(proc_tree("linux-3.10-x86_64")), tmp_path / "x.png"
    argv = [sys.executable, "-c", code, "ps", "--proc", proc, "--bar", "-o", str(picture)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'leakwatchd[plot]'" in done.stderr
    assert not picture.exists()


@pytest.mark.parametrize("kind", ["--bar", "--pie"])
def test_a_picture_in_a_file(kind: str, proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'leakwatchd[plot]')")
    proc, picture = proc_tree("linux-5.15-arm64-64k"), tmp_path / "memory.svg"
    # A name that matplotlib would take for a formula, and a wrong one.
    (proc / "5150" / "stat").write_text((proc / "5150" / "stat").read_text().replace("(api-server)", r"($\frac$)"))
    options = ["ps", "--proc", str(proc), kind, "name", "-R", "1GiB", "-o", str(picture)]
    assert main(options) == 0
    assert ET.parse(picture).getroot().tag.endswith("svg")
    drawn = picture.read_text()
    for text in ("postgres", r"$\frac$", "PSS by name"):
        assert f"<!-- {text}" in drawn, text
    assert main(options) == 73
    assert "--force" in capsys.readouterr().err
    assert main([*options, "--force"]) == 0


def test_a_picture_as_png(proc_tree: Trees, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'leakwatchd[plot]')")
    picture = tmp_path / "memory.png"
    proc = str(proc_tree("linux-5.15-arm64-64k"))
    assert main(["ps", "--proc", proc, "--bar", "-c", "uss pss rss", "-o", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_there_is_no_picture_of_nothing(proc_tree: Trees, tmp_path: Path, capsys: Capture) -> None:
    proc = str(proc_tree("linux-6.18-x86_64"))
    assert main(["ps", "--proc", proc, "--pie", "-s", "swap", "-o", str(tmp_path / "x.svg")]) == 2
    assert "there is nothing to draw" in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.skipif(shutil.which("script") is None, reason="needs script(1), which gives a program a terminal")
def test_on_a_terminal_lines_fit_and_the_unit_is_told(proc_tree: Trees) -> None:
    proc = proc_tree("linux-5.15-arm64-64k")
    (proc / "5150" / "cmdline").write_bytes(b"/app/api-server\0" + b"x" * 300 + b"\0")
    command = f"stty cols 70; {sys.executable} -m leakwatch ps --proc {proc}"
    argv = ["script", "-qec", command, "/dev/null"]
    environment = {
        name: value for name, value in os.environ.items() if name != "COLUMNS"
    }  # it goes before the terminal
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL, env=environment
    )
    rows = done.stdout.replace("\r", "").splitlines()
    assert max(map(len, rows)) == 70
    assert "Sizes in KiB; -k shows units." in rows
    assert "\x1b" not in done.stdout
