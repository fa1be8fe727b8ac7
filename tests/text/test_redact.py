"""Command lines without secrets: what must go, what must stay, and that no text makes it slow."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.text.redact import LONGEST, MOST_WORDS, REDACTED, redacted, text
from tests.examples import examples

SECRET = "hunter2"

DATA = Path(__file__).parents[1] / "data" / "redact"
SHAPES = {"argv": shlex.split, "title": lambda line: [line], "shell": lambda line: ["sudo", "bash", "-c", line]}
"""How a command line reaches us: as arguments, as a title of one piece (setproctitle), inside a shell's."""


def lines(name: str) -> list[str]:
    return [line for line in (DATA / name).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("line", lines("secret.txt"))
def test_a_secret_goes_and_the_rest_stays(line: str) -> None:
    for shape, words_of in SHAPES.items():
        words = words_of(line)
        clean = redacted(words)
        assert SECRET not in " ".join(clean), shape
        assert REDACTED in " ".join(clean), shape
        first = words[0].split()[0].replace(f"={SECRET}", f"={REDACTED}")
        assert (len(clean), clean[0].split()[0]) == (len(words), first), shape


@pytest.mark.parametrize("line", lines("harmless.txt"))
def test_what_is_no_secret_stays(line: str) -> None:
    for shape, words_of in SHAPES.items():
        words = words_of(line)
        assert redacted(words) == tuple(words), shape


def test_a_title_written_over_the_arguments_is_looked_at_word_by_word() -> None:
    assert redacted([f"shop worker --password {SECRET} idle"]) == (f"shop worker --password {REDACTED} idle",)


def test_what_it_cannot_know_is_said_not_guessed() -> None:
    assert redacted(["login", "anna", "sesame"]) == ("login", "anna", "sesame")


PIECES = [
    "a", "A", "1", "-", ".", "_", "/", "@", ":", "=", "%", "&", "(", "[", "{", "|", ";", "<", "$", "\\", "'", '"',
    " ", "\n", "password", "key", "x=:", "a-", "a1-", "aA_", "--pass ", "a://", "a:b@", "bearer ", "eyJ.",
    "/key:", "eyJ-", "a=", "-u ", '"k":"', "://a:", "&a=", "%3D", "echo a|", "echo ", "sudo -S ", ".:", "-:",
    "tcp(", "secret,", "data=", "user=a", "jdbc:oracle:thin:a/@a", "rtmp://a/", "<<<", "cookie:", "-----BEGIN ",
    "PRIVATE KEY-----", "pscale_", "-S", "key:'", "/key=/,", "mysql -p", "sqlplus a/@", "login -p", "curl -u",
    "ab12", "\0", "[ '", '"ghp_ -S', "token:{",
]  # fmt: skip
"""What the patterns look for, and shapes that a pattern may read again from each of its places."""
SHORT, LONG = 4096, 16384


def cost(piece: str, size: int) -> float:
    """Return the seconds that the repeated piece takes in each of the shapes."""
    long = piece * (size // len(piece))
    began = time.thread_time()
    text(long)
    redacted([long, long])
    redacted(long.split(" "))
    return time.thread_time() - began


def grows_too_fast(piece: str) -> bool:
    """Tell whether four times the text costs far more than four times the time; sixteen times it would be squared.

    What is slow by itself is so each of three times; a busy machine is not.
    """
    return all(cost(piece, LONG) > 9 * cost(piece, SHORT) + 0.005 for _ in range(3))


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_makes_it_slow(piece: str) -> None:
    assert not grows_too_fast(piece)


@examples(10)
@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=4))
def test_no_mixture_makes_it_slow(pieces: list[str]) -> None:
    assert not grows_too_fast("".join(pieces))


def test_what_is_not_looked_at_is_not_shown() -> None:
    words = [*["a"] * MOST_WORDS, "x", "y"]
    assert redacted(words) == (*words[:-2], REDACTED, REDACTED)
    assert redacted(["a", "b" * LONGEST, "c"]) == ("a", REDACTED, REDACTED)
    assert redacted([" ".join(words)]) == (" ".join([*words[:-2], REDACTED]),)
    assert redacted([f"{'é' * 99} " * LONGEST])[0].endswith(f"é {REDACTED}")
    url = "a=1&" * (MOST_WORDS - 2)  # "x" and the whole are words, too
    assert redacted(["x", f"{url}{url}"]) == ("x", url.removesuffix("1&") + REDACTED)


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_arguments_are_taken(arguments: list[str]) -> None:
    assert len(redacted(arguments)) == len(arguments)
    assert redacted(redacted(arguments)) == redacted(arguments)


def test_a_private_key_goes_with_all_that_follows() -> None:
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"
    assert redacted(["app", key]) == ("app", REDACTED)
