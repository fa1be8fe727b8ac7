"""The numbers of targets and series: small integers in the tables for long names in the program.

The writer is alone, so it gives the numbers out itself. After a transaction that failed the catalog no longer matches
the tables: the writer then loads another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.store import codec
from leakwatch.store.sql import names

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from leakwatch.model import Target, TargetKind

Row = dict[str, object]


class Catalog:
    """Targets and series by name; loaded once, then kept in step with the tables."""

    def __init__(self, connection: Connection) -> None:
        self._targets: dict[Target, int] = {}
        self._series: dict[int, dict[str, int]] = {}
        self._metrics: dict[str, int] = {}
        self._new_metrics: list[Row] = []
        self._new_targets: list[Row] = []
        self._new_series: list[Row] = []
        for row in connection.execute(names.living_targets()):
            self._targets[codec.decode_target(row.kind, row.key)] = row.id
        for row in connection.execute(names.metrics()):
            self._metrics[row.name] = row.id
        for row in connection.execute(names.all_series()):
            self._series.setdefault(row.target_id, {})[row.metric] = row.id
        # Also of those that have ended: a number is not given out twice while rows of it may exist.
        self._next_target = connection.execute(names.highest_target()).scalar_one() + 1
        self._next_series = connection.execute(names.highest_series()).scalar_one() + 1

    def series_id(self, connection: Connection, metric: str, target: Target, ts_ms: int) -> int:
        """Return the series' number, giving it one where it is new."""
        target_id = self._targets.get(target)
        if target_id is None:
            target_id = self._adopt(connection, target, ts_ms)
        known = self._series.setdefault(target_id, {})
        number = known.get(metric)
        if number is None:
            number = known[metric] = self._next_series
            self._next_series += 1
            self._new_series.append({"id": number, "metric_id": self._metric_id(metric), "target_id": target_id})
        return number

    def _metric_id(self, metric: str) -> int:
        number = self._metrics.get(metric)
        if number is None:
            number = self._metrics[metric] = max(self._metrics.values(), default=0) + 1
            self._new_metrics.append({"id": number, "name": metric})
        return number

    def target_id(self, connection: Connection, target: Target, ts_ms: int) -> int:
        """Return the target's number, giving it one where it is new."""
        known = self._targets.get(target)
        return self._adopt(connection, target, ts_ms) if known is None else known

    def _adopt(self, connection: Connection, target: Target, ts_ms: int) -> int:
        # A service that stopped and came back has ended in the table and is not among the living.
        number = connection.execute(names.find_target(target)).scalar()
        if number is None:
            number = self._next_target
            self._next_target += 1
            self._new_targets.append(_target_row(number, target, ts_ms))
        else:
            connection.execute(names.revive_target(number))
            known = {row.metric: row.id for row in connection.execute(names.find_series(number))}
            self._series[number] = known
        self._targets[target] = number
        return int(number)

    def flush(self, connection: Connection) -> None:
        """Write the rows of what is new; to be called before rows that refer to them are of use."""
        if self._new_targets:
            connection.execute(names.ADD_TARGET, self._new_targets)
        if self._new_metrics:
            connection.execute(names.ADD_METRIC, self._new_metrics)
        if self._new_series:
            connection.execute(names.ADD_SERIES, self._new_series)
        self._new_targets, self._new_metrics, self._new_series = [], [], []

    def end_all_but(self, connection: Connection, kind: TargetKind, alive: Collection[Target], ts_ms: int) -> None:
        """Note that every other target of this kind has ended."""
        ended = [target for target in self._targets if target.kind is kind and target not in alive]
        for at in range(0, len(ended), 500):  # SQLite takes a bounded number of parameters
            numbers = [self._targets[target] for target in ended[at : at + 500]]
            connection.execute(names.end_targets(numbers, ts_ms))
        for target in ended:
            self._series.pop(self._targets.pop(target), None)


def _target_row(number: int, target: Target, ts_ms: int) -> Row:
    start_ticks = codec.start_ticks_of(target)
    return {"id": number, "kind": target.kind, "start_ticks": start_ticks, "key": target.key, "first_ms": ts_ms}
