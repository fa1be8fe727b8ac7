"""``leakwatch ps`` on recorded trees, whose every figure is known."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leakwatch.cli.main import main
from tests.procfs.test_hidepid import tree as mounted

KIB = 1024
Trees = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
KEYS = ["pid", "user", "name", "command", "swap_bytes", "uss_bytes", "pss_bytes", "rss_bytes", "vss_bytes"]


def listed(capsys: Capture, proc: Path, *options: str) -> list[dict[str, Any]]:
    """Return what ``ps --format json`` prints."""
    assert main(["ps", "--proc", str(proc), "--format", "json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def lines(capsys: Capture, proc: Path, *options: str) -> list[str]:
    """Return the lines of ``ps``."""
    assert main(["ps", "--proc", str(proc), *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_json_is_one_array_of_objects_with_bytes(proc_tree: Trees, capsys: Capture) -> None:
    found = listed(capsys, proc_tree("linux-5.15-arm64-64k"))
    assert [list(one) for one in found] == [KEYS] * 4
    assert [one["pid"] for one in found] == [1, 2231, 5150, 2210], "by PSS, the largest last"
    assert found[3] == {
        "pid": 2210,
        "user": found[3]["user"],
        "name": "postgres",
        "command": "/usr/lib/postgresql/14/bin/postgres -D /var/lib/postgresql/14/main",
        "swap_bytes": 1024 * KIB,
        "uss_bytes": found[3]["uss_bytes"],
        "pss_bytes": 210048 * KIB,
        "rss_bytes": 410112 * KIB,
        "vss_bytes": 655360000,
    }


def test_kernel_threads_and_zombies_are_not_listed_and_no_error(proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(proc_tree("linux-6.18-x86_64")), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert {one["pid"] for one in json.loads(out)} == {18674, 18675, 18676, 18677, 18678}
    assert err == ""


def test_a_process_without_its_main_thread_is_listed_with_its_size(proc_tree: Trees, capsys: Capture) -> None:
    (one,) = listed(capsys, proc_tree("linux-6.18-x86_64"), "--pid", "18678")
    assert one["uss_bytes"] > 20 << 20
    assert one["vss_bytes"] > one["rss_bytes"]


def test_the_table_has_smems_columns_in_smems_order(proc_tree: Trees, capsys: Capture) -> None:
    heading, *rows = lines(capsys, proc_tree("linux-3.10-x86_64"))
    assert heading.split() == ["PID", "User", "Command", "Swap", "USS", "PSS", "RSS"]
    assert [row.split()[0] for row in rows] == ["1", "1301"]
    assert rows[1].split()[-4:] == ["4096", "65200", "65773", "66924"], "KiB"
    assert "/usr/libexec/mysqld --basedir=/usr" in rows[1]


@pytest.mark.parametrize(
    ("options", "pids"),
    [
        (["-s", "rss"], [1, 5150, 2231, 2210]),
        (["-s", "rss", "-r"], [2210, 2231, 5150, 1]),
        (["-s", "name"], [5150, 2210, 2231, 1]),
        (["-s", "vss", "-r"], [5150, 2231, 2210, 1]),
        (["-P", "postgres"], [2231, 2210]),
        (["-P", "autovacuum"], [2231]),
        (["-P", "^/app"], [5150]),
        (["-U", "^root$"], [1]),
        (["-U", "^root$", "-n"], [1]),
        (["-s", "user", "-n"], [1, 2210, 2231, 5150]),
        (["--pid", "5150", "--pid", "1", "--pid", "77"], [1, 5150]),
    ],
)
def test_options_choose_and_order(options: list[str], pids: list[int], proc_tree: Trees, capsys: Capture) -> None:
    assert [one["pid"] for one in listed(capsys, proc_tree("linux-5.15-arm64-64k"), *options)] == pids


def test_with_a_mapping_filter_only_what_matches_is_summed(proc_tree: Trees, capsys: Capture) -> None:
    found = listed(capsys, proc_tree("linux-3.10-x86_64"), "-M", r"heap|SYSV")
    assert [(one["pid"], one["pss_bytes"], one["vss_bytes"]) for one in found] == [
        (1, 2000 * KIB, 2048 * KIB),
        (1301, (60000 + 512) * KIB, (65536 + 4096) * KIB),
    ]
    assert [one["pid"] for one in listed(capsys, proc_tree("linux-4.9-armv7"), "-M", "libc")] == [402]


def test_by_mapping_sums_over_processes(proc_tree: Trees, capsys: Capture) -> None:
    found = {one["map"]: one for one in listed(capsys, proc_tree("linux-3.10-x86_64"), "-m")}
    assert found["[heap]"] == {
        "map": "[heap]",
        "pids": 2,
        "count": 2,
        "avgpss_bytes": 31000 * KIB,
        "swap_bytes": 4096 * KIB,
        "uss_bytes": 62000 * KIB,
        "pss_bytes": 62000 * KIB,
        "rss_bytes": 62000 * KIB,
        "vss_bytes": 67584 * KIB,
    }
    assert found["/SYSV00000000 (deleted)"]["pids"] == 1


def test_by_mapping_every_column_can_be_had(proc_tree: Trees, capsys: Capture) -> None:
    columns = "map count pids swap uss rss pss vss avguss avgpss avgrss"
    rows = lines(capsys, proc_tree("linux-3.10-x86_64"), "-m", "-c", columns, "-M", "heap", "-t", "-H")
    assert rows[0].split() == ["[heap]", "2", "2", "4096", *["62000"] * 3, "67584", *["31000"] * 3]
    assert rows[2].split() == ["1", "2", "2", "4096", *["62000"] * 3, "67584"], "a sum of averages means nothing"


def test_by_user_sums_over_processes(proc_tree: Trees, capsys: Capture) -> None:
    found = {one["user"]: one for one in listed(capsys, proc_tree("linux-5.15-arm64-64k"), "-u", "-n")}
    assert {user: one["count"] for user, one in found.items()} == {0: 1, 113: 2, 1000: 1}
    assert found[113]["pss_bytes"] == (210048 + 30000) * KIB
    assert found[113]["vss_bytes"] == 655360000 + 656408576


def test_the_whole_machine_adds_up(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    total = next(
        int(line.split()[1]) * KIB
        for line in (proc / "meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    found = listed(capsys, proc, "-w")
    assert sum(one["used_bytes"] for one in found) == total
    assert [one["used_bytes"] - one["cache_bytes"] for one in found] == [one["noncache_bytes"] for one in found]
    assert found[0]["area"] == "firmware/hardware"
    with_firmware = listed(capsys, proc, "-w", "-R", "64GiB")
    assert with_firmware[0]["used_bytes"] == (64 << 30) - total


def test_totals_stand_below_a_line(proc_tree: Trees, capsys: Capture) -> None:
    rows = lines(capsys, proc_tree("linux-5.15-arm64-64k"), "-t", "-c", "pid,user,name,pss,vss", "-n")
    assert set(rows[-2]) == {"-"}
    assert rows[-1].split() == ["4", "3", str(8000 + 30000 + 80000 + 210048), rows[-1].split()[-1]]


def test_sizes_with_suffixes_and_as_shares(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    columns = ("-H", "--pid", "1301", "-c", "swap uss pss")
    assert lines(capsys, proc, "-k", *columns) == ["4.0M  63.7M  64.2M"]
    assert lines(capsys, proc, "-k", "-H", "--pid", "1", "-c", "swap") == ["0"]
    memory = {
        line.split()[0]: int(line.split()[1]) for line in (proc / "meminfo").read_text().splitlines() if "kB" in line
    }
    swap, pss = 4096 / memory["SwapTotal:"], 65773 / memory["MemTotal:"]
    assert lines(capsys, proc, "-p", *columns)[0].split()[::2] == [f"{100 * swap:.2f}%", f"{100 * pss:.2f}%"]
    assert lines(capsys, proc, "-p", "-R", "65773K", *columns)[0].split()[2] == "100.00%"


def test_shares_of_what_is_not_there_are_not_given(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    (proc / "meminfo").unlink()
    assert lines(capsys, proc, "-p", "-H", "--pid", "1301", "-c", "swap pss") == ["N/A  N/A"]
    assert main(["ps", "--proc", str(proc), "-w"]) == 69
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "meminfo: ENOENT" in err


def test_a_value_the_kernel_does_not_give_is_no_zero(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    for smaps in proc.glob("*/smaps"):
        smaps.write_bytes(re.sub(rb"Swap:.*\n", b"", smaps.read_bytes()))
    assert [one["swap_bytes"] for one in listed(capsys, proc, "-s", "swap")] == [None, None]
    rows = lines(capsys, proc, "-H", "-t", "-c", "swap pss")
    assert [row.split()[0] for row in (rows[0], rows[-1])] == ["-", "-"]


def test_a_column_that_takes_a_longer_read_changes_no_other(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-3.10-x86_64")
    found = listed(capsys, proc, "-c", "pid maps uss vss", "-s", "maps")
    assert [(one["pid"], one["maps"]) for one in found] == [(1, 1), (1301, 5)]
    sizes = [(one["uss_bytes"], one["vss_bytes"]) for one in found]
    assert sizes == [(one["uss_bytes"], one["vss_bytes"]) for one in listed(capsys, proc)]


def test_a_hostile_name_cannot_write_to_the_terminal(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    (row,) = lines(capsys, proc, "--pid", "18675", "-H", "-c", "pid name")
    assert row == r"18675  ) R 1 (\x0a\xff\xfe"
    (one,) = listed(capsys, proc, "--pid", "18675")
    assert one["name"] == ") R 1 (\n\\xff\\xfe"


def test_a_long_command_is_cut_in_a_pipe_and_whole_in_json(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-5.15-arm64-64k")
    (proc / "5150" / "cmdline").write_bytes(b"/app/api-server\0" + "端".encode() * 100 + b"\0")
    (row,) = lines(capsys, proc, "--pid", "5150", "-H", "-c", "command pss")
    assert row.split()[0] == "/app/api-server"
    assert row.split()[1] == "端" * 15 + "…", "48 columns of a terminal; these characters take two"
    assert listed(capsys, proc, "--pid", "5150")[0]["command"] == "/app/api-server " + "端" * 100


def test_a_process_without_a_command_line_is_named_in_brackets(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-5.15-arm64-64k")
    (proc / "5150" / "cmdline").write_bytes(b"")
    assert listed(capsys, proc, "-P", "^.api-server")[0]["command"] == "[api-server]"


def test_what_cannot_be_read_is_told_on_standard_error(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-5.15-arm64-64k")
    (proc / "5150" / "smaps_rollup").write_bytes(b"what is this\n")
    assert main(["ps", "--proc", str(proc), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 3
    assert err.startswith("Not read: 1 process, such as ")
    assert "5150/smaps_rollup: smaps_rollup: the first line does not end in [rollup]" in err


def test_that_others_are_hidden_is_said(proc_tree: Trees, capsys: Capture) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    mounted(proc, "hidepid=invisible")
    assert main(["ps", "--proc", str(proc), "--pid", "1"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("Not shown: processes of others, which /proc hides (hidepid=invisible); ")
    assert said.count("\n") == 1
    assert main(["maps", "1", "--once", "--proc", str(proc)]) == 77
    said = capsys.readouterr().err
    assert said.startswith("leakwatch: maps: if there is a process 1, /proc hides it (hidepid=invisible); needs CAP_")
    shutil.rmtree(proc / "self")
    assert main(["maps", "1", "--once", "--proc", str(proc)]) == 67


def test_nothing_that_matches_is_said_and_no_error(proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(proc_tree("linux-3.10-x86_64")), "-P", "nobody's", "-t", "-m"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["Map", "PIDs", "AVGPSS", "PSS"]
    assert err == "No process matches.\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-c", "pid pps"], "-c: no column 'pps' in this view; did you mean"),
        (["-u", "-s", "command"], "-s: no column 'command' in this view"),
        (["-c", " "], "-c: names no column"),
        (["-P", "("], "-P: '(' is no regular expression"),
        (["-R", "many"], "-R: 'many' is not a size"),
        (["-o", "x.png"], "add --bar or --pie"),
        (["--bar", "-o", "x.gif"], "must end in .png, .svg or .pdf"),
        (["--pie", "--format", "json"], "leave one of them out"),
        (["--pie", "nme"], "--pie: no column 'nme' in this view; did you mean name?"),
        (["--pie", "-s", "user"], "a chart draws sizes or counts, not user"),
    ],
)
def test_a_wrong_argument_is_one_line_and_2(options: list[str], words: str, proc_tree: Trees, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(proc_tree("linux-3.10-x86_64")), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_a_root_that_is_no_proc_is_69(tmp_path: Path, capsys: Capture) -> None:
    assert main(["ps", "--proc", str(tmp_path)]) == 69
    assert "is it a /proc?" in capsys.readouterr().err


def test_the_columns_are_named_by_help_and_loaded_for_it_alone(capsys: Capture) -> None:
    # The list of all verbs loads none of them.
    code = (
        "import sys; from leakwatch.cli.main import build_parser; "
        "build_parser(''); print('leakwatch.ps.views' in sys.modules)"
    )
    built = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert built.stdout == "False\n"
    with pytest.raises(SystemExit):
        main(["ps", "--help"])
    out = capsys.readouterr().out
    assert "by process:  pid user name command maps swap uss pss rss vss" in out
    assert "{columns}" not in out
