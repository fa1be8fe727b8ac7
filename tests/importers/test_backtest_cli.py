"""``leakwatch backtest`` on files and on a store: what would have been alarmed when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli.arguments import moment
from leakwatch.cli.main import main
from leakwatch.errors import UsageError
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape, Tick
from leakwatch.store.files.open import open_writer
from tests.importers.test_analyze_cli import HOUR, MIB, START, rows, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def leaky(tmp_path: Path) -> str:
    # It leaks for twelve hours, then it is flat.
    stops = [*rows("proc/stops[7]", hours=12, rate=20 * MIB), *rows("proc/stops[7]", hours=36, level=740 * MIB)[720:]]
    return write(tmp_path / "leaky.csv", stops, rows("proc/goes-on[9]", hours=36, rate=MIB), rows("proc/calm[8]", 36))


@pytest.fixture
def quieter(tmp_path: Path) -> str:
    path = tmp_path / "quieter.toml"
    path.write_text('[thresholds]\nmin_rate = "4MiB/h"\n')
    return str(path)


@pytest.fixture
def loud(tmp_path: Path) -> str:
    path = tmp_path / "loud.toml"
    path.write_text("")
    return str(path)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_jsonl_tells_when_each_series_was_alarmed(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--format", "jsonl", leaky]) == 0
    found = {one["series"]: one for one in lines(capsys)}
    assert all(
        set(one) == {"series", "verdict", "slope_bytes_per_hour", "first_alert", "alerts"} for one in found.values()
    )
    assert found["proc/calm[8]"]["alerts"] == []
    assert found["proc/calm[8]"]["first_alert"] is None
    stops, goes_on = found["proc/stops[7]"], found["proc/goes-on[9]"]
    assert START < stops["first_alert"] < START + 12 * HOUR
    assert stops["alerts"][-1][1] < START + 36 * HOUR
    assert stops["verdict"] != "leak"
    assert goes_on["verdict"] == "leak"
    assert goes_on["alerts"][-1][1] is None
    assert goes_on["slope_bytes_per_hour"] == pytest.approx(MIB, rel=0.1)


def test_the_table_counts_alarms_and_lists_them_by_time(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", leaky]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 of 3 series would have been alarmed, ")
    assert " in 108 series-hours: " in out
    assert out.index("proc/stops[7]") < out.index("proc/goes-on[9]")
    assert "calm" not in out


def test_counts_have_units_and_floors_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN files kept open, 20 an hour, beside memory that grows by 20 bytes an hour, and files that come and go
    leak = [f"{time},proc/web[7]/fds,{40 + (time - START) // 180}" for time in range(START, START + 30 * HOUR, 60)]
    tiny = [line.replace("/fds", "") for line in leak]
    busy = [f"{time},proc/web[8]/fds,{40 + time // 60 % 7}" for time in range(START, START + 30 * HOUR, 60)]
    path = write(tmp_path / "files.csv", leak, tiny, busy)
    # WHEN both commands judge them
    assert main(["backtest", "--format", "jsonl", path]) == 0
    backtested = {one["series"]: one for one in lines(capsys)}
    assert main(["analyze", "--format", "jsonl", path]) == 0
    analyzed = {one["series"]: one for one in lines(capsys)}
    assert main(["analyze", path]) == 0
    table = capsys.readouterr().out
    assert main(["explain", "--file", path, "proc/web[7]/fds"]) == 0
    explained = capsys.readouterr().out
    # THEN the files leak, counted in files, and nothing else does
    files = analyzed["proc/web[7]/fds"]
    assert {name: one["verdict"] for name, one in backtested.items()} == {
        "proc/web[7]/fds": "leak", "proc/web[7]": "ok", "proc/web[8]/fds": "ok",
    }  # fmt: skip
    assert backtested["proc/web[7]/fds"]["slope_count_per_hour"] == pytest.approx(20, rel=0.05)
    assert backtested["proc/web[7]/fds"]["slope_bytes_per_hour"] is None
    assert START + 5 * HOUR < backtested["proc/web[7]/fds"]["first_alert"] < START + 12 * HOUR
    assert (files["verdict"], files["unit"], files["grown_bytes"], files["current_bytes"]) == (
        "leak",
        "count",
        None,
        None,
    )
    assert files["slope_count_per_hour"] == pytest.approx(20, rel=0.05)
    assert files["current_count"] == 40 + 30 * 20 - 1
    assert all(not test["unit"].startswith("bytes") for test in files["evidence"])
    assert "+20/h" in table
    assert "639" in table
    assert "KiB" not in table + explained
    # AND why, with what tells where they are opened
    assert "open files" in explained
    assert "strace -f -k -e trace=desc,network -p 7" in explained


def test_no_alarm_is_an_answer_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", write(tmp_path / "calm.csv", rows("proc/calm[8]", 10))]) == 0
    assert capsys.readouterr().out == "None of 1 series would have been alarmed in 10 series-hours.\n"


def test_two_configurations_side_by_side(
    leaky: str, loud: str, quieter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", "--compare", loud, quieter, leaky]) == 0
    out = capsys.readouterr().out
    assert [line.split()[-2:] for line in out.splitlines() if line.startswith("series alarmed, of 3")] == [["2", "1"]]
    assert "Differences in 1 series:" in out
    differing = next(line for line in out.splitlines() if line.startswith("proc/goes-on[9]"))
    assert differing.endswith("no alarm, ok")
    assert "proc/stops" not in out


def test_two_configurations_that_agree(
    leaky: str, loud: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = tmp_path / "same.toml"
    same.write_text("# nothing\n")
    assert main(["backtest", "--compare", loud, str(same), leaky]) == 0
    assert capsys.readouterr().out.endswith("Every series has the same alarms and verdict.\n")


def test_lines_say_which_configuration_and_which_file(
    leaky: str, loud: str, quieter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", "--format", "jsonl", "--compare", loud, quieter, leaky, leaky]) == 0
    assert [(one["config"], one["file"]) for one in lines(capsys)] == ([(loud, leaky)] * 3 + [(quieter, leaky)] * 3) * 2


def test_a_longer_step_looks_less_often(leaky: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--format", "jsonl", leaky]) == 0
    often = lines(capsys)
    assert main(["backtest", "--format", "jsonl", "--step", "6h", leaky]) == 0
    seldom = lines(capsys)
    assert {one["series"]: one["verdict"] for one in often} == {one["series"]: one["verdict"] for one in seldom}
    assert all(
        few["first_alert"] >= many["first_alert"] for few, many in zip(seldom, often, strict=True) if few["first_alert"]
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "3d", "f.csv"],
        ["--until", "3d", "f.csv"],
        ["--step", "0s", "f.csv"],
        ["--since", "yesterday"],
        ["--compare", "a.toml", "a.toml", "f.csv"],
        ["--compare", "a.toml", "b.toml", "--config", "c.toml", "f.csv"],
    ],
)
def test_options_that_do_not_fit(
    options: list[str], leaky: str, store: Path, loud: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"f.csv": leaky, "a.toml": loud, "b.toml": str(store), "c.toml": str(store)}
    config = [] if "f.csv" in options else ["--config", str(store)]
    assert main(["backtest", *config, *(names.get(option, option) for option in options)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("leakwatch: --")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a configuration whose store holds eight hours of a cache that grows and a host that does not."""
    path = tmp_path / "leakwatch.db"
    writer = open_writer(path, START * 1000)
    cache = Target(TargetKind.SLAB, "kmalloc-4k")
    for at in range(8 * 60):
        samples = (
            Sample("slab.active_bytes", cache, 50 * MIB + at * MIB // 4),
            Sample("kernel.shmem_bytes", HOST, 5 * MIB),
        )
        writer.write_scrape(
            Scrape(Tick((START + 60 * at) * 1000, "b"), samples, (), (CollectorOutcome("processes", 1, 0),))
        )
    writer.close()
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{path}"\n')
    return config


def test_without_a_file_it_is_the_stores_history(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--config", str(store), "--format", "jsonl"]) == 0
    found = {one["series"]: one for one in lines(capsys)}
    assert set(found) == {"slab/kmalloc-4k", "kernel/Shmem"}
    assert found["slab/kmalloc-4k"]["verdict"] == "leak"
    assert found["slab/kmalloc-4k"]["slope_bytes_per_hour"] == pytest.approx(15 * MIB, rel=0.05)
    assert found["kernel/Shmem"]["alerts"] == []


def test_a_part_of_the_stores_history(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--config", str(store), "--until", str(START + HOUR // 4), "--format", "jsonl"]) == 0
    assert {one["verdict"] for one in lines(capsys)} == {"learning"}
    assert main(["backtest", "--config", str(store), "--since", "1m"]) == 66
    assert "holds no samples of that time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1750000000", 1_750_000_000_000),
        ("1750000000.5", 1_750_000_000_500),
        ("3d", 1_800_000_000_000 - 3 * 86_400_000),
        ("90", 1_800_000_000_000 - 90_000),
        ("99999999999999d", 0),
        ("2026-11-24T05:19:00Z", 1_795_497_540_000),
        ("2026-11-24 05:19:00Z", 1_795_497_540_000),
        (None, None),
    ],
)
def test_times_are_told_as_people_do(text: str | None, ms: int | None) -> None:
    assert moment("--since", text, 1_800_000_000_000) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "nan", "inf", "1e400", "2026-13-01T00:00:00Z", "3 years"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        moment("--since", text, 1_800_000_000_000)
