"""Explanations of captured series: what they foretell comes true when the same series goes on."""

from __future__ import annotations

import json
from math import exp
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture, settings_of
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.cli.main import main
from leakwatch.clock import END_S
from leakwatch.config import Config
from leakwatch.explain.captured import case_of
from leakwatch.explain.outlook import outlook
from leakwatch.explain.text import next_steps, render
from leakwatch.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from leakwatch.explain.case import Case

START_S = 1_750_000_000
HOUR, MIB, DAY_S = 3600, 1 << 20, 86_400
SETTINGS = settings_of(Config())
QUARTER_MS = 900_000


def series(level: Callable[[float], float], hours: float, name: str = "proc/shop[812]") -> Capture:
    """A sample a minute of a level in bytes by hours, with 200 KiB of noise on it."""
    minutes = np.arange(round(hours * 60))
    noise = np.random.default_rng(1).random(len(minutes)) * 200 * 1024
    values = np.array([level(at / 60) for at in minutes]) + noise
    return Capture(name, subject_of(name), (START_S + 60 * minutes) * 1000, np.round(values))


def leaking(hour: float) -> float:
    return 500 * MIB + 20 * MIB * hour


def flat(hour: float) -> float:
    return 500.0 * MIB


def explained(capture: Capture) -> Case:
    return case_of([capture], None, SETTINGS)


def first_alert(capture: Capture) -> int:
    (outcome,) = replay([capture], SETTINGS)
    return outcome.alerts[0][0]


def test_a_suspicion_is_decided_when_it_says() -> None:
    whole = first_alert(series(leaking, 12))
    case = explained(series(leaking, 6.3))
    comes = outlook(case)
    assert (case.verdict, case.suspected) == (Verdict.WATCH, True)
    assert comes.at_ms == whole
    assert comes.decides == "leak, if growth goes on as forecast"
    assert len(comes.pending) == 2


@pytest.mark.parametrize("hours", [1.6, 2.5, 4.0, 4.9])
def test_clear_growth_is_a_leak_no_sooner_than_said_and_about_then(hours: float) -> None:
    whole = first_alert(series(leaking, 12))
    case = explained(series(leaking, hours))
    comes = outlook(case)
    assert case.verdict is Verdict.WATCH
    assert [test.criterion for test in case.failed] == ["long_enough"]
    assert comes.at_ms is not None
    assert whole - QUARTER_MS <= comes.at_ms <= whole


def test_growth_that_begins_now_is_a_leak_no_sooner_than_said() -> None:
    case = explained(series(flat, 10))
    assert case.verdict is Verdict.OK
    later = first_alert(series(lambda hour: leaking(max(0.0, hour - 10)), 24))
    at_ms = outlook(case).at_ms
    assert at_ms is not None
    assert at_ms <= later <= at_ms + 8 * QUARTER_MS


def test_a_first_verdict_comes_when_it_says() -> None:
    case = explained(series(flat, 0.3))
    at_ms = outlook(case).at_ms
    assert case.verdict is Verdict.LEARNING
    assert at_ms is not None

    def verdict_at(ms: int) -> Verdict:
        hours = (ms / 1000 - START_S) / HOUR + 1 / 40  # with the sample that completes the block
        return explained(series(flat, hours)).verdict

    assert verdict_at(at_ms) is Verdict.OK
    assert verdict_at(at_ms - QUARTER_MS) is Verdict.LEARNING


def test_what_grows_is_not_told_to_have_no_data() -> None:
    # Judged at once as it grows, but no window is full yet.
    case = explained(series(lambda hour: 500 * MIB + 2000 * MIB * hour, 1.05))
    assert case.verdict is Verdict.WATCH  # as analyze says of it
    test = case.test("enough_data")
    assert test is not None
    assert (test.measured, test.threshold) == (62 * 60, HOUR)
    assert outlook(case).decides == "a first verdict, if samples keep coming"


