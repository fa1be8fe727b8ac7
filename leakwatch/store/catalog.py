"""The numbers of targets and series: small integers in the tables for long names in the program.

The writer is alone, so it gives the numbers out itself. After a transaction that failed the catalog no longer matches
the tables: the writer then loads another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.memory_class import process_and_class
from leakwatch.store.encoding import codec
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.files.driver import PlainConnection
from leakwatch.store.sql import daemon as texts

Row = dict[str, object]


class Catalog:
    """Targets and series by name; loaded once, then kept in step with the tables."""

    def __init__(self, connection: PlainConnection) -> None:
        self._targets: dict[Target, int] = {}
        self._series: dict[int, dict[str, int]] = {}
        self._metrics: dict[str, int] = {}
        self._new_metrics: list[Row] = []
        self._new_targets: list[Row] = []
        self._new_series: list[Row] = []
        for row in connection.execute(texts.LIVING_TARGETS):
            # One that is damaged gets another number when it is seen again; ``db check`` names its row.
            with suppress(PayloadError):
                self._targets[codec.decode_target(row.kind, row.key)] = row.id
        for row in connection.execute(texts.METRICS):
            self._metrics[row.name] = row.id
        for row in connection.execute(texts.LIVING_SERIES):
            self._series.setdefault(row.target_id, {})[row.metric] = row.id
        # Also of those that have ended: a number is not given out twice while rows of it may exist.
        self._next_target = connection.execute(texts.HIGHEST_TARGET).fetchone()[0] + 1
        self._next_series = connection.execute(texts.HIGHEST_SERIES).fetchone()[0] + 1

    def series_id(self, connection: PlainConnection, metric: str, target: Target, ts_ms: int) -> int:
        """Return the series' number, giving it one where it is new."""
        target_id = self._targets.get(target)
        if target_id is None:
            target_id = self._adopt(connection, target, ts_ms)
        known = self._series.get(target_id)
        if known is None:
            known = self._series[target_id] = {}
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

    def target_id(self, connection: PlainConnection, target: Target, ts_ms: int) -> int:
        """Return the target's number, giving it one where it is new."""
        known = self._targets.get(target)
        return self._adopt(connection, target, ts_ms) if known is None else known

    def _adopt(self, connection: PlainConnection, target: Target, ts_ms: int) -> int:
        # A service that stopped and came back has ended in the table and is not among the living.
        start_ticks = codec.start_ticks_of(target)
        find = texts.FIND_OTHER if start_ticks is None else texts.FIND_PROCESS
        row = connection.execute(find, {"kind": target.kind, "start_ticks": start_ticks, "key": target.key}).fetchone()
        if row is None:
            number: int = self._next_target
            self._next_target += 1
            self._new_targets.append(
                {"id": number, "kind": target.kind, "start_ticks": start_ticks, "key": target.key, "first_ms": ts_ms}
            )
        else:
            number = row.id
            connection.execute(texts.REVIVE_TARGET, (number,))
            self._series[number] = {row.metric: row.id for row in connection.execute(texts.SERIES_OF, (number,))}
        self._targets[target] = number
        return number

    def flush(self, connection: PlainConnection) -> None:
        """Write the rows of what is new; to be called before rows that refer to them are of use."""
        if self._new_targets:
            connection.execute_many(texts.ADD_TARGET, self._new_targets)
        if self._new_metrics:
            connection.execute_many(texts.ADD_METRIC, self._new_metrics)
        if self._new_series:
            connection.execute_many(texts.ADD_SERIES, self._new_series)
        self._new_targets, self._new_metrics, self._new_series = [], [], []

    def end_all_but(self, connection: PlainConnection, kind: TargetKind, alive: Collection[Target], ts_ms: int) -> None:
        """Note that every other target of this kind has ended."""
        self._end([one for one in self._targets if one.kind is kind and one not in alive], connection, ts_ms)

    def end_classes_of_all_but(self, connection: PlainConnection, alive: Collection[Target], ts_ms: int) -> None:
        """Note that the classes of memory of every other process have ended."""
        of_class = TargetKind.MEMORY_CLASS
        classes = [target for target in self._targets if target.kind is of_class]
        self._end([one for one in classes if process_and_class(one)[0] not in alive], connection, ts_ms)

    def _end(self, ended: Sequence[Target], connection: PlainConnection, ts_ms: int) -> None:
        for at in range(0, len(ended), 500):  # SQLite takes a bounded number of parameters
            numbers = [self._targets[target] for target in ended[at : at + 500]]
            connection.execute(texts.end_targets(len(numbers)), (ts_ms, *numbers))
        for target in ended:
            self._series.pop(self._targets.pop(target), None)
