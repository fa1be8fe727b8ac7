"""What the lives of a program that have ended teach the ones that run: the same program in the same service."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from leakwatch.analysis.lives import Life, Lives

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leakwatch.analysis.derive import Key
    from leakwatch.analysis.state import SeriesState
    from leakwatch.model import ProcessInfo

LIVES_KEPT = 10
"""Past lives remembered of one program in one service."""


class PastLives:
    """The lives remembered, and which running series are whose."""

    def __init__(self) -> None:
        self._whose: dict[Key, str] = {}
        """Of each process's series: the program within a service whose lives it is one of."""
        self._lives: dict[str, tuple[Life, ...]] = {}

    def of_new(self, key: Key, info: ProcessInfo | None) -> Lives | None:
        """Return what is known of the lives a new series is one of, None where it is of no process of a service."""
        if info is None or info.service is None:
            return None
        whose = self._whose[key] = f"{info.service.kind}:{info.service.name}/{info.name}/{key[0]}"
        return Lives(self._lives.get(whose, ()))

    def of(self, key: Key) -> Lives:
        """Return what is known of the lives a series is one of."""
        return Lives(self._lives.get(self._whose.get(key, ""), ()))

    def remember(self, key: Key, now_ms: int, series: Mapping[Key, SeriesState]) -> None:
        """Let the other processes of the same program and service learn from one that has ended."""
        whose = self._whose.pop(key, None)
        life = series[key].life(str(key[1].key), now_ms) if whose is not None else None
        if whose is None or life is None:
            return
        self._lives[whose] = (*self._lives.get(whose, ()), life)[-LIVES_KEPT:]
        for other, theirs in self._whose.items():
            if theirs == whose:
                series[other].lives = Lives(self._lives[whose])

    def to_json(self) -> dict[str, list[list[object]]]:
        """Return what past lives taught, as values the store can keep."""
        return {whose: [list(astuple(life)) for life in lives] for whose, lives in self._lives.items()}

    def restore(self, stored: Mapping[str, list[list[Any]]]) -> None:
        """Take what ``to_json`` gave."""
        self._lives = {whose: tuple(Life(*values) for values in those) for whose, those in stored.items()}
