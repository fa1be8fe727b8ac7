"""``leakwatch report`` on real stores: what is printed and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli.main import main
from leakwatch.clock import SystemClock
from leakwatch.collectors.result import outcome_samples
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import AbsenceReason, CollectorOutcome, Sample, Scrape, Tick
from leakwatch.model.verdict import Verdict
from leakwatch.store.files.open import open_writer
from tests.report.report_findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

EVALUATION = {"interval_s": 60.0, "windows_s": [3600, 14400], "horizon_s": 2592000.0}


def _scrape(now_ms: int) -> Scrape:
    outcome = CollectorOutcome(
        "processes", 900, 7, {AbsenceReason.DENIED: 1}, ("denied: /proc/1/smaps_rollup: EACCES",)
    )
    info = ProcessInfo(ProcessIdentity("b", 5, 9), "web", "web", 0, Service(ServiceKind.PROGRAM, "web"))
    samples = [Sample("kernel.mem_total_bytes", HOST, 16 << 30), *outcome_samples(outcome)]
    samples.append(Sample("slab.active_bytes", Target(TargetKind.SLAB, "dentry"), 1 << 20))
    return Scrape(Tick(now_ms, "b"), tuple(samples), (info,), (outcome,))


def make_store(path: Path, *, ended: bool = False, verdict: Verdict = Verdict.LEAK, age_ms: int = 0) -> Path:
    now_ms = SystemClock().now().wall_ms - age_ms
    writer = open_writer(path, now_ms)
    writer.write_scrape(_scrape(now_ms))
    leak = replace(finding("p1", "web", verdict, pid=5, service="web", user="root"), evaluated_at_ms=now_ms)
    quiet = replace(finding("p2", "calm", Verdict.OK, 0.0, pid=6, service="calm.service"), evaluated_at_ms=now_ms)
    entries = [(leak, now_ms if ended else None), (quiet, None)]
    writer.write_evaluation(entries, {}, {"evaluation": {"at_ms": now_ms} | EVALUATION}, now_ms)
    writer.close()
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "leakwatch.db")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "config.toml"


def report(config: Path, store: Path, *options: str) -> int:
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    return main(["report", "--config", str(config), *options])


def test_the_table_says_who_leaks(config: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(config, store) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 leak among 7 processes.\n\nverdict  what ")
    assert "web (pid 5)" in out
    assert "calm" not in out
    assert "Not read: 1 value refused by the kernel (such as /proc/1/smaps_rollup: EACCES)." in out
    assert "\x1b" not in out


def test_json_is_the_whole_contract(config: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(config, store, "--format", "json", "--verdict", "all") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 2
    assert {one["id"]: one["verdict"] for one in found["findings"]} == {"p1": "leak", "p2": "ok"}
    assert found["host"]["processes_read"] == 7
    assert found["host"]["mem_total_bytes"] == 16 << 30
    assert found["host"]["windows_s"] == [3600, 14400]
    assert found["counts"] == {"leak": 1, "ok": 1}
    assert found["absences"] == {"denied": 1}
    assert found["sampling"] is True


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_the_other_formats_list_it_too(
    config: Path, store: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(config, store, "--format", form) == 0
    assert "web" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--name", "calm", "--verdict", "all"], {"p2"}),
        (["--unit", "*.service", "--verdict", "ok"], {"p2"}),
        (["--user", "root", "--verdict", "all"], {"p1"}),
        (["--pid", "5"], {"p1"}),
        (["--pid", "6"], set()),
        (["--name", "web", "--name", "calm", "--verdict", "leak,ok"], {"p1", "p2"}),
        (["--window", "1h"], {"p1"}),
    ],
)
def test_options_narrow(
    config: Path, store: Path, options: list[str], shown: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(config, store, "--format", "json", *options) == 0
    assert {one["id"] for one in json.loads(capsys.readouterr().out)["findings"]} == shown


def test_who_asks_about_one_is_told_that_others_leak(
    config: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(config, store, "--name", "calm") == 0
    assert "1 more leak not shown: the options exclude it." in capsys.readouterr().out


def test_exit_code_1_when_something_shown_leaks_or_did_lately(config: Path, store: Path, tmp_path: Path) -> None:
    assert report(config, store) == 0
    assert report(config, store, "--exit-code") == 1
    assert report(config, store, "--exit-code", "--name", "calm", "--verdict", "all") == 0
    assert report(config, make_store(tmp_path / "watch.db", verdict=Verdict.WATCH), "--exit-code") == 0
    ended = make_store(tmp_path / "ended.db", ended=True)
    assert report(config, ended, "--exit-code") == 1
    assert report(config, ended, "--exit-code", "--since", "2100-01-01T00:00:00Z") == 0


def test_exit_code_of_a_store_that_is_not_written_to_any_more(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(verdict: Verdict) -> int:
        store = make_store(tmp_path / f"{verdict}.db", verdict=verdict, age_ms=3_600_000)
        return report(config, store, "--exit-code", "--format", "json")

    assert of(Verdict.OK) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["outcome"] == "not_sampled"
    assert "No samples for 60 min." in err
    assert of(Verdict.LEARNING) == 4
    assert of(Verdict.LEAK) == 1  # AND a leak is a leak


@pytest.mark.parametrize("options", [["--name", "web"], ["--name", "no such name"]])
def test_exit_code_3_when_nothing_asked_about_is_decided(
    config: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(tmp_path / "new.db", verdict=Verdict.LEARNING)
    assert report(config, store, "--exit-code", *options) == 3
    assert capsys.readouterr().err.startswith("leakwatch: not decided: ")
    assert report(config, store, "--exit-code") == 0  # the other process is decided


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--window", "2h"], "--window: 2 h is not evaluated; there are 60 min, 4 h"),
        (["--window", "soon"], "--window: 'soon' is not a duration"),
        (["--window", "0s"], "--window: '0s' must be longer than nothing"),
        (["--verdict", "maybe"], "--verdict: 'maybe'; write some of ok,learning,watch,leak, or all"),
        (["--verdict", "leak,,ok"], "--verdict: 'leak,,ok'"),
    ],
)
def test_a_wrong_argument_is_2_and_says_what_is_right(
    config: Path, store: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(config, store, *options) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err


def test_no_store_is_66_and_says_where_it_looked(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(config, tmp_path / "none.db") == 66
    err = capsys.readouterr().err
    assert str(tmp_path / "none.db") in err
    assert "leakwatch service install" in err


def test_a_store_without_a_scrape_is_66(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_writer(tmp_path / "fresh.db", 0).close()
    assert report(config, tmp_path / "fresh.db", "--exit-code") == 66
    assert "holds no scrape yet" in capsys.readouterr().err


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A folder everybody may enter; those of pytest are their owner's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_store_one_may_not_read_is_77_and_says_sudo(store: Path, public_directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not read a file of root's")
    target, config = public_directory / "leakwatch.db", public_directory / "config.toml"
    target.write_bytes(store.read_bytes())
    target.chmod(0o600)
    config.write_text(f'[store]\nurl = "sqlite:///{target}"\n')
    config.chmod(0o644)
    code = (
        "import io, os, sys; from contextlib import redirect_stdout; from leakwatch.cli.main import main\n"
        f"argv = ['report', '--config', {str(config)!r}]\n"
        "with redirect_stdout(io.StringIO()): main(argv)  # as root: loads all that the checkout may close\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(argv))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (77, ""), done.stderr
    assert "sudo" in done.stderr
    assert done.stderr.count("\n") == 1
