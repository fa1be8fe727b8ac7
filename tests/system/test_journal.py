"""The journal's native protocol, decoded here as its specification says, from a real socket."""

import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.system import journal

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cs",)))


def decode(datagram: bytes) -> dict[str, str]:
    """Read what systemd.io/JOURNAL_NATIVE_PROTOCOL describes."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, length = line, int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        fields[name.decode("ascii")] = value.decode("utf-8")
        datagram = rest
    return fields


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_encoded_is_read_back(fields: dict[str, str]) -> None:
    assert decode(journal.encode(fields)) == fields


def test_a_huge_value_is_cut_at_a_character() -> None:
    value = decode(journal.encode({"MESSAGE": "ä" * 100_000}))["MESSAGE"]
    assert re.fullmatch(r"ä{8192} … \(cut\)", value)


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(2)
        listener.bind(str(tmp_path / "socket"))
        yield listener


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger(f"leakwatch.test.{tmp_path.name}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    handler = journal.JournalHandler(tmp_path / "socket")
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def received(journald: socket.socket) -> dict[str, str]:
    return decode(journald.recv(1 << 20))


def test_a_finding_is_structured(journald: socket.socket, logger: logging.Logger) -> None:
    evidence = {"service": "nginx.service", "slope bytes/h": 1048576, "name": "a\nb"}
    logger.warning("%s leaks", "nginx", extra={"message_id": journal.LEAK_FOUND, "leakwatch": evidence})
    assert received(journald) == {
        "MESSAGE": "nginx leaks",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "leakwatch",
        "LOGGER": logger.name,
        "MESSAGE_ID": journal.LEAK_FOUND,
        "LEAKWATCH_SERVICE": "nginx.service",
        "LEAKWATCH_SLOPE_BYTES_H": "1048576",
        "LEAKWATCH_NAME": r"a\x0ab",
    }


def test_a_hostile_name_stays_one_line(journald: socket.socket, logger: logging.Logger) -> None:
    logger.warning("%s leaks", "\x1b[31mred\nPRIORITY=0\udcff")
    fields = received(journald)
    assert fields["MESSAGE"] == r"\x1b[31mred\x0aPRIORITY=0\xff leaks"
    assert fields["PRIORITY"] == "4"


def test_a_traceback_is_kept_in_lines(journald: socket.socket, logger: logging.Logger) -> None:
    try:
        {}["bad\x1b"]
    except KeyError:
        logger.exception("scrape failed")
    lines = received(journald)["MESSAGE"].splitlines()
    assert lines[:2] == ["scrape failed", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'bad\\x1b'"


@pytest.mark.parametrize(
    ("level", "number"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7), (25, 6)],
)
def test_priorities(level: int, number: int) -> None:
    assert journal.priority(level) == number


def test_without_a_journal_it_writes_to_stderr(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.error("disk full")
    assert capsys.readouterr().err == "<3>disk full\n"


def test_a_restart_of_the_journal_goes_unnoticed(tmp_path: Path, logger: logging.Logger) -> None:
    for message in ("before", "after"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.settimeout(2)
            listener.bind(str(tmp_path / "socket"))
            logger.info(message)
            assert received(listener)["MESSAGE"] == message
        (tmp_path / "socket").unlink()


def test_more_fields_than_a_datagram_holds_end_on_stderr(
    journald: socket.socket, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.warning("many", extra={"leakwatch": {f"f{number}": "x" * 20_000 for number in range(40)}})
    assert capsys.readouterr().err == "<4>many\n"


def test_a_wrong_argument_count_does_not_raise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = journal.JournalHandler(tmp_path / "socket")
    handler.emit(logging.LogRecord("leakwatch", logging.INFO, "f", 1, "%s and %s", ("one",), None))
    handler.close()
    assert "not enough arguments" in capsys.readouterr().err


class Unmade:
    """What cannot be made a text for want of memory."""

    def __str__(self) -> str:
        raise MemoryError


@pytest.mark.parametrize("handler_of", [journal.JournalHandler, journal.LineHandler])
def test_a_line_there_is_no_memory_for_is_lost_without_a_traceback(
    capsys: pytest.CaptureFixture[str], handler_of: Callable[[], logging.Handler]
) -> None:
    handler = handler_of()
    handler.emit(logging.LogRecord("leakwatch", logging.ERROR, "f", 1, "lost: %s", (Unmade(),), None))
    handler.close()
    assert capsys.readouterr().err == ""


SCRIPT = """\
import logging, sys
from leakwatch.system import journal
journal.setup_logging(); journal.setup_logging()
logging.getLogger("leakwatch.monitoring.daemon").warning("leak\\nfound")
logging.getLogger("leakwatch.monitoring.daemon").debug("not shown")
logging.getLogger("apscheduler.executors").warning("not shown either")
logging.getLogger("alembic").info("nor this")
print(journal.stderr_is_journal(), type(logging.getLogger().handlers[0]).__name__)
"""


def run_script(stderr: Path, environment: dict[str, str]) -> str:
    with stderr.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=file, text=True, check=True, env=environment
        )
    return done.stdout.strip()


def test_a_plain_stderr_gets_lines_with_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    assert run_script(log, environment) == "False LineHandler"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z leakwatch: WARNING leak\\x0afound\n", log.read_text())


def test_an_inherited_variable_is_not_believed(tmp_path: Path) -> None:
    assert run_script(tmp_path / "log", os.environ | {"JOURNAL_STREAM": "9:12345"}) == "False LineHandler"


def test_a_stderr_that_is_the_journal_is_recognised(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    stat = log.stat()
    answer = run_script(log, os.environ | {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
    assert answer == "True JournalHandler"


def test_lines_after_the_first_are_indented() -> None:
    try:
        int("x")
    except ValueError:
        record = logging.LogRecord("leakwatch", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    first, *rest = journal.LineFormatter(with_time=False).format(record).splitlines()
    assert first == "leakwatch: ERROR failed"
    assert rest
    assert all(line.startswith("    ") for line in rest)
