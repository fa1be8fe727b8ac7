"""Incidents while a real daemon runs: acknowledged, silenced, killed, restarted on both sides."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.e2e_tools import OURSELVES, Daemon, User, Workload, by_pid, report, run_command, wait_for, write_config

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.slow]

SECONDS = """\
[sampling]
interval = "1s"
[analysis]
windows = ["12s", "24s"]
[store]
url = "sqlite:///{store}"
"""
Start = Callable[..., Daemon]
StartWorkload = Callable[..., Workload]


def incidents(config: Path, *arguments: str, user: User = OURSELVES) -> Any:
    """Return what the command says as JSON."""
    done = run_command("incidents", "--config", config, "--format", "json", *arguments, user=user)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def note(config: Path, *arguments: str, user: User = OURSELVES) -> str:
    done = run_command("incidents", *arguments, "--config", config, user=user)
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(config: Path, id_: str) -> list[str]:
    return [event["event"] for event in incidents(config, "show", id_)["history"]]


def confirmed(config: Path, pid: int) -> dict[str, Any] | None:
    """Return the confirmed incident about a process, once there is one."""
    found = [one for one in incidents(config)["incidents"] if one["pid"] == pid and one["state"] == "confirmed"]
    return found[0] if found else None


def lines_about(daemon: Daemon, incident: str) -> list[str]:
    """Return what the log tells of an incident, but for where its evidence lies: that may come at once or later."""
    return [line for line in daemon.log.splitlines() if f"incident {incident}" in line and " evidence of " not in line]


def test_a_leak_s_life(tmp_path: Path, daemon: Start, workload: StartWorkload) -> None:
    # GIVEN a leak that is found and told of
    leaker = workload("incident-leak", tmp_path)
    config = write_config(tmp_path, SECONDS)
    first = daemon(config)
    first.wait_until_scraped()
    wait_for("the leak is confirmed", lambda: confirmed(config, leaker.pid))
    incident = confirmed(config, leaker.pid)
    assert incident is not None
    id_ = incident["id"]
    assert len(lines_about(first, id_)) == 1
    assert by_pid(report(config), leaker.pid)["incident"]["id"] == id_

    # WHEN it is silenced for a moment while the daemon runs
    assert "is silenced for 4 s" in note(config, "silence", id_, "--for", "4s", "--reason", "load test")
    assert by_pid(report(config), leaker.pid)["incident"]["silenced"]["reason"] == "load test"
    # THEN it is told again when that is over
    wait_for("the reminder", lambda: any("its silence is over" in line for line in lines_about(first, id_)))

    # WHEN it is acknowledged, and the daemon killed
    note(config, "ack", id_, "--reason", "fixed in 2.3")
    first.stop(signal.SIGKILL)
    told = len(lines_about(first, id_))
    assert told == 2
    # THEN both can be seen and done while it is stopped
    note(config, "silence", id_, "--for", "1h")
    note(config, "unsilence", id_)
    assert confirmed(config, leaker.pid) == by_pid_incident(config, leaker.pid, id_)
    # and another daemon goes on with the incident and tells nothing
    second = daemon(config)
    before = report(config)["evaluated_at"]
    wait_for("it judges", lambda: report(config)["evaluated_at"] > before)
    after = confirmed(config, leaker.pid)
    assert after is not None
    assert (after["id"], after["acknowledged"]["reason"]) == (id_, "fixed in 2.3")

    # WHEN the leaker is restarted
    leaker.end()
    again = workload("incident-leak", tmp_path)
    wait_for("the restart is noted", lambda: "restarted" in history(config, id_))
    # THEN its leak is found again, as the same incident, which nobody is told of
    wait_for("it is found to leak again", lambda: "continued" in history(config, id_))
    ours = confirmed(config, again.pid)
    assert ours is not None
    assert (ours["id"], ours["restarted_at"]) == (id_, None)
    assert lines_about(second, id_) == []

    # WHEN it ends for good, THEN that is told
    again.end()
    wait_for("it is resolved", lambda: any("leak over" in line for line in lines_about(second, id_)))
    assert history(config, id_) == [
        "opened", "confirmed", "silenced", "expired", "acknowledged", "silenced", "unsilenced", "restarted",
        "continued", "resolved",
    ]  # fmt: skip
    code, _ = second.stop(signal.SIGTERM)
    assert code == 0
    assert " ERROR " not in second.log


def by_pid_incident(config: Path, pid: int, id_: str) -> dict[str, Any]:
    """Return the incident as its list has it, for one that the report also knows of as acknowledged."""
    reported = by_pid(report(config), pid)["incident"]
    assert reported["id"] == id_
    assert reported["acknowledged"]["reason"] == "fixed in 2.3"
    assert reported["silenced"] is None
    (listed,) = incidents(config, "--name", id_)["incidents"]
    return listed


@pytest.mark.root
def test_root_notes_in_the_store_of_a_service_that_is_another_user(
    nobody: User, daemon: Start, workload: StartWorkload
) -> None:
    # GIVEN a daemon of another user, whose store root shares
    assert nobody.home is not None
    leaker = workload("service-leak", nobody.home, user=nobody)
    config = write_config(nobody.home, SECONDS, "service.toml")
    running = daemon(config, user=nobody)
    running.wait_until_scraped()
    wait_for("the leak is confirmed", lambda: confirmed(config, leaker.pid))
    found = confirmed(config, leaker.pid)
    assert found is not None
    # WHEN root acknowledges it while the daemon runs and after it was stopped
    note(config, "ack", found["id"])
    running.stop(signal.SIGTERM)
    note(config, "silence", found["id"], "--for", "1h")
    # THEN every file is still the daemon's
    files = list(nobody.home.glob("leakwatch.db*"))
    assert {file.stat().st_uid for file in files} == {config.with_name("leakwatch.db").stat().st_uid} != {os.geteuid()}
    # and it goes on
    second = daemon(config, "--for", "4s", user=nobody)
    assert second.wait() == 0
    assert " ERROR " not in running.log + second.log
    (after,) = incidents(config, "--name", found["id"], user=nobody)["incidents"]
    assert (after["acknowledged"] is None, after["silenced"] is None) == (False, False)
