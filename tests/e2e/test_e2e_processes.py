"""What a daemon says of processes that leak and of processes that do not, after two and a half minutes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.e2e.e2e_shared import BOUNDED, WINDOW_S, SharedRun
from tests.e2e.e2e_tools import by_pid, ms_of, report, run_command, wait_for
from tests.e2e.e2e_workloads import HOSTILE_NAMES

pytestmark = [pytest.mark.live, pytest.mark.slow]


def by_service(found: dict[str, Any], end: str) -> dict[str, Any]:
    """Return the finding about what is called so, whichever of its processes it names."""
    (one,) = [one for one in found["findings"] if (one["service"] or "").endswith(f" {end}") and one["unit"] == "bytes"]
    assert isinstance(one, dict)
    return one


LEAKERS = ("c-leak", "py-leak")
FORMATS = ("table", "json", "csv", "markdown")


@pytest.mark.parametrize("name", LEAKERS)
def test_a_leak_is_found_with_its_rate(shared_run: SharedRun, name: str) -> None:
    shared_run.require(name)
    workload = shared_run.workloads[name]
    found = by_pid(shared_run.report, workload.pid)
    truth = workload.slope_per_hour(ms_of(found["evaluated_at"]), WINDOW_S)
    print(f"{name}: {found['slope_bytes_per_hour'] / truth - 1:+.2%} of {truth:.0f} bytes/h", found["reason"])
    assert found["verdict"] == "leak", found
    assert found["slope_bytes_per_hour"] == pytest.approx(truth, rel=0.10)
    assert found["slope_low"] <= truth * 1.02
    assert found["slope_high"] >= truth * 0.98
    assert found["metric"] == "process.uss_swap_bytes"
    assert found["kind"] == "process"


def test_the_fastest_comes_first(shared_run: SharedRun) -> None:
    ours = {shared_run.workloads[name].pid for name in LEAKERS if name in shared_run.workloads}
    ours |= {shared_run.workloads[name].pid for name in HOSTILE_NAMES}
    leaks = [one for one in shared_run.report["findings"] if one["pid"] in ours and one["verdict"] == "leak"]
    rates = [one["slope_bytes_per_hour"] for one in leaks]
    fastest = next(shared_run.workloads[name].pid for name in LEAKERS if name in shared_run.workloads)
    assert leaks[0]["pid"] == fastest
    assert rates[0] == max(rates)


@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_bounded_is_no_leak(shared_run: SharedRun, name: str) -> None:
    shared_run.require(name)
    found = by_service(shared_run.report, name)
    assert found["verdict"] != "leak", found
    assert not [line for line in shared_run.daemon.announced() if found["id"] in line]


@pytest.mark.parametrize("name", [*LEAKERS, *HOSTILE_NAMES])
def test_a_leak_is_announced_once_with_rate_and_id(shared_run: SharedRun, name: str) -> None:
    shared_run.require(name)
    found = by_pid(shared_run.report, shared_run.workloads[name].pid)
    lines = [line for line in shared_run.daemon.announced() if f"(pid {found['pid']}" in line]
    assert len(lines) == 1
    assert "iB/h (" in lines[0]
    assert found["id"] in lines[0]
    assert name in lines[0]


def test_the_exit_code_tells_of_leaks(shared_run: SharedRun) -> None:
    for arguments, code in (
        (["--exit-code"], 1),
        ([], 0),
        (["--exit-code", "--pid", shared_run.workloads["py-leak"].pid], 1),
    ):
        done = run_command("report", "--config", shared_run.config, *map(str, arguments))
        assert done.returncode == code, arguments
    # The run has ended: that it was fine is not that it is.
    fine = ("report", "--config", shared_run.config, "--exit-code", "--pid", str(shared_run.workloads["idle"].pid))
    wait_for("the last scrape is old", lambda: run_command(*fine).returncode == 4)


def test_filters_narrow_the_report(shared_run: SharedRun, own_name: str) -> None:
    pid = shared_run.workloads["py-leak"].pid
    found = by_pid(shared_run.report, pid)
    for arguments in (
        ["--pid", str(pid)],
        ["--name", found["id"]],
        ["--unit", "*py-leak"],
        ["--unit", "py-leak", "--user", own_name],
    ):
        assert [one["pid"] for one in report(shared_run.config, *arguments)["findings"]] == [pid], arguments
    assert report(shared_run.config, "--user", "no-such-user")["findings"] == []
    verdicts = {one["verdict"] for one in report(shared_run.config, "--verdict", "leak")["findings"]}
    assert verdicts == {"leak"}
    assert report(shared_run.config, "--pid", str(pid), "--verdict", "ok")["findings"] == []


def test_one_window_alone(shared_run: SharedRun) -> None:
    pid = shared_run.workloads["py-leak"].pid
    alone = by_pid(report(shared_run.config, "--window", "1m"), pid)
    trend = next(one for one in by_pid(shared_run.report, pid)["windows"] if one["window_s"] == 60)
    assert alone["slope_bytes_per_hour"] == trend["slope_bytes_per_hour"]
    refused = run_command("report", "--config", shared_run.config, "--window", "7m")
    assert refused.returncode == 2
    assert "30 s" in refused.stderr


def test_every_format_is_well_formed(shared_run: SharedRun) -> None:
    texts = {form: _formatted(shared_run, form) for form in FORMATS}
    assert json.loads(texts["json"])["schema"] == 2
    rows = list(csv.DictReader(io.StringIO(texts["csv"], newline="")))
    assert len(rows) == len(json.loads(texts["json"])["findings"])
    assert {row["verdict"] for row in rows} >= {"leak", "ok"}
    table = [line for line in texts["markdown"].splitlines() if line.startswith("|")]
    assert len(table) == len(rows) + 2
    assert any(line.split()[:2] == ["verdict", "what"] for line in texts["table"].splitlines())


def _formatted(shared_run: SharedRun, form: str, *arguments: str) -> str:
    more = arguments or ("--verdict", "all")
    done = run_command("report", "--config", shared_run.config, "--format", form, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "c-hostile"])
def test_a_hostile_name_stays_a_name(shared_run: SharedRun, form: str, name: str) -> None:
    shared_run.require(name)
    pid = shared_run.workloads[name].pid
    assert by_pid(shared_run.report, pid)["verdict"] == "leak"
    text = _formatted(shared_run, form, "--pid", str(pid), "--verdict", "all")
    assert all(char.isprintable() or char in "\r\n" for char in text)
    if form == "markdown":
        assert "<b>" not in text
        assert "<x>" not in text
        assert len([line for line in text.splitlines() if line.startswith("|")]) == 3
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(text, newline=""))
        assert not row["name"].startswith(("=", "+", "-", "@"))
    if form == "table":
        assert len([line for line in text.splitlines() if f"(pid {pid})" in line]) == 1


def test_the_log_is_one_line_an_event(shared_run: SharedRun) -> None:
    lines = shared_run.daemon.log.splitlines()
    assert all(" leakwatch: " in line and line[:2] == "20" for line in lines), lines
    assert all(char.isprintable() for line in lines for char in line)


def test_the_daemon_stays_small_and_soon_grows_little(shared_run: SharedRun) -> None:
    # Other tests run meanwhile, and what it fills then in windows of a minute can look like a leak: that it is called
    # none where it is left alone is asserted of the demonstration.
    exported = run_command("db", "export", "--config", shared_run.config, "--metric", "process.uss_bytes",
                           "--target", f"proc/*[[]{shared_run.daemon.pid}[]]")  # fmt: skip
    values = [int(row["value"]) for row in csv.DictReader(io.StringIO(exported.stdout))]
    assert len(values) > 75
    assert max(values) < 45_000_000
    assert values[-1] - values[len(values) // 2] < 5_000_000, "in 75 s"


def test_it_sampled_all_the_time(shared_run: SharedRun) -> None:
    host = shared_run.report["host"]
    assert host["interval_s"] == 1
    assert host["scrapes"] + host["scrapes_missed"] > 140
    assert host["scrapes"] > 75  # a busy machine may be late now and then
