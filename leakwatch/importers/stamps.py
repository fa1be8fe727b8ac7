"""Times as text, many at once: the samples of a scrape share one, so each is read once and then known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.importers.moments import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_TIME = -1
_MOST_KNOWN = 1 << 16
"""Distinct times held; a file that has one a row begins anew after so many."""


class Stamps:
    """The times read last, by their text."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}

    def times_ms(self, texts: Iterable[bytes]) -> list[int]:
        """Return UTC milliseconds of each text, NO_TIME for what is no time since 1970."""
        known = self._known
        return [known[text] if text in known else self._read(text) for text in texts]

    def _read(self, text: bytes) -> int:
        try:
            found = max(NO_TIME, parse_time(text.decode("ascii")))
        except ValueError:  # UnicodeDecodeError is one, too
            found = NO_TIME
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[text] = found
        return found
