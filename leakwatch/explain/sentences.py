"""A criterion's test in sentences: what was found, what it would take, what it is for."""

from __future__ import annotations

from math import isfinite

from leakwatch.analysis.rules.catalog import Style, rule
from leakwatch.model.verdict import Criterion
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes, format_duration, format_growth, format_rate

FAR = 1000.0
"""A ratio from here on stands for any larger one, see ``analysis.rules``."""


def sentence(test: Criterion) -> str:
    """Return what was found; of a rule of another version, its name and numbers."""
    known = rule(test.criterion)
    if not known.id:
        measured, threshold = _written(test, Style.UNIT)
        return f"{printable(test.criterion)}: measured {measured}, threshold {threshold}."
    return _filled(known.passed if test.passed else known.failed, test, known.style)


def wanted(test: Criterion) -> str:
    """Return what would have to be for it to pass, as a clause."""
    known = rule(test.criterion)
    return _filled(known.wanted, test, known.style) if known.id else printable(test.criterion)


def purpose(test: Criterion) -> str:
    """Return what the rule is for, empty for one of another version."""
    return rule(test.criterion).purpose


def _filled(template: str, test: Criterion, style: Style) -> str:
    measured, threshold = _written(test, style)
    window = "its time under watch" if test.window_s is None else format_duration(test.window_s)
    return template.format(measured=measured, threshold=threshold, window=window)


def _written(test: Criterion, style: Style) -> tuple[str, str]:
    return _number(test.measured, test.unit, style), _number(test.threshold, test.unit, style)


def _number(value: float | None, unit: str, style: Style) -> str:
    if value is None or not isfinite(value):
        return "nothing measured"
    if style is not Style.UNIT:
        return _ratio(value, style)
    if unit == "count/h":
        return format_growth(value, "count")
    written = {"bytes": format_bytes, "bytes/h": format_rate, "s": format_duration}.get(unit, _digits)
    return written(value)


def _ratio(value: float, style: Style) -> str:
    if style is Style.DISTANCE:
        return _digits(max(0.0, value))
    if value >= FAR:
        return f"over {FAR:.0f} times"
    # Where noise could hide all of it, the threshold is far below nothing: all of it is as far as that can go.
    return f"{_digits(value)} times" if style is Style.TIMES else f"{_digits(100 * max(-1.0, value))} %"


def _digits(value: float) -> str:
    """Return a number with about two digits that matter."""
    value = round(value, 1) + 0.0  # of -0.0 makes 0.0
    return f"{value:.0f}" if abs(value) >= 9.95 or value == round(value) else f"{value:.1f}"
