"""The bundles that were made unasked: a directory beside the store, kept in its bounds by age, size and number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leakwatch.text import outfile

DIRECTORY = "evidence"
MOST = 100
"""Bundles, however small."""
_INTERRUPTED = ".part"
"""Behind the name of a bundle that an earlier version did not finish."""
_NAME = re.compile(r"(?P<incident>[a-z][0-9a-f]{8})-(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.tar\.gz")


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """One bundle."""

    path: Path
    incident_id: str
    stamp: str
    """When it was made: UTC, as ``20261126T050000Z``; sorts by time."""
    size_bytes: int


def shelf_of(store: Path) -> Path:
    """Return where the bundles of a store are."""
    return store.parent / DIRECTORY


def kept(shelf: Path) -> list[KeptBundle]:
    """Return the bundles there, oldest first; what is not one of ours is none of our business."""
    try:
        paths = list(shelf.iterdir())
    except OSError:
        return []
    found = []
    for path in paths:
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        try:
            found.append(KeptBundle(path, name["incident"], name["stamp"], path.stat().st_size))
        except OSError:
            continue
    return sorted(found, key=lambda one: (one.stamp, one.path.name))


def surplus(bundles: Sequence[KeptBundle], oldest_stamp: str, max_bytes: int, most: int = MOST) -> list[KeptBundle]:
    """Return which are to go: those made before a time, then the oldest until size and number fit. Pure."""
    too_old = [one for one in bundles if one.stamp < oldest_stamp]
    stay = [one for one in bundles if one.stamp >= oldest_stamp]
    total = sum(one.size_bytes for one in stay)
    while stay and (total > max_bytes or len(stay) > most):
        first = stay.pop(0)
        total -= first.size_bytes
        too_old.append(first)
    return too_old


def remove(bundles: Sequence[KeptBundle], shelf: Path) -> None:
    """Remove bundles, and what a bundle that was interrupted has left."""
    outfile.clear(shelf)
    left = [path for path in shelf.glob(f"*{_INTERRUPTED}") if _NAME.fullmatch(path.name.removesuffix(_INTERRUPTED))]
    for path in [one.path for one in bundles] + left:
        path.unlink(missing_ok=True)
