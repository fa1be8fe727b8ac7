"""What the store holds of climbs that go on, series by series: only what has changed is handed over."""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.series.derived import Key


class Suspicions:
    """Beside the series under watch: those that are gone are dropped from the store, and then forgotten."""

    def __init__(self) -> None:
        self._written: dict[Key, str] = {}
        self._dropped: set[Key] = set()
        """Series that are gone of which something is stored."""
        self._dropping: frozenset[Key] = frozenset()
        """Those of them that were handed over last."""

    def restore(self, payloads: Mapping[Key, str], series: Mapping[Key, SeriesState]) -> None:
        """Take what is stored."""
        self._written = {key: payload for key, payload in payloads.items() if key in series}
        self._dropped = payloads.keys() - series.keys()

    def forget(self, key: Key) -> None:
        """Take that a series is gone."""
        if self._written.pop(key, None) is not None:
            self._dropped.add(key)

    def changed(self, series: Mapping[Key, SeriesState]) -> dict[Key, str | None]:
        """Return what has changed since the last call, as JSON; None of what is to be dropped."""
        self._dropping, self._dropped = frozenset(self._dropped), set()
        changed: dict[Key, str | None] = dict.fromkeys(self._dropping)
        for key, state in series.items():
            now = state.to_json()
            if now != self._written.get(key):
                changed[key] = now
                if now is None:
                    del self._written[key]
                else:
                    self._written[key] = now
        return changed

    def forget_stored(self) -> None:
        """Mark everything unsaved: the next call hands over all of it."""
        self._written.clear()
        self._dropped |= self._dropping
