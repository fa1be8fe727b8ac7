"""Findings as JSON text and back.

A text that cannot be read (damage that SQLite does not notice, another version's fields) is left out with a line in the
log: findings are judged anew anyhow, and neither a report nor a start may fail for one of them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

from leakwatch.model.identity import Target, TargetKind, identity_of
from leakwatch.model.memory_class import process_and_class
from leakwatch.model.verdict import (
    Assessment,
    Criterion,
    Finding,
    FindingKind,
    Phrase,
    Phrases,
    Sort,
    Trend,
    Verdict,
    said,
)
from leakwatch.store.encoding.integers import PayloadError

log = logging.getLogger(__name__)


def encode_phrases(phrases: Phrases) -> str:
    """Return phrases as compact JSON: a list each, its code first."""
    return json.dumps([[one.code, *one.params] for one in phrases], separators=(",", ":"))


def decode_phrases(text: str) -> Phrases:
    """Return the phrases ``encode_phrases`` wrote; any other text as it is."""
    try:
        return _phrases(json.loads(text))
    except (ValueError, TypeError):
        return said(text)


def _phrases(raw: list[list[Any]]) -> Phrases:
    if not isinstance(raw, list):
        raise TypeError("phrases are a list")
    return tuple(Phrase(str(code), tuple(params)) for code, *params in raw)


def encode_finding(finding: Finding) -> str:
    """Return the finding as compact JSON, without what is not known: half the text of one that is no suspect."""
    told = dataclasses.asdict(finding)
    told["notes"] = [[one.code, *one.params] for one in finding.notes]
    told["assessment"]["reasons"] = [[one.code, *one.params] for one in finding.assessment.reasons]
    _drop_unknown(told, Finding)
    _drop_unknown(told["assessment"], Assessment)
    return json.dumps(told, separators=(",", ":"))


def _drop_unknown(told: dict[str, Any], of: type[Finding | Assessment]) -> None:
    for field in dataclasses.fields(of):
        if field.default in (None, "") and told[field.name] == field.default:
            del told[field.name]
    for name in ("sorts", "notes"):
        if not told.get(name, True):
            del told[name]


def decode_finding(text: str) -> Finding | None:
    """Return the finding ``encode_finding`` wrote, None where the text is none."""
    try:
        return finding_of(text)
    except PayloadError as error:
        log.warning("a stored finding cannot be read and is left out: %s", error)
        return None


def finding_of(text: str) -> Finding:
    """Return the finding ``encode_finding`` wrote. Raises PayloadError where the text is none."""
    try:
        return _finding(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PayloadError(f"{type(error).__name__}: {error}") from None


def decode_target(kind: str, key: str) -> Target:
    """Return a stored target. Raises PayloadError where it is none."""
    try:
        target = Target(TargetKind(kind), key)
        if not isinstance(key, str):
            raise PayloadError("its key is no text")
        process = process_and_class(target)[0] if target.kind is TargetKind.MEMORY_CLASS else target
        if process.kind is TargetKind.PROCESS:
            identity_of(process.key)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise PayloadError(f"it is no target: {error}") from None
    return target


def start_ticks_of(target: Target) -> int | None:
    """Return when a process began, in ticks, by its target's key; None of every other target."""
    last = target.key.rpartition("/")[2]
    return int(last) if target.kind is TargetKind.PROCESS and last.isascii() and last.isdecimal() else None


def decode_json(text: str, default: Any) -> Any:
    """Return the value of a JSON text of ours, ``default`` where it is none."""
    try:
        return json.loads(text)
    except (ValueError, TypeError) as error:
        log.warning("a stored value cannot be read and is left out: %s", error)
        return default


def _finding(raw: dict[str, Any]) -> Finding:
    raw["kind"] = FindingKind(raw["kind"])
    assessment = raw["assessment"]
    assessment["verdict"] = Verdict(assessment["verdict"])
    assessment["evidence"] = tuple(Criterion(**item) for item in assessment["evidence"])
    assessment["windows"] = tuple(
        Trend(**{**item, "verdict": Verdict(item["verdict"])}) for item in assessment["windows"]
    )
    assessment["reasons"] = _phrases(assessment.get("reasons", []))
    raw["assessment"] = Assessment(**assessment)
    raw["notes"] = _phrases(raw.get("notes", []))
    raw["sorts"] = tuple(Sort(**item) for item in raw.get("sorts", ()))
    return Finding(**raw)
