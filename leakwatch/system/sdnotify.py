r"""Tells systemd how the daemon fares: sd_notify(3) without its library.

Nothing here raises and nothing here waits: a service manager that is not there, or does not listen, must not disturb
the sampling. Outside a ``Type=notify`` unit every call does nothing.
"""

from __future__ import annotations

import os
import socket

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
