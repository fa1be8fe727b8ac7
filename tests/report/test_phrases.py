"""What is stored as a code has words, and every code that is said anywhere has them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import leakwatch
from leakwatch.analysis.rules.catalog import CATALOG
from leakwatch.model.verdict import Phrase
from leakwatch.report import phrases
from leakwatch.report.phrases import text


def said_in_the_source() -> set[str]:
    """The codes of all phrases that are made anywhere in the package, f-strings left out."""
    codes = set()
    for file in Path(leakwatch.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Phrase" and node.args:
                codes |= {
                    one.value
                    for one in ast.walk(node.args[0])
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and "_" in one.value
                }
    return codes


def test_every_code_has_words_and_no_words_are_left_over() -> None:
    known = phrases._WORDS.keys() | phrases._OWN.keys()
    said = said_in_the_source()
    assert {"too_few_samples", "at_rate"} <= said
    assert said - known - {rule.id for rule in CATALOG} - {"_available_falls", "_available_holds"} == set()
    sources = "".join(file.read_text() for file in Path(leakwatch.__file__).parent.rglob("*.py"))
    assert [
        code
        for code in known
        if sources.count(code.removesuffix("_available_falls").removesuffix("_available_holds")) < 2
    ] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([Phrase("not_a_step", (3600,))], "grew within 60 min in one step: it may not go on"),
        (
            [Phrase("at_rate", (3 << 20, "")), Phrase("flat", (21600.0, 25200.0))],
            "+3.00 MiB/h: no leak for 6 h; it had grown for 7 h",
        ),
        (
            [Phrase("at_least", (7 << 20,)), Phrase("processes_read", (1, 3))],
            "at least 7.00 MiB: 1 of 3 processes is read, the others count by an estimate",
        ),
        (
            [Phrase("processes_grow", (2, 3, "count", 7, 12.0, 8, 1.0))],
            "2 of 3 processes grow: pid 7 +12/h, pid 8 +1/h",
        ),
        (
            [Phrase("too_few_samples", (4, 7200.0, 8, 86400.0))],
            "4 samples over 2 h of data, 8 over 24 h needed for a first verdict",
        ),
        (
            [Phrase("grows_in_samples", (8, "newer_half_as_steep", 7200))],
            "grows within 8 samples: grew within 2 h, but is slowing: it may be bounded",
        ),
        ([Phrase("merged_with", tuple("abcdefgh"))], "merged with a, b, c, d, e, f and 2 more"),
        ([Phrase("text", ("as it was",))], "as it was"),
        ([], ""),
    ],
)
def test_phrases_read_as_people_write(said: list[Phrase], told: str) -> None:
    assert text(said) == told


@pytest.mark.parametrize(
    "phrase", [Phrase("of_a_newer_version", (7, "x")), Phrase("no_growth"), Phrase("flat", ("x", 1))]
)
def test_what_another_version_said_is_shown_as_it_is(phrase: Phrase) -> None:
    assert text([phrase]).startswith(phrase.code.replace("_", " "))
