"""One file of a bundle, or why it is not in there."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BYTES = 8 << 20
"""Of a file in a bundle: smaps of 20,000 mappings."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """A file of a bundle."""

    name: str
    about: str
    """What is in it, in one line."""
    data: bytes | None
    """None where it could not be had."""
    note: str = ""
    """Why it is missing, or what is left out of it."""


def bounded(name: str, about: str, data: bytes) -> BundleEntry:
    """Return a file, cut at a line where it is too large for a bundle."""
    if len(data) <= MOST_BYTES:
        return BundleEntry(name, about, data)
    kept = data[: data.rfind(b"\n", 0, MOST_BYTES) + 1]
    return BundleEntry(name, about, kept, f"cut: the first {len(kept)} of {len(data)} bytes")
