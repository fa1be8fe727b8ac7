"""A process may call itself anything; what is printed of it must be inert."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.text.escape import LONGEST_LINE, message, printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # surrogates included, which st.text() alone leaves out


@given(ANY_TEXT)
def test_result_is_printable_and_encodes(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"]) | st.just(" ")))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


@given(ANY_TEXT)
def test_escaping_twice_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("ok\nleakwatch: WARNING forged", r"ok\x0aleakwatch: WARNING forged"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        (b"caf\xe9\xff".decode("utf-8", "surrogateescape"), r"caf\xe9\xff"),
        ("\ud800", r"\ud800"),
        ("\x7f\x9b31m", r"\x7f\u009b31m"),  # C1's CSI, which some terminals obey
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("two\u2028lines", r"two\u2028lines"),
        ("\U000e0041", r"\U000e0041"),
        ("münchen 東京 \N{THUMBS UP SIGN}", "münchen 東京 \N{THUMBS UP SIGN}"),
    ],
)
def test_examples(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@given(ANY_TEXT)
def test_a_message_is_printable_text_when_it_is_short(text: str) -> None:
    assert message(text) == printable(text)


def test_what_is_cut_out_of_a_long_message_is_its_middle() -> None:
    long = message(f"no finding is called {'x' * 131_000}; see: leakwatch report")
    assert (len(long), long.count("…")) == (LONGEST_LINE, 1)
    assert long.startswith("no finding is called xxx")
    assert long.endswith("xxx; see: leakwatch report")
    assert message("\u202e" * LONGEST_LINE).isprintable()
    assert len(message("a" * LONGEST_LINE)) == LONGEST_LINE
