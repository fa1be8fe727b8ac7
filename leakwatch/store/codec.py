"""Findings as JSON text and back."""

from __future__ import annotations

import dataclasses
import json

from leakwatch.model import Assessment, Criterion, Finding, FindingKind, Trend, Verdict


def encode_finding(finding: Finding) -> str:
    """Return the whole finding as compact JSON."""
    return json.dumps(dataclasses.asdict(finding), separators=(",", ":"))


def decode_finding(text: str) -> Finding:
    """Return the finding ``encode_finding`` wrote."""
    raw = json.loads(text)
    raw["kind"] = FindingKind(raw["kind"])
    assessment = raw["assessment"]
    assessment["verdict"] = Verdict(assessment["verdict"])
    assessment["evidence"] = tuple(Criterion(**item) for item in assessment["evidence"])
    assessment["windows"] = tuple(
        Trend(**{**item, "verdict": Verdict(item["verdict"])}) for item in assessment["windows"]
    )
    raw["assessment"] = Assessment(**assessment)
    return Finding(**raw)
