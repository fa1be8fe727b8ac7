"""What the operator reads when something is wrong: golden messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.config import Config, load_config
from leakwatch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MANY = """\
intervall = 3
[sampling]
slow_evry = 5
slow_every = true
[analysis]
windows = [
  "1h",
  "4x",
  7,
]
interval = "5s"
[store]
url = "postgresql://user:secret@host/db"
max_size = 1
[threshold]
[thresholds]
min_rate = 65536
redis = {min_rate = "1KiB/h"}
[thresholds.service]
nginx = 3
"" = {horizon = nan}
[thresholds.service."red=\\u001b*"]
"min=rate" = "5"
horizon = "-1d"
[thresholds.kernal."dentry"]
[ignore]
users = ["", 3, "ok"]
services = "x"
"""

MANY_PROBLEMS = """\
1: intervall: unknown key; did you mean interval below [sampling]?
3: [sampling] slow_evry: unknown key; did you mean slow_every?
4: [sampling] slow_every: a boolean is not a whole number; write one from 1 to 1000
6: [analysis] windows: item 2: '4x' is not a duration; write it like 60s, 15m, 1h30m or 10d
11: [analysis] interval: unknown key; did you mean interval below [sampling]?
13: [store] url: only SQLite is supported for now, not "postgresql"; write "sqlite:////var/lib/leakwatch/leakwatch.db"
14: [store] max_size: 1 is out of range; write "8MiB" to "16TiB"
15: [threshold]: unknown table; did you mean [thresholds]?
17: [thresholds] min_rate: a number is not a rate; write it like "256KiB/h", "1MiB/d" or "200KiB/s"
18: [thresholds] redis: unknown table; write [thresholds.KIND."redis"] with KIND one of service, process, kernel
20: [thresholds.service.nginx]: a number where a table is needed; write [thresholds.service."NAME*"] and the keys below it
21: [thresholds.service.""]: an empty pattern matches nothing; write a name or a pattern like "java*"
21: [thresholds.service.""] horizon: nan is out of range; write "1s" to "3650d"
23: [thresholds.service."red=\\u001b*"] min=rate: unknown key; did you mean min_rate?
24: [thresholds.service."red=\\u001b*"] horizon: '-1d' is not a duration; write it like 60s, 15m, 1h30m or 10d
25: [thresholds] kernal: unknown table; did you mean [thresholds.kernel]?
27: [ignore] users: item 1: an empty pattern matches nothing; write a name or a pattern like "java*"
27: [ignore] users: item 2: a number is not a pattern; write a name like "nginx" or a pattern like "java*"
28: [ignore] services: a text is not a list; write it like ["cron", "backup-*"]
"""  # noqa: E501 - golden


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.toml"


def problems_in(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(file))
    assert str(caught.value).splitlines() == list(caught.value.problems), "each problem is one line"
    return [problem.removeprefix(f"{file}:").lstrip() for problem in caught.value.problems]


def loaded(file: Path, text: str) -> Config:
    file.write_text(text)
    return load_config(str(file))


def test_every_problem_is_reported_at_once_with_its_line_and_what_to_write(file: Path) -> None:
    assert problems_in(file, MANY) == MANY_PROBLEMS.splitlines()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = [1,\n", "not valid TOML: Invalid value (at end of document)"),
        ("[sampling]\ninterval = 60s\n", "2: column 14: not valid TOML: Expected newline or end of document"),
        ("\ufeff[sampling]\n", "1: column 1: not valid TOML: Invalid statement"),
        (f"a = {'9' * 5000}\n", "a number too long or a nesting too deep; this is no configuration"),
        (f"a = {'[' * 100_000}\n", "a number too long or a nesting too deep; this is no configuration"),
        (f"\n{'a.' * 20_000}b = 1\n", "2: more than 500 dots in a line; break it into several"),
        ("#\n" * (1 << 17) + "#", "cannot be read: it holds more than 256 KiB; see to the file or leave it out"),
    ],
)
def test_what_is_not_toml_is_told_in_one_line(file: Path, text: str, problem: str) -> None:
    (told,) = problems_in(file, text)
    assert told.startswith(problem.partition(" after")[0])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("sampling.interval = 0", '0 is out of range; write "0.1s" to "1d"'),
        ('sampling.interval = "50ms"', '\'50ms\' is out of range; write "0.1s" to "1d"'),
        ('sampling.interval = "2d"', '\'2d\' is out of range; write "0.1s" to "1d"'),
        ("sampling.interval = inf", 'inf is out of range; write "0.1s" to "1d"'),
        ("sampling.interval = nan", 'nan is out of range; write "0.1s" to "1d"'),
        ("sampling.interval = true", "a boolean is not a duration; write it like "),
        ("sampling.interval = 2024-01-01", "a date or time is not a duration; write it like "),
        ("sampling.interval = {}", "a table is not a duration; write it like "),
        (f"sampling.interval = 0x{'F' * 5000}", "a number of that size is out of range; write "),
        ("sampling.slow_every = 0", "0 is out of range; write 1 to 1000"),
        ("sampling.slow_every = 5.0", "a number is not a whole number; write one from 1 to 1000"),
        ('sampling.tolerance = "1KiB"', '\'1KiB\' is out of range; write "4KiB" to "1GiB"'),
        ('sampling.max_age = "2d"', '\'2d\' is out of range; write "1s" to "1d"'),
        ("sampling.cpu_budget = 2", "2 is out of range; write a number above 0 and up to 1, like 0.01 "),
        ('sampling.cpu_budget = "1%"', "a text is not a ratio; write a number like 0.01 for one percent"),
        ('sampling.max_stall = "0ms"', '\'0ms\' is out of range; write "0.001s" to "1h"'),
        ("analysis.windows = []", "0 windows are not possible; write 1 to 8"),
        (f"analysis.windows = {[3600 * n for n in range(1, 10)]}", "9 windows are not possible; write 1 to 8"),
        ('analysis.windows = "1h"', 'a text is not a list; write it like ["1h", "4h", "16h"]'),
        ('analysis.windows = ["4h", "1h"]', "1h comes after 4h; write each window longer than the one before"),
        ('analysis.windows = ["1h", 3600]', "1h comes after 1h; write each window longer than the one before"),
        ("analysis.windows = [3600.5]", "3600.5s is not a whole number of seconds; round it"),
        ('analysis.windows = ["2000d"]', 'item 1: \'2000d\' is out of range; write "2s" to "365d"'),
        ("store.keep_samples = 0", '0 is out of range; write "1s" to "3650d"'),
        ("store.keep_blocks = -1", '-1 is out of range; write "1s" to "3650d"'),
        ('store.max_size = "7MiB"', '\'7MiB\' is out of range; write "8MiB" to "16TiB"'),
        ("store.max_size = 1e9", 'a number is not a size; write it like "512KiB", "64MiB" or whole bytes'),
        (f'store.max_size = "{"9" * 400}"', f"'{'9' * 400}' is not a size; write it like "),
        ('thresholds.min_rate = "0KiB/h"', '\'0KiB/h\' is out of range; write "1B/h" to "1024TiB/h"'),
        ('thresholds.min_rate = "64KiB"', "'64KiB' is not a rate; write it like 256KiB/h, 1MiB/d or 200KiB/s"),
        ("thresholds.min_growth = 0", '0 is out of range; write "1B" to "1024TiB"'),
        ("thresholds.min_growth_ratio = 0", "0 is out of range; write a number above 0 and up to 1, like 0.01 "),
        ("thresholds.min_growth_ratio = 1.5", "1.5 is out of range; write a number above 0 and up to 1, like 0.01 "),
        ('thresholds.min_growth_ratio = "1%"', "a text is not a ratio; write a number like 0.01 for one percent"),
        ('thresholds.sensitivity = "hgih"', '\'hgih\' is none of the words there are; write "low", "normal" or '),
        ("thresholds.sensitivity = 0.75", 'a number is not a word; write "low", "normal" or "high"'),
        ('thresholds.horizon = "soon"', "'soon' is not a duration; write it like 60s, 15m, 1h30m or 10d"),
        ('ignore.users = ["ok", " "]', 'item 2: an empty pattern matches nothing; write a name or a pattern like "'),
        ("store.url = 5", 'a number is not a URL; write "sqlite:////var/lib/leakwatch/leakwatch.db", or "" to have it'),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(file: Path, setting: str, problem: str) -> None:
    path, _, _ = setting.partition(" = ")
    table, _, key = path.partition(".")
    (told,) = problems_in(file, setting)
    assert told.startswith(f"1: [{table}] {key}: {problem}")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/var/lib/x.db", "a path is not a URL"),
        ("mysql://root:hunter2@db/x", 'only SQLite is supported for now, not "mysql"'),
        ("sqlite+pysqlite:////x.db", 'only SQLite is supported for now, not "sqlite+pysqlite"'),
        ("sqlite://", "a database in memory would forget everything at each restart"),
        ("sqlite:///", "a database in memory would forget everything at each restart"),
        ("sqlite:///:memory:", "a database in memory would forget everything at each restart"),
        ("sqlite:///file:x?mode=memory&uri=true", "a database in memory would forget everything at each restart"),
        ("sqlite://x.db", "a SQLite URL has three slashes and then the path"),
        ("sqlite:////x.db?timeout=3", "options after a ? are not supported"),
        ("sqlite:////srv/", "this names a directory, not a file"),
        ("sqlite:////srv/a\\u0000b", "there are characters in it that do not belong in a path"),
        ("sqlite:///~/x.db", "~ is not expanded here"),
    ],
)
def test_a_store_other_than_a_sqlite_file_is_refused_without_repeating_the_url(
    file: Path, url: str, problem: str
) -> None:
    assert problems_in(file, f'[store]\nurl = "{url}"') == [
        f'2: [store] url: {problem}; write "sqlite:////var/lib/leakwatch/leakwatch.db"'
    ]


@pytest.mark.parametrize("url", ["", "sqlite:////var/lib/x.db", "sqlite:///x.db", "sqlite:///a/b.db"])
def test_a_sqlite_file_is_accepted_by_full_or_relative_path(file: Path, url: str) -> None:
    assert loaded(file, f'store.url = "{url}"').store.url == url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'sampling.interval = "10m"',
            (
                "1: [sampling] interval: at one sample every 10m the shortest window, 1h, holds 6 but 12 are needed; "
                "set [sampling] interval to 5m or less, or let [analysis] windows begin with 2h or more"
            ),
        ),
        (
            '[analysis]\nwindows = ["10m", "1h"]',
            (
                "2: [analysis] windows: at one sample every 1m the shortest window, 10m, holds 10 but 12 are needed; "
                "set [sampling] interval to 50s or less, or let [analysis] windows begin with 12m or more"
            ),
        ),
        (
            'analysis.windows = ["1h", "100d"]',
            (
                "1: [analysis] windows: blocks are kept for 90d but the longest window is 100d; "
                "set [store] keep_blocks to 100d or more, or drop that window"
            ),
        ),
        (
            'store.keep_blocks = "7d"',
            (
                "1: [store] keep_blocks: blocks are kept for 7d but the longest window is 10d; "
                "set [store] keep_blocks to 10d or more, or drop that window"
            ),
        ),
        (
            'store.keep_samples = "90m"',
            (
                "1: [store] keep_samples: samples are kept for 90m but the shortest window is 1h and 2 of it are "
                "needed; set [store] keep_samples to 2h or more"
            ),
        ),
    ],
)
def test_a_contradiction_names_both_numbers_and_a_way_out(file: Path, text: str, problem: str) -> None:
    assert problems_in(file, text) == [problem]


def test_all_contradictions_are_reported_at_once(file: Path) -> None:
    text = '[sampling]\ninterval = "1h"\n[store]\nkeep_samples = "1h"\nkeep_blocks = "1d"\n'
    assert [problem.split(":")[0] for problem in problems_in(file, text)] == ["2", "4", "5"]


def test_a_value_that_is_wrong_anyway_contradicts_nothing(file: Path) -> None:
    assert len(problems_in(file, 'sampling.interval = "never"\nanalysis.windows = ["1m"]')) == 1
    assert len(problems_in(file, 'sampling = 5\nanalysis.windows = ["1m"]')) == 1


def test_the_advice_of_a_contradiction_is_good_advice(file: Path) -> None:
    # Twelve samples of 0.7 s last 8.4 s, and a window is whole seconds.
    (problem,) = problems_in(file, 'sampling.interval = "0.7s"\nanalysis.windows = ["8s"]')
    assert "interval to 0.666s or less" in problem
    assert "begin with 9s or more" in problem
    assert loaded(file, 'sampling.interval = "0.666s"\nanalysis.windows = ["8s"]')
    assert loaded(file, 'sampling.interval = "0.7s"\nanalysis.windows = ["9s"]')


@pytest.mark.parametrize("window_s", [2, 5, 7, 11, 13, 3601])
def test_exactly_twelve_samples_are_enough_whatever_floating_point_makes_of_them(file: Path, window_s: int) -> None:
    assert loaded(file, f"sampling.interval = {window_s / 12}\nanalysis.windows = [{window_s}]")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# [sampling]\n\n[ sampling ] # here\n\n  oops = 1\n", 5),
        ("[sampling]\n'oops' = 1\n", 2),
        ("sampling = {slow_every = 3,\toops = 1}\n", 1),
        ("[store]\nkeep_samples = 1e6\n[sampling]\nslow_every = 3\noops = 1\n", 5),
        ("x.y = 1\nsampling.oops = 1\n", 2),
        ('[thresholds.service."a = b]"]\noops = 1\n', 2),
    ],
)
def test_the_line_is_that_of_the_key_in_its_table(file: Path, text: str, line: int) -> None:
    assert any(problem.startswith(f"{line}: ") and "oops" in problem for problem in problems_in(file, text))


def test_a_name_cannot_forge_lines_or_drive_the_terminal(file: Path) -> None:
    problems = problems_in(file, '"a\\nleakwatch: all is well\\u001b[2J\\u2028" = 1\n[sampling]\n"\\u202e" = 1\n')
    assert all(problem.isprintable() for problem in problems)


def test_a_file_full_of_mistakes_is_told_in_no_time(file: Path) -> None:
    # Scanning the text anew for each of them took half a minute.
    problems = problems_in(file, "[sampling]\n" + "".join(f"k{number} = 1\n" for number in range(2000)))
    assert problems[19].startswith("21: [sampling] k19: unknown key")
    assert problems[20:] == ["and 1,980 more problems like these"]
