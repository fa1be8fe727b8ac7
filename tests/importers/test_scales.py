"""Units of captured values: said by the file or on the command line, or seen to be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leakwatch.cli.main import main
from leakwatch.errors import EXIT_UNDECIDED, CaptureError
from leakwatch.importers.scales import doubt_of, factor_of
from tests.importers.csv_files import captures, read, read_path, series

CAPTURES = Path(__file__).parents[1] / "data/captures"
KIB = 1024


@pytest.mark.parametrize("most", [1, 1 << 20])
def test_a_column_of_units_is_honoured_row_by_row(most: int) -> None:
    data = b"time,unit,series,value\n1,kB,proc/a[1],4\n2,B,proc/a[1],4\n3,MiB,x,1.5\n4,,proc/a[1]/fds,7\n"
    assert read(data, most) == {
        "proc/a[1]": [(1000, 4.0 * KIB), (2000, 4.0)],
        "x": [(3000, 1.5 * KIB * KIB)],
        "proc/a[1]/fds": [(4000, 7.0)],
    }


@pytest.mark.parametrize(
    "name", ["rss_kb", "RSS(kB)", "uss [KiB]", "value (kB)", "VmRSS_kB", "RSS kB", "mem_kilobytes", "value_kib"]
)
def test_the_name_of_a_column_tells_the_unit(name: str) -> None:
    header = f"time,series,{name}\n".encode()
    data = header + b"1,proc/a[1],4\n1,proc/a[1]/threads,4\n" + header
    assert read(data) == {"proc/a[1]": [(1000, 4.0 * KIB)], "proc/a[1]/threads": [(1000, 4.0)]}


def test_a_column_called_value_is_the_values_whatever_stands_beside_it() -> None:
    assert read(b"time,series,value,swap_kb\n1,x,4,9\n") == {"x": [(1000, 4.0)]}
    assert read(b"time,series,mem_bytes\n1,x,4\n") == {"x": [(1000, 4.0)]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("123 kB", 123 * KIB),
        ("1.2G", 1.2 * KIB**3),
        ("64Mi", 64 * KIB**2),
        ("5 MB", 5e6),
        ("7B", 7.0),
        ("3 KB", 3 * KIB),
    ],
)
def test_a_unit_may_stand_behind_a_number(text: str, value: float) -> None:
    assert read(f"time,series,value\n1,x,{text}\n2,x,5\n".encode()) == {"x": [(1000, value), (2000, 5.0)]}


def test_a_series_may_tell_its_unit() -> None:
    found = read(b"time,series,value\n1,app_rss_kb,4\n1,app_rss_bytes,4\n1,proc/app_kb[3],4\n")
    assert [rows[0][1] for rows in found.values()] == [4.0 * KIB, 4.0, 4.0]


def test_a_unit_that_the_series_and_its_row_tell_counts_once() -> None:
    assert read(b"time,series,value\n1,app_rss_kb,4 kB\n2,app_rss_kb,5\n") == {
        "app_rss_kb": [(1000, 4.0 * KIB), (2000, 5.0 * KIB)]
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"time,series,value,unit\n1,x,5,kB\n2,x,4,pages\n", ":3:7: 'pages' is no unit that is known; write B, kB"),
        (b"time,series,value,unit\n1,x,4,\n", ":2:7: no unit; write"),
        (
            b"time,series,value,unit\n1,proc/a[1]/fds,4,kB\n",
            ":2:19: 'kB' is a unit of memory, and the series is a number",
        ),
        (b"time,series,value\n1,proc/a[1]/fds,4 kB\n", "the series is a number"),
        (b"time,series,value\n1,x,12m\n", ":2:5: 'm' is no unit"),
        (b"time,series,value (pages)\n1,x,12\n", ":1:13: 'pages' is no unit"),
        (b"time,series,rss_kb,uss_kb\n1,x,12,13\n", ":1:20: 'rss_kb' and 'uss_kb' both look like the values"),
        (b"time,series,rss_kb\n1,x,12MiB\n", ":2:5: 'MiB' differs from the unit in the header"),
        (b"time,series,value,unit\n1,x,12MiB,kB\n", "'MiB' differs"),
        (
            b"time,series,value\n1,app_rss_kb,4 MiB\n",
            ":2:14: 'MiB' differs from the unit",
        ),
        (b"time,series,value\n1,x,9300000 TiB\n", "more than any machine has"),
        (b"time,series,value_tib\n1,x,9300000\n", "more than any machine has"),
    ],
)
def test_units_that_are_unknown_or_differ_are_refused_with_the_line(data: bytes, words: str) -> None:
    with pytest.raises(CaptureError) as caught:
        read(data)
    assert words in str(caught.value)


def test_what_is_said_on_the_command_line_counts_for_bytes_only(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time,series,value\n1,proc/a[1],4\n1,proc/a[1]/fds,4\n2,proc/a[1],4 kB\n")
    found = series(read_path(str(file), factor_of("kB")))
    assert found == {"proc/a[1]": [(1000, 4096.0), (2000, 4096.0)], "proc/a[1]/fds": [(1000, 4.0)]}
    with pytest.raises(CaptureError, match="differs from the unit"):
        read_path(str(file), factor_of("MiB"))


@pytest.mark.parametrize(
    "arguments",
    [["analyze", "--unit", "pages", "f"], ["backtest", "--unit", "kB"], ["explain", "x", "--unit", "kB"]],
)
def test_a_unit_that_does_not_fit_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "--unit" in capsys.readouterr().err


def test_a_unit_beside_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--format", "json", str(CAPTURES / "unit-column.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["series"][0]["current_bytes"] == 94413 * KIB


def test_kb_read_as_bytes_is_said_everywhere_and_mended_by_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(CAPTURES / "kb-as-bytes.csv")
    doubt = "look like kB, not bytes: in bytes proc/rpcd[1] would take 5.86 KiB to 370 KiB"
    assert main(["analyze", file]) == 0
    out, err = capsys.readouterr()
    assert doubt in out.splitlines()[1]
    assert doubt in err
    assert main(["analyze", "--format", "jsonl", file]) == 0
    assert doubt in json.loads(capsys.readouterr().out)["doubt"]
    for others in (["backtest", file], ["explain", "--file", file]):
        assert main(others) == 0
        assert doubt in capsys.readouterr().err
    assert main(["analyze", "--exit-code", file]) == EXIT_UNDECIDED
    capsys.readouterr()
    assert main(["analyze", "--unit", "kB", "--exit-code", file]) == 1
    out, err = capsys.readouterr()
    assert "364 MiB since" in out
    assert err == ""


def made(rows: list[tuple[str, list[float]]]) -> str:
    text = "".join(f"{at},{name},{value}\n" for name, values in rows for at, value in enumerate(values))
    return doubt_of(captures(b"time,series,value\n" + text.encode()))


PAGES = [1_204_212 + 4 * step * 37 for step in range(40)]
"""The kB of a large process: whole pages of 4 KiB."""


@pytest.mark.parametrize(
    ("rows", "unit"),
    [
        ([("proc/a[1]", [6000.0])], "kB"),
        ([("proc/a[1]/pss", [6001.0, 6377.0])], "kB"),
        ([("group/shop", PAGES)], "kB"),
        ([("kernel/AnonPages", PAGES)], "kB"),
        ([("proc/a[1]", [120.5, 121.25, 133.0])], "MiB"),
        ([("proc/a[1]", [6000.0]), ("proc/b[2]", [5e6])], "kB"),
    ],
)
def test_values_that_cannot_be_bytes(rows: list[tuple[str, list[float]]], unit: str) -> None:
    assert f"look like {unit}, not bytes" in made(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [("proc/a[1]", [KIB * value for value in PAGES])],
        [("proc/pause[1]", [4096.0, 8192.0, 0.0])],
        [("proc/a[1]", [96678707.0, 96678801.5])],
        [("proc/a[1]/fds", [12.0, 13.0])],
        [("group/heap", [8.0 * value for value in PAGES])],
        [("slab/dentry", [192.0, 384.0])],
        [("kernel/dying_cgroups", [3.0, 4.0])],
        [("queue length", [3.0, 4.0])],
        [("proc/a[1]", [6000.0]), ("proc/b[2]", [5e7]), ("proc/c[3]", [5.1e7])],
    ],
)
def test_values_that_may_well_be_bytes(rows: list[tuple[str, list[float]]]) -> None:
    assert made(rows) == ""
