"""``leakwatch analyze`` on files: what is printed and how it ends."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from leakwatch.cli.main import main
from leakwatch.errors import EXIT_NO_RESOURCES

HOUR = 3600
MIB = 1 << 20
START = 1_750_000_000


def rows(name: str, hours: int = 24, rate: int = 0, level: int = 500 * MIB) -> list[str]:
    """Return samples every minute: a level that grows by so many bytes an hour, with a little noise on it."""
    return [f"{START + 60 * at},{name},{level + rate * at // 60 + (at * 7919 % 13) * 4096}" for at in range(60 * hours)]


def write(path: Path, *series: list[str]) -> str:
    # Interleaved, as they are sampled.
    lines = [line for at in range(max(map(len, series))) for one in series for line in one[at : at + 1]]
    path.write_text("time,series,value\n" + "\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def leaky(tmp_path: Path) -> str:
    return write(
        tmp_path / "leaky.csv",
        rows("proc/leaker[7]", rate=20 * MIB),
        rows("proc/calm[8]"),
        [f"{START},slab/dentry,4096"],
    )


def test_the_table_begins_with_the_answer(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", leaky]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 leak among 3 series.\n\nverdict  series ")
    assert "leak     proc/leaker[7]" in out
    assert "calm" not in out
    assert "1 leak, 1 learning, 1 ok." in out
    assert "\x1b" not in out


def test_jsonl_has_a_line_a_series_in_the_order_of_the_file(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--format", "jsonl", leaky]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["series"], one["verdict"]) for one in found] == [
        ("proc/leaker[7]", "leak"),
        ("proc/calm[8]", "ok"),
        ("slab/dentry", "learning"),
    ]
    leak, _, single = found
    assert set(leak) == {
        "series", "verdict", "unit", "slope_bytes_per_hour", "slope_low", "slope_high", "since", "grown_bytes",
        "current_bytes", "confidence", "reason", "windows", "evidence",
    }  # fmt: skip
    assert leak["slope_low"] <= leak["slope_bytes_per_hour"] <= leak["slope_high"]
    assert leak["slope_bytes_per_hour"] == pytest.approx(20 * MIB, rel=0.05)
    assert leak["since"].endswith("Z")
    assert {"criterion", "measured", "threshold", "passed"} <= set(leak["evidence"][0])
    assert single["slope_bytes_per_hour"] is None
    assert single["current_bytes"] == 4096


def test_json_is_one_object(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--format", "json", "--verdict", "ok,learning", leaky]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 2
    assert [one["series"] for one in found["series"]] == ["proc/calm[8]", "slab/dentry"]


@pytest.mark.parametrize(
    ("options", "code"), [([], 0), (["--exit-code"], 1), (["--exit-code", "--verdict", "watch"], 0)]
)
def test_the_exit_code_tells_of_leaks_that_are_shown(leaky: str, options: list[str], code: int) -> None:
    assert main(["analyze", *options, leaky]) == code


def test_files_are_hosts_of_their_own(leaky: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(Path(leaky).read_bytes()))
    assert main(["analyze", "--format", "jsonl", leaky, str(packed)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one.pop("file") for one in found] == [leaky] * 3 + [str(packed)] * 3
    assert found[:3] == found[3:]
    assert main(["analyze", leaky, str(packed)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 leaks among 6 series.")
    assert f"    in {packed}\n" in out


def test_the_configuration_decides(leaky: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[thresholds.process."leak*"]\nmin_rate = "50MiB/h"\n')
    assert main(["analyze", "--config", str(config), leaky]) == 0
    assert capsys.readouterr().out.startswith("No leaks found among 3 series.")


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_nothing_is_said_of_a_file_that_is_wrong(
    form: str, leaky: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(Path(leaky).read_text() + f"{START},proc/calm[8],12 pages\n")
    assert main(["analyze", "--format", form, str(wrong)]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"leakwatch: {wrong}:")
    assert err.count("\n") == 1
    assert "'pages' is no unit that is known" in err


@pytest.mark.parametrize("verb", ["analyze", "backtest"])
def test_five_minutes_of_capture_decide_nothing(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = rows("proc/new[9]", rate=20 * MIB)[:5]
    # GIVEN free memory beside it, which is ok at once because it cannot leak
    short = write(tmp_path / "short.csv", lines, [f"{START},kernel/MemFree,5"])
    calm = write(tmp_path / "calm.csv", rows("proc/calm[8]"), lines)
    assert main([verb, "--exit-code", short]) == 3
    assert "not decided: 1 still learning, 0 decided" in capsys.readouterr().err
    assert main([verb, "--exit-code", calm]) == 0  # what is new beside what is decided is usual
    assert main([verb, "--exit-code", calm, short]) == 3  # each file is a host
    assert main([verb, "--exit-code", short, write(tmp_path / "leaky.csv", rows("a", rate=20 * MIB))]) == 1
    assert main([verb, short]) == 0


def test_json_says_what_it_comes_to(tmp_path: Path, leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    short = write(tmp_path / "short.csv", rows("proc/new[9]")[:5])
    for file, expected in ((leaky, ("leak", 2, 1)), (short, ("undecided", 0, 1))):
        assert main(["analyze", "--format", "json", "--verdict", "watch", file]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["outcome"], found["decided"], found["undecided"]) == expected


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "/nonexistent.csv"]) == 66
    assert "No such file" in capsys.readouterr().err


def test_free_memory_that_rises_is_no_leak_by_whatever_name(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[1] / "data/captures/available-rises.csv"
    assert main(["analyze", "--format", "jsonl", str(file)]) == 0
    found = {one["series"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    verdicts = {name: one["verdict"] for name, one in found.items()}
    free = ["node_memory_MemAvailable_bytes", "MemAvailable", "kernel/MemAvailable"]
    assert [verdicts[name] for name in free] == ["ok"] * 3
    assert "takes no memory" in found["MemAvailable"]["reason"]
    assert [name for name, verdict in verdicts.items() if verdict == "leak"] == ["node_memory_SUnreclaim_bytes"]
    assert main(["backtest", "--format", "jsonl", str(file)]) == 0
    alarmed = {one["series"] for one in map(json.loads, capsys.readouterr().out.splitlines()) if one["alerts"]}
    assert alarmed == {"node_memory_SUnreclaim_bytes"}


def test_names_that_are_not_text_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(b"time,series,value\n1,a\xff\x1b[31m,5\n")
    assert main(["analyze", "--verdict", "all", str(path)]) == 0
    assert "a\\xff\\x1b[31m" in capsys.readouterr().out
    assert main(["analyze", "--format", "jsonl", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["series"] == "a\\xff\\x1b[31m"


def test_standard_input_and_a_reader_that_goes_away(leaky: str) -> None:
    command = [sys.executable, "-m", "leakwatch", "analyze", "--format", "jsonl", "-"]
    with Path(leaky).open("rb") as file, subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["series"] == "proc/leaker[7]"
        child.stdout.close()
    assert child.returncode == 0


@pytest.mark.parametrize("room_mb", [70, 80, 90])
def test_too_little_memory_is_never_taken_for_a_leak(room_mb: int, leaky: str) -> None:
    code = (
        "import resource, sys; from leakwatch.cli.main import main;"
        f"resource.setrlimit(resource.RLIMIT_AS, ({room_mb * 1_000_000},) * 2); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "analyze", "--exit-code", leaky]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_NO_RESOURCES
    assert done.stderr.startswith("leakwatch: there is too little memory for this; allow more")
