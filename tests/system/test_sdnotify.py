"""Against a real socket, as systemd listens on one."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakwatch.system import systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@leakwatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(2)
        listener.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def test_life_of_a_service(manager: socket.socket) -> None:
    assert systemd.ready("watching 3 processes")
    assert systemd.status("busy")
    assert systemd.watchdog()
    assert systemd.stopping()
    assert [manager.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=watching 3 processes",
        b"STATUS=busy",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_newline_cannot_begin_another_field(manager: socket.socket) -> None:
    assert systemd.status("leaks:\nSTOPPING=1\r\nERRNO=5")
    assert manager.recv(4096) == b"STATUS=leaks: STOPPING=1 ERRNO=5"


def test_an_undecodable_name_is_sent_escaped(manager: socket.socket) -> None:
    assert systemd.status("leaks: \udcff")
    assert manager.recv(4096) == rb"STATUS=leaks: \udcff"
    assert systemd.status("leaks: \x1b[2J\u202ex")
    assert manager.recv(4096) == rb"STATUS=leaks: \x1b[2J\u202ex"


def test_a_longer_watchdog_is_asked_for(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "300000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert systemd.set_watchdog_interval(3600)
    assert manager.recv(4096) == b"WATCHDOG_USEC=3600000000"
    assert systemd.watchdog_interval_s() == 3600


def test_no_watchdog_is_asked_for_where_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not systemd.set_watchdog_interval(3600)
    assert systemd.watchdog_interval_s() is None


@pytest.mark.parametrize(
    "address", ["", "/nowhere/at/all", "relative", "@nobody-listens-here", "/has\x01odd", "vsock:1:2"]
)
def test_a_missing_manager_disturbs_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.ready("up")


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.ready()


def test_a_manager_that_does_not_read_does_not_stop_us(manager: socket.socket) -> None:
    taken = [systemd.status("x" * 1000) for _ in range(5000)]
    assert taken[0]
    assert not taken[-1]


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("300000000", None, 300.0),
        ("300000000", "own", 300.0),
        ("300000000", "1", None),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, expected: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval_s() == expected
