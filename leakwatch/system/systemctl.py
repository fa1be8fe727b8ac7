"""Asks systemd for things, and says in one line what it answered when it refused."""

from __future__ import annotations

import shutil
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
