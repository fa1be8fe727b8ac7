"""How many examples Hypothesis tries: few beside every change, more at night."""

from __future__ import annotations

import os

from hypothesis import settings

TIMES = int(os.environ.get("LEAKWATCH_EXAMPLES", "1"))
"""How many times as many are tried as beside a change."""


def examples(count: int) -> settings:
    """Return the decorator of a test that tries ``count`` of them, however long one takes."""
    return settings(max_examples=count * TIMES, deadline=None)
