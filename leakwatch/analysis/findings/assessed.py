"""A series with what was said of it: what findings are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.model.identity import Target
    from leakwatch.model.verdict import Assessment


@dataclass(frozen=True, slots=True)
class AssessedSeries:
    """One series' assessment."""

    metric: str
    target: Target
    assessment: Assessment
