"""Logging to where the daemon was started: structured into the systemd journal, else as lines on stderr.

A log call adds structure through ``extra``: ``message_id`` (one of the constants below) and ``leakwatch`` (a mapping
whose entries become ``LEAKWATCH_*`` fields), so that ``journalctl LEAKWATCH_SERVICE=nginx.service`` finds its leaks.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from leakwatch.clock import rfc3339
from leakwatch.system.shortage import is_shortage
from leakwatch.text.escape import printable

LEAK_FOUND = "be0eef04bcc0428b9bb9253979d9d3ff"
"""Something began to leak: ``journalctl MESSAGE_ID=…`` lists every such moment. Fixed for ever."""
LEAK_OVER = "be77baf390e6421ea9c389528f164ddc"
"""What leaked does so no longer: its incident is resolved."""
LEAK_REOPENED = "00660a869d0340d58a389b6c829f5995"
"""What was resolved leaks again."""
LEAK_REMINDED = "fb56c65bba554dc19ec7cf1635a4ea61"
"""A silence is over, and what was silenced still leaks."""
OOM_KILLED = "3b0c9f5ad2f94b7a9e5d8a1c64be0f17"
"""The kernel killed processes for want of memory."""
DAEMON_FATAL = "d196cbe7c21d44a7b861f5af3afc6a93"
"""The daemon ends because it cannot do its work."""

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "leakwatch"

_MAX_VALUE_BYTES = 16 * 1024
"""What one field may hold: a datagram of a dozen of them stays below the kernel's default send buffer of 208 KiB."""
_SEND_TIMEOUT_S = 0.5
"""A journal that does not read must not stop the sampling."""
_MAX_FIELD_NAME = 64
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Python's levels as syslog(3) priorities; whatever is below the last is debug, 7."""


def setup_logging(level: str = "info") -> None:
    """Send our log from ``level`` up, and the libraries' warnings, to the journal or to stderr; may be called again."""
    handler: logging.Handler = JournalHandler() if stderr_is_journal() else LineHandler()
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, JournalHandler | LineHandler):
            root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("leakwatch").setLevel(level.upper())
    # It tells of turns that are skipped or fail in its own words, with tracebacks; the daemon says so itself.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)


def stderr_is_journal() -> bool:
    """Tell whether what is written to stderr ends in the journal (systemd.exec(5), ``JOURNAL_STREAM``)."""
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # closed, replaced by something without a descriptor, or None
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


class LineFormatter(logging.Formatter):
    """One record as lines a person reads; what follows the first line is indented, so that it cannot pass for one."""

    def __init__(self, *, with_time: bool = True) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        """Return ``2025-11-24T03:12:00Z leakwatch: WARNING …``, safe to print."""
        stamp = f"{rfc3339(int(record.created * 1000))} " if self._with_time else ""
        head, *rest = message_lines(record)
        return "\n    ".join([f"{stamp}{IDENTIFIER}: {record.levelname} {head}", *rest])


class _LosesWithoutMemory(logging.Handler):
    """Loses a record there is no memory for; logging itself would write a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if error is None or not is_shortage(error):
            super().handleError(record)


class LineHandler(_LosesWithoutMemory, logging.StreamHandler[TextIO]):
    """Writes records to stderr as lines a person reads."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())


class JournalHandler(_LosesWithoutMemory):
    """Sends each record to journald by its native protocol, and to stderr when that fails."""

    def __init__(self, socket_path: Path = SOCKET) -> None:
        super().__init__()
        self._address = str(socket_path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SEND_TIMEOUT_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; never raises."""
        try:
            datagram = encode(journal_fields(record))
            try:
                # Not connected: so a restart of journald, which replaces the socket, goes unnoticed.
                self._socket.sendto(datagram, self._address)
            except OSError:
                _write_prefixed(record)
        except Exception:  # noqa: BLE001 - logging's own rule: a handler reports its failure and carries on
            self.handleError(record)

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()
        super().close()


def priority(level: int) -> int:
    """Return the syslog priority of one of logging's levels."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def message_lines(record: logging.LogRecord) -> list[str]:
    """Return the message as one escaped line, and the traceback, if there is one, in further escaped lines."""
    lines = [printable(record.getMessage())]
    if record.exc_info:
        traceback = logging.Formatter().formatException(record.exc_info)
        lines += [printable(line) for line in traceback.splitlines()]
    return lines


def journal_fields(record: logging.LogRecord) -> dict[str, str]:
    """Return what the journal is told of one record; all values are escaped."""
    fields = {
        "MESSAGE": "\n".join(message_lines(record)),
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "LOGGER": printable(record.name),
    }
    if message_id := getattr(record, "message_id", None):
        fields["MESSAGE_ID"] = str(message_id)
    extra = getattr(record, "leakwatch", None)
    if isinstance(extra, Mapping):
        fields |= {_field_name(str(key)): printable(str(value)) for key, value in extra.items()}
    return fields


def encode(fields: Mapping[str, str]) -> bytes:
    """Return the fields as one datagram of journald's native protocol.

    A value with a newline is sent as its name, a newline, its length as 64 bits little-endian, and its bytes
    (systemd.io/JOURNAL_NATIVE_PROTOCOL); every other one as ``NAME=value``.
    """
    return b"".join(_encode_field(name.encode("ascii"), _cut(value)) for name, value in fields.items())


def _encode_field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


def _cut(text: str) -> bytes:
    value = text.encode("utf-8", "backslashreplace")
    if len(value) <= _MAX_VALUE_BYTES:
        return value
    return value[:_MAX_VALUE_BYTES].decode("utf-8", "ignore").encode() + " … (cut)".encode()


def _field_name(key: str) -> str:
    """Return a name journald accepts: it drops fields with anything but A-Z, 0-9 and underscore in theirs."""
    return f"LEAKWATCH_{re.sub('[^A-Z0-9]', '_', key.upper())}"[:_MAX_FIELD_NAME]


def _write_prefixed(record: logging.LogRecord) -> None:
    """Write to stderr with the priority journald takes from a line's start (sd-daemon(3))."""
    mark = f"<{priority(record.levelno)}>"
    sys.stderr.writelines(f"{mark}{line}\n" for line in message_lines(record))
    sys.stderr.flush()
