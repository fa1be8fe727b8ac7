"""Command lines without secrets: what must go, what must stay, and that no text makes it slow."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.text.redact import REDACTED, redacted, text

SECRET = "hunter2"

DATA = Path(__file__).parents[1] / "data" / "redact"
SHAPES = {"argv": shlex.split, "title": lambda line: [line], "shell": lambda line: ["sudo", "bash", "-c", line]}
"""How a command line reaches us: as arguments, as a title of one piece (setproctitle), inside a shell's."""


def lines(name: str) -> list[str]:
    return [line for line in (DATA / name).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("line", lines("secret.txt"))
def test_a_secret_goes_and_the_rest_stays(line: str, shape: str) -> None:
    words = SHAPES[shape](line)
    clean = redacted(words)
    assert SECRET not in " ".join(clean)
    assert REDACTED in " ".join(clean)
    assert (len(clean), clean[0].split()[0]) == (len(words), words[0].split()[0].replace(f"={SECRET}", f"={REDACTED}"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("line", lines("harmless.txt"))
def test_what_is_no_secret_stays(line: str, shape: str) -> None:
    words = SHAPES[shape](line)
    assert redacted(words) == tuple(words)


def test_a_title_written_over_the_arguments_is_looked_at_word_by_word() -> None:
    assert redacted([f"shop worker --password {SECRET} idle"]) == (f"shop worker --password {REDACTED} idle",)


def test_what_it_cannot_know_is_said_not_guessed() -> None:
    assert redacted(["login", "anna", "sesame"]) == ("login", "anna", "sesame")


@pytest.mark.parametrize(
    "piece",
    ["a", "-", "password", "x=:", "a-", "a1-", "aA_", "--pass ", "a://", "a:b@", "'", '"', "bearer ", "=", "eyJ."],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    long = piece * (16384 // len(piece))  # as much as is read of a command line
    began = time.process_time()
    text(long)
    redacted([long, long])
    assert time.process_time() - began < 1.0


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_arguments_are_taken(arguments: list[str]) -> None:
    assert len(redacted(arguments)) == len(arguments)
    assert redacted(redacted(arguments)) == redacted(arguments)


def test_a_private_key_goes_with_all_that_follows() -> None:
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"
    assert redacted(["app", key]) == ("app", REDACTED)
