"""``leakwatch incidents`` on real stores, without and beside a report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli.main import main
from leakwatch.clock import SystemClock
from leakwatch.errors import IncidentNotFoundError
from leakwatch.model.incident import EventKind, Incident, IncidentEvent, IncidentState, Silence
from leakwatch.model.verdict import FindingKind, Verdict, said
from leakwatch.report import incidents, renderers
from leakwatch.report.build import Filters, ReportRow
from leakwatch.store.files.open import open_writer
from leakwatch.store.incident.rows import ChangedIncidents
from tests.report.report_findings import INCIDENTS, NOW_MS, finding, report
from tests.report.test_report_cli import EVALUATION, make_store

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_MS = 3_600_000


def populate(path: Path) -> Path:
    """Return a store with a leak, one more of the same name, one resolved and one silenced."""
    make_store(path)
    now_ms = SystemClock().now().wall_ms
    one = Incident(
        "i1", "p1", FindingKind.PROCESS, "web", IncidentState.CONFIRMED, now_ms - 9 * HOUR_MS, now_ms - 8 * HOUR_MS,
        now_ms - 30 * HOUR_MS, reasons=said("a straight rise"),
    )  # fmt: skip
    known = (
        one,
        replace(one, id="i2", finding_id="p2", name="calm", state=IncidentState.RESOLVED, resolved_ms=now_ms),
        replace(one, id="i3", finding_id="p3", name="twin"),
        replace(one, id="i4", finding_id="p4", name="twin", state=IncidentState.OPEN, confirmed_ms=None),
    )
    events = (IncidentEvent("i1", now_ms - 9 * HOUR_MS, EventKind.OPENED, said("it rises")),)
    writer = open_writer(path, now_ms)
    gone = replace(finding("p3", "twin", Verdict.LEAK, pid=8), evaluated_at_ms=now_ms)
    states = {"evaluation": {"at_ms": now_ms} | EVALUATION}
    writer.write_evaluation([(gone, None)], {}, states, now_ms, ChangedIncidents(known, events))
    writer.close()
    return path


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return populate(tmp_path_factory.mktemp("populated") / "leakwatch.db")


@pytest.fixture
def store(tmp_path: Path, populated: Path) -> Path:
    return Path(shutil.copy(populated, tmp_path / "leakwatch.db"))


@pytest.fixture
def run(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    """Return a function that runs the command on the store: its exit code, what it printed, what it complained of."""
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        verb = [] if arguments[0] == "report" else ["incidents"]
        code = main([*verb, *arguments, "--config", str(config)])
        return code, *capsys.readouterr()

    return call


def listed(run: object, *arguments: str) -> dict[str, dict[str, object]]:
    code, out, _ = run("--format", "json", *arguments)  # type: ignore[operator]
    assert code == 0
    return {one["id"]: one for one in json.loads(out)["incidents"]}


def test_it_lists_what_is_not_resolved(run: object) -> None:
    code, out, _ = run("--format", "table")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("i")] == ["incident", "i3", "i1", "i4"]
    assert "1 resolved not shown: leakwatch incidents --all" in out
    assert set(listed(run)) == {"i1", "i3", "i4"}
    assert set(listed(run, "--all")) == {"i1", "i2", "i3", "i4"}
    assert set(listed(run, "--all", "--name", "al")) == {"i2"}
    assert set(listed(run, "--name", "t*n", "--name", "i1")) == {"i1", "i3", "i4"}


def test_an_acknowledgement_shows_in_list_history_and_report(run: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    code, out, _ = run("ack", "i1", "--reason", "fixed in 2.3")
    assert code == 0
    assert out.startswith("i1 (web) is acknowledged: it is not announced again unless")
    one = listed(run)["i1"]
    by = "anna" if os.geteuid() == 0 else one["acknowledged"]["by"]  # type: ignore[index]
    assert one["acknowledged"] == {"at": one["acknowledged"]["at"], "by": by, "reason": "fixed in 2.3"}  # type: ignore[index]
    history = run("show", "i1")[1]
    assert history.splitlines()[0] == "i1: web (finding p1)"
    assert history.splitlines()[-1].endswith(f"acknowledged  by {by}: fixed in 2.3")
    told = json.loads(run("show", "i1", "--format", "json")[1])
    assert [event["event"] for event in told["history"]] == ["opened", "acknowledged"]
    assert f"acknowledged by {by}" in run("report")[1]
    (found,) = json.loads(run("report", "--format", "json", "--name", "web")[1])["findings"]
    assert (found["incident"]["id"], found["incident"]["state"]) == ("i1", "confirmed")


def test_a_silenced_leak_is_listed_apart_and_still_counts(run: object) -> None:
    code, out, _ = run("silence", "web", "--for", "3d", "--reason", "load test")
    assert code == 0
    assert out.startswith("i1 (web) is silenced for 3 d, until 20")
    text = run("report")[1]
    assert text.startswith("1 leak, 1 silenced among 7 processes.")
    loud, _, quiet = text.partition("\nSilenced:\n")
    assert "web (pid 5)" in quiet
    assert "web (pid 5)" not in loud
    assert "(load test)" in quiet
    assert "not shown here" not in text
    assert run("report", "--exit-code", "--name", "web")[0] == 1
    (_, last) = json.loads(run("report", "--format", "json")[1])["findings"]
    assert last["incident"]["silenced"]["reason"] == "load test"
    # and it is behind the others of its state in the list
    assert list(listed(run)) == ["i3", "i1", "i4"]
    # until it is taken back, which may be done twice
    assert run("unsilence", "p1")[1] == "i1 (web) is silenced no more.\n"
    assert run("unsilence", "p1")[:2] == (0, "i1 (web) is not silenced.\n")
    assert "Silenced:" not in run("report")[1]
    assert [line.split()[1] for line in run("show", "i1")[1].splitlines()[3:]] == ["opened", "silenced", "unsilenced"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "i9"), 67, "no incident is called i9; see: leakwatch incidents --all"),
        (("ack", "twin"), 67, "twin names 2 incidents: i3, i4; give the id of one"),
        (("ack", "calm"), 2, "i2 needs no acknowledgement: resolved 20"),
        (("silence", "i1", "--for", "soon"), 2, "--for: 'soon' is not a duration"),
        (("silence", "i1", "--for", "0s"), 2, "--for: '0s' must be longer than nothing"),
        (("silence", "i1", "--for", "2000d"), 2, "longer than a year"),
        (("ack", "i1", "--reason", "x" * 501), 2, "--reason: 501 characters; write at most 500"),
        (("show", "x\n\x1b[2J"), 67, "no incident is called x\\x0a\\x1b[2J"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    run: object, store: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    found, out, err = run(*arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err
    assert {one["silenced"] for one in listed(run).values()} == {None}  # type: ignore[misc]


def test_a_silence_needs_its_length(run: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run("silence", "i1")
    assert raised.value.code == 2
    assert "--for" in capsys.readouterr().err


def test_the_configuration_may_be_given_before_the_action(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    assert main(["incidents", "--config", str(config), "--format", "json", "show", "i1"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "i1"


def test_no_store_is_66(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/none.db"\n')
    for arguments in ([], ["ack", "i1"], ["silence", "i1", "--for", "1h"], ["show", "i1"]):
        assert main(["incidents", "--config", str(config), *arguments]) == 66
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("mode", "code", "words"), [(0o600, 77, "sudo"), (0o644, 77, "sudo")])
def test_without_the_privilege_it_is_77_and_says_sudo(store: Path, mode: int, code: int, words: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not write to a file of root's")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        target, config = directory / "leakwatch.db", directory / "config.toml"
        target.write_bytes(store.read_bytes())
        target.chmod(mode)
        config.write_text(f'[store]\nurl = "sqlite:///{target}"\n')
        config.chmod(0o644)
        other = directory / "other.db"  # what root does first, so that all is loaded that the checkout may close
        other.write_bytes(store.read_bytes())
        warm = directory / "warm.toml"
        warm.write_text(f'[store]\nurl = "sqlite:///{other}"\n')
        script = (
            "import io, os, sys; from contextlib import redirect_stdout; from leakwatch.cli.main import main\n"
            f"with redirect_stdout(io.StringIO()): main(['incidents', 'ack', 'i1', '--config', {str(warm)!r}])\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"sys.exit(main(['incidents', 'ack', 'i1', '--config', {str(config)!r}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


# Pure


def test_a_name_means_what_is_not_resolved_before_what_is_and_the_newest_of_these() -> None:
    old = replace(INCIDENTS["p05"], id="a", finding_id="f", name="sshd", opened_ms=1)
    newer = replace(old, id="b", opened_ms=2)
    living = replace(old, id="c", opened_ms=0, state=IncidentState.OPEN)
    assert incidents.find(incidents.entries([old, newer], {}), "sshd").incident.id == "b"
    assert incidents.find(incidents.entries([old, newer, living], {}), "f").incident.id == "c"
    assert incidents.find(incidents.entries([old, newer, living], {}), "a").incident.id == "a"
    with_service = incidents.entries([old], {"f": replace(finding("f", "x"), service="ssh.service")})
    assert incidents.find(with_service, "ssh.service").incident.id == "a"
    with pytest.raises(IncidentNotFoundError):
        incidents.find([], "sshd")


def test_a_resolved_incident_is_told_of_in_a_report_only_while_it_is_silenced() -> None:
    one = replace(INCIDENTS["p05"], silence=Silence(0, 2 * NOW_MS, "anna"))
    row = ReportRow(finding("p05", "sshd"), incident=one)
    assert "incident i0e: resolved" in renderers.render_terminal(report((row,), Filters()))
    row = ReportRow(finding("p05", "sshd"), incident=replace(one, silence=None))
    assert "incident" not in renderers.render_terminal(report((row,), Filters()))
