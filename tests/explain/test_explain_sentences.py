"""The table of sentences: every criterion there is has its own, and numbers are written as people write them."""

from __future__ import annotations

import ast
from math import nan
from pathlib import Path

import pytest

import leakwatch.analysis
from leakwatch.analysis.rules.catalog import RULES, Stage, Style
from leakwatch.analysis.tracking import alarm_transitions
from leakwatch.explain.outlook import FAR, purpose, sentence, wanted
from leakwatch.model.verdict import Criterion

MIB = 1 << 20
MAKERS = {"Criterion", "Test", "_at_least", "_ratio", "at_least", "_note"}


def causes() -> set[str]:
    """What an alarm is raised by, in the source of its transitions."""
    calls = [
        node for node in ast.walk(ast.parse(Path(alarm_transitions.__file__).read_text())) if isinstance(node, ast.Call)
    ]
    raised = [call for call in calls if ast.unparse(call.func) in ("self.alarm", "now.alarm")]
    return {ast.literal_eval(call.args[2]) for call in raised}


def emitted() -> set[str]:
    """The names of all criteria in the detector's source, however rarely one is measured."""
    names = {f"confirmed_by_{by}" for by in causes()}
    for file in Path(leakwatch.analysis.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in MAKERS:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    names.add(first.value)
                else:
                    assert ast.unparse(first) in ("confirmed.id", "test.name", "rule", "name", "LEAST_DATA"), (
                        f"{file.name}: a name not known here"
                    )
    return names


def test_every_criterion_of_the_detector_has_its_sentences_and_no_other() -> None:
    names = emitted()
    assert {"significant_slope", "near_highest_level", "as_fast_as_run_mean", "fresh_data"} <= names
    assert names == set(RULES)


@pytest.mark.parametrize("name", sorted(RULES))
def test_sentences_are_complete(name: str) -> None:
    known = RULES[name]
    for passed in (True, False):
        test = Criterion(name, 3.0, 5.0, passed, "ratio", 7200)
        assert sentence(test).endswith(".")
        assert "{" not in sentence(test) + wanted(test)
        assert purpose(test)
    assert not known.wanted.endswith(".")  # a clause, put into a sentence
    if known.stage is not Stage.CONFIRMED:
        for template in (known.passed, known.failed, known.wanted):
            assert "{measured}" in template
            # of this one the threshold is what was known: 0 beside it
            assert "{threshold}" in template or name == "above_previous_peak"
    if name not in ("enough_data", "enough_samples"):
        assert known.passed != known.failed


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (
            Criterion("min_growth", 3.5 * MIB, MIB, True, "bytes", 14400),
            "It grew by 3.50 MiB within 4 h; 1.00 MiB is enough to matter.",
        ),
        (
            Criterion("min_rate", 1024.0, 65536.0, False, "bytes/h", 3600),
            "It grows at +1.00 KiB/h, slower than the +64.0 KiB/h worth waking for.",
        ),
        (
            Criterion("newer_half_as_steep", 0.264, 0.474, False, "ratio", 28800),
            (
                "The newer half of the window rises at only 26 % of the older half's rate (47 % is asked for): it is "
                "slowing down."
            ),
        ),
        (
            Criterion("above_noise", 4.13, 6.0, False, "ratio", 28800),
            "The growth is only 4.1 times its own ups and downs; 6 times is asked for.",
        ),
        (
            Criterion("near_window_peak", -117.0, 1.0, True, "ratio", 3600),
            "It stands at or near the window's highest level (distance 0, 1 allowed).",
        ),
        (
            Criterion("fresh_data", 3600.0, 4500.0, False, "s"),
            "Data of 60 min have come since the first suspicion; 75 min are awaited.",
        ),
        (
            Criterion("separate_rises", 2.0, 5.0, False, "", 3600),
            "It came in only 2 separate rises; 5 are asked for.",
        ),
    ],
)
def test_numbers_are_written_with_their_units(test: Criterion, told: str) -> None:
    assert sentence(test) == told


def test_what_stands_for_more_than_can_be_measured_is_written_so() -> None:
    assert "at over 1000 times of" in sentence(Criterion("newer_half_as_steep", FAR, 0.5, True, "ratio", 3600))
    # Where noise could hide all of it the threshold is far below nothing: that far it is not told.
    assert "-100 % is asked for" in sentence(Criterion("newer_half_as_steep", 2.0, -50.5, True, "ratio", 3600))
    assert "only 0 % of" in sentence(Criterion("rises_at_end", -0.00004, 0.4, False, "ratio", 3600))
    assert "nothing measured" in sentence(Criterion("min_growth", None, 1.0, False, "bytes"))
    assert "nothing measured" in sentence(Criterion("min_growth", nan, 1.0, False, "bytes"))


def test_a_criterion_of_another_version_is_told_by_its_name() -> None:
    test = Criterion("moon\x1b is full", 0.5, 1.0, False, "ratio")
    assert sentence(test) == r"moon\x1b is full: measured 0.5, threshold 1."
    assert (wanted(test), purpose(test)) == (r"moon\x1b is full", "")


def test_ratios_have_a_style() -> None:
    assert RULES["above_noise"].style is Style.TIMES
    shares = ("rises_at_end", "not_a_step", "checkpoints_agree", "min_growth_ratio")
    assert {RULES[name].style for name in shares} == {Style.SHARE}
