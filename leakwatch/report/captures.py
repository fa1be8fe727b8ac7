"""Verdicts on captured series, for ``leakwatch analyze``: JSON, JSON lines and a table that begins with the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from leakwatch.model.verdict import SEVERITY, Assessment, Verdict
from leakwatch.report import words
from leakwatch.report.columns import WIDEST, aligned, coloured
from leakwatch.report.conclusion import Tally, conclude, tally
from leakwatch.report.json_values import criterion, finite, growth, time, window
from leakwatch.text.escape import as_text, json_text, printable
from leakwatch.units import format_amount

SCHEMA = 2
MOST_SEEN = 5
"""Series without a verdict whose growth is told."""
_HEADINGS = ("verdict", "series", "rate (95 % interval)", "per day", "grown", "now")


@dataclass(frozen=True, slots=True)
class JudgedCapture:
    """One captured series with its verdict at its end."""

    series: str
    assessment: Assessment
    file: str | None = None
    """None where there is but one source."""
    doubt: str = ""
    """What shows that its file's values are in another unit than was taken."""
    decides: bool = True
    """False of what cannot leak, such as free memory: that it is ok decides nothing."""


def as_object(one: JudgedCapture) -> dict[str, Any]:
    """Return the object of one series."""
    found = one.assessment
    number = found.unit == "count"
    return (
        source(one.file)
        | ({"doubt": one.doubt} if one.doubt else {})
        | {
            "series": text(one.series),
            "verdict": str(found.verdict),
            "unit": found.unit or "bytes",
            **growth(found, found.unit),
            "since": time(found.since_ms),
            "grown_bytes": None if number else found.grown_bytes,
            "current_bytes": None if number else found.current_bytes,
            **({"grown_count": found.grown_bytes, "current_count": found.current_bytes} if number else {}),
            "confidence": finite(found.confidence),
            "reason": words.reason_of(found),
            "windows": [window(trend, found.unit) for trend in found.windows],
            "evidence": [criterion(test) for test in found.evidence],
        }
    )


def source(file: str | None) -> dict[str, str]:
    """Return the key that names the file, where there are several."""
    return {} if file is None else {"file": text(file)}


def text(name: str) -> str:
    """Return a name of a captured file as JSON carries it: escaped where it is not UTF-8."""
    return name if as_text(name) == name else printable(name)


def lines(rows: Iterable[JudgedCapture]) -> str:
    """Return one JSON object a line."""
    return "".join(json_text(as_object(row)) for row in rows)


def tally_of(rows: Iterable[JudgedCapture]) -> Tally:
    """Count what is decided; each file is a host of its own. On values of a doubtful unit nothing is."""
    return tally((row.file, Verdict.LEARNING if row.doubt else row.assessment.verdict) for row in rows if row.decides)


def document(rows: Sequence[JudgedCapture], shown: Collection[Verdict]) -> str:
    """Return one JSON object with the series of these verdicts, and what all of them come to."""
    found = tally_of(rows)
    leaks = any(row.assessment.verdict is Verdict.LEAK for row in rows)
    body = {
        "schema": SCHEMA,
        "outcome": str(conclude(found, leaks=leaks)),
        "decided": found.decided,
        "undecided": found.undecided,
        "series": [as_object(row) for row in rows if row.assessment.verdict in shown],
    }
    return json_text(body, indent=1)


def table(rows: Sequence[JudgedCapture], shown: Collection[Verdict], *, colour: bool = False) -> str:
    """Return the answer, the series with the verdicts asked for, the worst first, and how many others there are."""
    counts = Counter(row.assessment.verdict for row in rows)
    doubts = dict.fromkeys(f"{_whence(row)}: {row.doubt}".removeprefix(": ") for row in rows if row.doubt)
    out = [_headline(counts, len(rows), tally_of(rows)), *map(_sentence, doubts), ""]
    chosen = sorted((row for row in rows if row.assessment.verdict in shown), key=_rank, reverse=True)
    if chosen:
        heading, *body = aligned([_HEADINGS, *map(_cells, chosen)])
        out.append(heading)
        for row, line in zip(chosen, body, strict=True):
            out.append(coloured(line, row.assessment.verdict) if colour else line)
            out += [f"    {part}" for part in (words.why_of(row.assessment), _whence(row)) if part]
        out.append("")
    out += _growing(rows, shown)
    return "\n".join([*out, *_remarks(counts, shown)]).rstrip() + "\n"


def _growing(rows: Sequence[JudgedCapture], shown: Collection[Verdict]) -> list[str]:
    """Return the growth of what is too young for a verdict, what grew most first, unless it is in the table."""
    seen = [row for row in rows if words.seen_of(row.assessment)] if Verdict.LEARNING not in shown else []
    seen.sort(key=lambda row: row.assessment.grown_bytes or 0, reverse=True)
    lines = [f"  {words.short(row.series, WIDEST)}: {printable(words.reason_of(row.assessment))}" for row in seen]
    more = [f"  and {len(seen) - MOST_SEEN} more: --verdict learning lists them"] if len(seen) > MOST_SEEN else []
    return ["Grown so far, without a verdict:", *lines[:MOST_SEEN], *more, ""] if lines else []


def _headline(counts: Counter[Verdict], series: int, found: Tally) -> str:
    leaks, watched = counts[Verdict.LEAK], counts[Verdict.WATCH]
    parts = [words.count(leaks, "leak")] if leaks else []
    parts += [f"{watched} to watch"] if watched else []
    nothing = "No leaks found" if found.decided or not found.undecided else "Nothing decided yet"
    return f"{', '.join(parts) or nothing} among {words.count(series, 'series', 'series')}."


def _rank(row: JudgedCapture) -> tuple[float, ...]:
    found = row.assessment
    rate = max(0.0, found.slope_bytes_per_hour or 0.0)
    return SEVERITY[found.verdict], found.confidence * rate, rate, found.current_bytes


def _cells(row: JudgedCapture) -> tuple[str, ...]:
    found = row.assessment
    return (
        str(found.verdict),
        words.short(row.series, WIDEST),
        words.rate_of(found),
        words.per_day_of(found),
        words.grown_of(found),
        format_amount(found.current_bytes, found.unit),
    )


def _whence(row: JudgedCapture) -> str:
    return "" if row.file is None else f"in {printable(row.file)}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _remarks(counts: Counter[Verdict], shown: Collection[Verdict]) -> list[str]:
    hidden = [f"{counts[verdict]} {_STATE[verdict]}" for verdict in reversed(Verdict) if counts[verdict]]
    out = [f"{', '.join(hidden)}."] if set(counts) - set(shown) else []
    if counts[Verdict.LEARNING]:
        out.append("Learning: too few samples, or over too short a time, for a verdict.")
    if counts[Verdict.LEAK] + counts[Verdict.WATCH]:
        out.append("To see why, test by test, and what would change it: leakwatch explain --file FILE SERIES")
    return out


_STATE = {
    Verdict.LEAK: "leak",
    Verdict.WATCH: "to watch",
    Verdict.LEARNING: "learning",
    Verdict.OK: "ok",
}