def test_a_leak_is_taken_back_when_it_says() -> None:
    grown = 14
    case = explained(series(leaking, grown))
    assert case.verdict is Verdict.LEAK
    pause = next(change for change in outlook(case).changes if "no new high" in change)
    # 14 h of alarm_state: a quarter of it, more than the two hours that are the least.
    assert "no new high for 3 h 38 min" in pause
    (outcome,) = replay([series(lambda hour: leaking(min(hour, grown)), 30)], SETTINGS)
    ((_, end),) = outcome.alerts
    assert end is not None
    stopped_ms = (START_S + grown * HOUR) * 1000
    # A high is the lowest of half an hour, and counts from 2 % on.
    assert 0 <= end - stopped_ms - 218 * 60_000 <= 5 * QUARTER_MS


def test_a_leak_whose_memory_is_given_back_below_the_level_it_names() -> None:
    case = explained(series(leaking, 14))
    back = next(change for change in outlook(case).changes if "stays below" in change)
    assert "below 576 MiB for 2 h" in back  # a quarter of what was gained above where it began

    (outcome,) = replay([series(lambda hour: leaking(hour) if hour < 14 else 560 * MIB, 17)], SETTINGS)
    ((_, end),) = outcome.alerts
    assert end is not None
    assert end <= (START_S + 16 * HOUR) * 1000 + QUARTER_MS


def test_a_warm_up_is_told_to_slow_down() -> None:
    case = explained(series(lambda hour: 500 * MIB + 300 * MIB * (1 - exp(-hour / 3)), 14))
    text = render(case, 0)
    assert text.startswith("watch  proc/shop[812]: grows, may be bounded: ")
    against = text.partition("Against a leak, in the window of 8 h that decided:\n")[2].partition("\n\n")[0]
    assert "it is slowing down." in " ".join(against.split())
    assert "Why: A warm-up or a cache that fills slows down" in " ".join(against.split())
    assert "All of these must hold in one window; then data" in " ".join(text.split())


def test_ok_says_what_it_would_take() -> None:
    text = " ".join(render(explained(series(flat, 14)), 0).split())
    assert text.startswith("ok proc/shop[812]: no sign of a leak; 500 MiB now")
    # 3 % of 500 MiB within half a day; over ten days the least rate is more than 2 %.
    assert "grow by 15.0 MiB within 6 h (+2.50 MiB/h) or 15.0 MiB within 10 d (+64.0 KiB/h); less" in text
    assert "Next:" not in text


def test_what_no_test_says_is_said_all_the_same() -> None:
    case = explained(series(lambda hour: 500 * MIB + (100 * MIB if 2 < hour < 5 else 0), 12))
    assert (case.verdict, case.failed) == (Verdict.OK, ())
    against = render(case, 0).partition("Against a leak:\n")[2].partition("\n\n")[0]
    assert against == "  - Below its highest level of 11 h 55 min."
    # What rose once may rise again, and need not begin anew then.
    assert outlook(case).at_ms == case.next_checkpoint(case.next_checkpoint(case.checkpoint_ms) + 90 * 60_000)


def test_a_leak_is_never_more_than_consistent_with_one() -> None:
    text = render(explained(series(leaking, 14)), 0)
    assert text.startswith("leak  proc/shop[812]: consistent with a leak: +20.0 MiB/h")
    assert "Against a leak" not in text
    assert "sudo leakwatch maps 812 --apart 1m" in text


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("proc/python3[7]", "memray attach --aggregate --duration 60 -o /tmp/leakwatch-7.memray 7"),
        ("proc/java[7]", "jcmd 7 GC.class_histogram"),
        ("proc/redis-server[7]", "heaptrack -o /tmp/leakwatch-7.heaptrack -p 7"),
        ("group/shop", "sudo leakwatch maps PID"),
        ("slab/kmalloc-4k", "/sys/kernel/slab/kmalloc-4k/"),
        ("slab/kmalloc-4k", "kmemleak"),
        ("vmalloc/bpf_prog_alloc+0x10/0x90", "sudo grep -w -- bpf_prog_alloc /proc/kallsyms"),
        ("kernel/PageTables", "VmPTE"),
        ("kernel/Shmem", "df -t tmpfs"),
        ("slab/x y", "grep -w -- 'x y' /proc/slabinfo"),
    ],
)
def test_next_steps_by_what_it_is(name: str, step: str) -> None:
    steps = next_steps(explained(series(leaking, 14, name)))
    assert any(step in one.line for one in steps), steps
    assert [one.risk for one in steps] == sorted(one.risk for one in steps)
    assert all(tool.path is None for one in steps for tool in one.tools)  # of another machine nothing is known


