"""Asks systemd for things, and says in one line what it answered when it refused.

Tells systemd how the daemon fares: sd_notify(3) without its library.

Nothing here raises and nothing here waits: a service manager that is not there, or does not listen, must not disturb
the sampling. Outside a ``Type=notify`` unit every call does nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Protocol

from leakwatch.errors import EXIT_UNAVAILABLE, LeakwatchError
from leakwatch.text.escape import printable

UNIT = "leakwatch.service"

_BOOTED = Path("/run/systemd/system")
"""Exists exactly where systemd is the init system (sd_booted(3))."""
_TIMEOUT_S = 20 * 60
"""More than the unit's TimeoutStartSec: a start waits for the first scrape, which waits for a migration."""
_TAIL_OPTIONS = ("--lines=3", "--output=cat", "--quiet", "--no-pager")


class ServiceManagerError(LeakwatchError):
    """There is no systemd, or it did not do what was asked; ``more`` is what it said, line by line."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, message: str, more: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join([message, *more]))
        self._lines = (message, *more)

    @property
    def lines(self) -> tuple[str, ...]:
        """What happened, then what systemd said."""
        return self._lines


class Manager(Protocol):
    """What installing asks of a service manager."""

    def call(self, *arguments: str) -> str:
        """Run one request and return its output; raises ServiceManagerError."""

    def tail(self) -> list[str]:
        """Return the service's last log lines."""


class Systemctl:
    """The machine's systemd, through its own command."""

    def __init__(self) -> None:
        if not _BOOTED.is_dir() or shutil.which("systemctl") is None:
            raise ServiceManagerError(
                "systemd does not run this machine (no /run/systemd/system), so there is no service to manage; "
                "let your own init system run: leakwatch daemon"
            )

    def call(self, *arguments: str) -> str:
        """Run ``systemctl`` with these arguments; see Manager."""
        try:
            done = subprocess.run(
                ["systemctl", *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise ServiceManagerError(f"systemctl {' '.join(arguments)} did not end within 20 minutes") from error
        if done.returncode:
            reason = printable(next(iter(done.stderr.strip().splitlines()), f"status {done.returncode}"))
            raise ServiceManagerError(f"systemctl {' '.join(arguments)} failed: {reason}")
        return done.stdout.strip()

    def tail(self) -> list[str]:
        """Return what the daemon itself said last, at its latest start; empty where the journal cannot be read."""
        invocation = self.call("show", "--property=InvocationID", "--value", UNIT)
        # By its identifier: systemd's own remarks on the failure would push the cause out.
        done = subprocess.run(
            ["journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", "--identifier=leakwatch", *_TAIL_OPTIONS],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return [printable(line) for line in done.stdout.splitlines()]


_MICRO = 1_000_000


def notify(**fields: str) -> bool:
    """Send ``FIELD=value`` lines and return whether they were taken; False, too, when nobody listens.

    A newline in a value would begin another field, so it is sent as a space; ``systemctl status`` shows what it is told
    as it is, so what is not printable is sent escaped.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # sd_notify(3): an abstract socket, whose name begins with a zero byte
        address = "\0" + address[1:]
    lines = [f"{name}={_plain(value)}" for name, value in fields.items()]
    datagram = "\n".join(lines).encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto(datagram, address)
    except (OSError, ValueError):  # ValueError: a zero byte inside a path
        return False
    return True


def _plain(value: str) -> str:
    text = " ".join(value.splitlines())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def ready(status: str = "") -> bool:
    """Say that the service is up; ``status`` is what ``systemctl status`` shows from now on."""
    return notify(READY="1", STATUS=status) if status else notify(READY="1")


def status(text: str) -> bool:
    """Say in one line what the service is doing."""
    return notify(STATUS=text)


def watchdog() -> bool:
    """Say that the service is alive; without this for the unit's ``WatchdogSec`` systemd kills and restarts it."""
    return notify(WATCHDOG="1")


def stopping(status: str = "") -> bool:
    """Say that the service is about to end."""
    return notify(STOPPING="1", STATUS=status) if status else notify(STOPPING="1")


def set_watchdog_interval(seconds: float) -> bool:
    """Replace the unit's ``WatchdogSec``, for when the configured sampling interval asks for more than it allows.

    Does nothing where no watchdog is set; systemd does not report the new value back.
    """
    if watchdog_interval_s() is None:
        return False
    os.environ["WATCHDOG_USEC"] = str(round(seconds * _MICRO))
    return notify(WATCHDOG_USEC=os.environ["WATCHDOG_USEC"])


def watchdog_interval_s() -> float | None:
    """Return within how many seconds ``watchdog()`` is expected, or None when no watchdog waits for this process."""
    pid = os.environ.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None  # meant for another process: ours only inherited the environment
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / _MICRO if microseconds > 0 else None
