"""Makes a bundle when a leak is confirmed, once an incident, in a child that ends; what goes wrong is said and no more.

The daemon imports this module: what the work itself needs, SQLAlchemy and numpy among it, only the child loads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leakwatch.config import Config, EvidenceConfig
from leakwatch.errors import LeakwatchError
from leakwatch.model.incident import Incident
from leakwatch.system.worker import OneChild
from leakwatch.text.redact import CommandLines

TIMEOUT_S = 120
"""A bundle takes a second or two; a hang must not keep the evaluations waiting for long."""
MOST_AT_ONCE = 5
"""Bundles for one evaluation: where more is confirmed in the same minute, it is one cause."""
LONGEST_S = 3 * 86_400.0
"""How much of the series is taken: three days at a minute are 4320 scrapes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvidenceTask:
    """Of what, from where, as of when."""

    store: str
    proc_root: str
    incidents: tuple[tuple[str, str], ...]
    """Incident's id and its finding's."""
    limits: EvidenceConfig
    max_stall_s: float
    command_lines: CommandLines
    now_ms: int


class EvidenceJob:
    """Has bundles made, one child at a time, and can be told to end it."""

    def __init__(self, config: Config, proc_root: str) -> None:
        self._limits, self._max_stall_s, self._proc_root = config.evidence, config.sampling.max_stall_s, proc_root
        self._command_lines = config.privacy.command_lines
        self._gather = OneChild(result, TIMEOUT_S)

    def gather(self, store: Path, confirmed: Sequence[Incident], now_ms: int) -> None:
        """Make the bundles of incidents that were just confirmed; never raises."""
        if not confirmed or not self._limits.when_confirmed:
            return
        incidents = tuple((one.id, one.finding_id) for one in confirmed[:MOST_AT_ONCE])
        task = EvidenceTask(
            str(store), self._proc_root, incidents, self._limits, self._max_stall_s, self._command_lines, now_ms
        )
        try:
            for path in self._gather(task):
                log.info("evidence of incident %s: %s", Path(path).name.partition("-")[0], path)
        except (LeakwatchError, OSError) as error:
            if not self._gather.is_ended:
                log.warning("no evidence could be kept: %s; by hand: leakwatch evidence ID", error)

    def end(self) -> None:
        """End the child there may be, and start no other."""
        self._gather.end()


def result(task: EvidenceTask) -> Iterator[str]:
    """Be the child's work: yield the path of each bundle made. Raises the errors of the store and of writing."""
    from leakwatch.clock import rfc3339  # noqa: PLC0415 - what only the child needs
    from leakwatch.evidence import bundle, gather  # noqa: PLC0415
    from leakwatch.procfs.fs import ProcFS  # noqa: PLC0415
    from leakwatch.store.read.reader import Reader  # noqa: PLC0415

    store = Path(task.store)
    where = bundle.shelf_of(store)
    where.mkdir(mode=0o700, exist_ok=True)
    limits = gather.BundleLimits(task.max_stall_s, LONGEST_S)
    procfs = ProcFS(task.proc_root, command_lines=task.command_lines)
    reader = Reader(store)
    try:
        rows = {row.finding.id: row for row in gather.rows_of(reader)}
        for incident_id, finding_id in task.incidents:
            row = rows.get(finding_id)
            if row is None or incident_id in {one.incident_id for one in bundle.kept(where)}:
                continue
            found = gather.entries(reader, procfs, row, task.now_ms, limits)
            path = where / gather.file_name(row.finding, incident_id, task.now_ms)
            bundle.write(found, path, task.now_ms / 1000)
            yield str(path)
    finally:
        reader.close()
        oldest = rfc3339(task.now_ms - round(task.limits.keep_s * 1000)).replace("-", "").replace(":", "")
        bundle.remove(bundle.surplus(bundle.kept(where), oldest, task.limits.max_size_bytes), where)