def test_memory_the_kernel_gives_back_is_never_called_a_leak() -> None:
    captures = [series(leaking, 14, "slab/dentry"), series(flat, 14, "kernel/SUnreclaim")]
    case = case_of(captures, "slab/dentry", SETTINGS)
    assert (case.verdict, case.suspected) == (Verdict.WATCH, False)
    assert outlook(case).changes == ("It is never called a leak: the kernel gives this back when memory is asked for.",)
    assert any("drop_caches" in step.command for step in next_steps(case))


def test_samples_a_quarter_of_a_day_apart_are_explained_by_their_number() -> None:
    times = (START_S + 6 * HOUR * np.arange(14)) * 1000
    values = 500.0 * MIB + 20 * MIB * np.arange(14)

    def told(count: int) -> tuple[Verdict, int | None, str]:
        case = explained(Capture("proc/a[1]", subject_of("proc/a[1]"), times[:count], values[:count]))
        assert case.sparse
        return case.verdict, outlook(case).samples, render(case, 0)

    verdict, samples, text = told(4)
    assert (verdict, samples) == (Verdict.LEARNING, 4)
    assert "after 4 more samples, about 2025-06-17T09:06:40Z: a first verdict" in text
    verdict, samples, text = told(8)  # a suspicion awaits two samples
    assert (verdict, samples) == (Verdict.WATCH, 2)
    assert "after 2 more samples, about " in text
    assert told(10)[0] is Verdict.LEAK
    assert "the next sample: each one is judged when it arrives" in told(14)[2]


@pytest.fixture
def file(tmp_path: Path) -> str:
    lines = ["time,series,value"]
    for one in (series(leaking, 14), series(flat, 14, "proc/calm[8]")):
        lines += [f"{ms // 1000},{one.name},{value:.0f}" for ms, value in zip(one.times_ms, one.values, strict=True)]
    path = tmp_path / "capture.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_json_has_every_sentence(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--file", file, "proc/calm[8]", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["series"], found["verdict"]) == (2, "proc/calm[8]", "ok")
    assert found["evidence"][0]["sentence"].startswith("It grew by ")
    assert found["evidence"][0]["purpose"].startswith("[thresholds] min_growth")
    assert found["earliest_at"] == "2025-06-16T11:30:00Z"
    assert (found["confirmation"], found["next_steps"]) == ([], [])
    assert main(["explain", "--file", file, "proc/shop[812]", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["decided_by_window_s"]) == ("leak", 12 * HOUR)
    assert len(found["would_change"]) == 3


def test_text_is_as_wide_as_a_terminal_but_for_commands(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--file", file, "proc/shop[812]"]) == 0
    body = capsys.readouterr().out.partition("\n\n")[2].partition("\nNext:\n")[0]
    assert max(map(len, body.splitlines())) <= 120
    assert "\x1b" not in body


def test_a_series_that_is_not_there_is_67_and_names_those_that_are(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--file", file, "shop"]) == 67
    assert capsys.readouterr().err == "leakwatch: no series is called shop; there is proc/shop[812]\n"
    assert main(["explain", "--file", file, "\x1b"]) == 67
    assert "\x1b" not in capsys.readouterr().err


def test_of_several_series_one_must_be_named(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--file", file]) == 2
    assert "which of the 2 series; there are proc/shop[812], proc/calm[8]" in capsys.readouterr().err


@pytest.mark.parametrize("every_s", [60, DAY_S])
def test_what_lies_beyond_the_calendar_is_told_in_words(
    every_s: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first verdict of a capture that ends in December 9999."""
    file = tmp_path / "late.csv"
    rows = [f"{END_S - every_s * left},proc/shop[8],{500 * MIB}\n" for left in (3, 2, 1)]
    file.write_text("time,series,value\n" + "".join(rows))
    assert main(["explain", "--file", str(file), "proc/shop[8]"]) == 0
    assert "first verdict, if samples keep coming" in capsys.readouterr().out
    assert main(["explain", "--format", "json", "--file", str(file), "proc/shop[8]"]) == 0
    assert json.loads(capsys.readouterr().out)["earliest_at"] is None
