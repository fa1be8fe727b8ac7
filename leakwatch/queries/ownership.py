"""What a store knows of owners, control groups and OOM kills, for a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from leakwatch.analysis.findings.counts import count_target
from leakwatch.analysis.findings.services_and_kernel import finding_id
from leakwatch.metrics import APART, METRICS
from leakwatch.model.identity import Target, TargetKind
from leakwatch.report.ownership import Kills, Ownership
from leakwatch.store.daemon_state import PastKill, kills_of, owners_of
from leakwatch.store.read.reader import Reader
from leakwatch.store.read.records import ScrapeHead


def read_whose(reader: Reader, states: Mapping[str, Any], last: ScrapeHead) -> dict[str, Ownership]:
    """Return what is known of services by their finding's id; by those of findings about counts the owner alone."""
    values, kills = _newest(reader, states.get("evaluation", {}), last), summed(kills_of(states))
    owners = owners_of(states)
    of_counts = {
        finding_id(count_target(service, metric)): Ownership(owner)
        for service, owner in owners.items()
        for metric in APART
    }
    return of_counts | {
        finding_id(service): Ownership(owner, values.get(service, {}), kills.get(service))
        for service, owner in owners.items()
    }


def read_kills(states: Mapping[str, Any]) -> dict[str, Kills]:
    """Return the kills kept, by the service's name; those of nobody known by an empty one."""
    return {
        "" if service is None else service.key.partition(":")[2]: kills
        for service, kills in summed(kills_of(states)).items()
    }


def summed(kills: Iterable[PastKill]) -> dict[Target | None, Kills]:
    """Return the kills of each service; None stands for those of nobody known."""
    sums: dict[Target | None, Kills] = {}
    for past in kills:
        before = sums.get(past.kill.service)
        sums[past.kill.service] = Kills(
            past.kill.count + (before.count if before else 0),
            before.first_ms if before else past.at_ms,
            past.at_ms,
            past.kill.certain and (before is None or before.certain),
        )
    return sums


def _newest(reader: Reader, evaluation: Mapping[str, Any], last: ScrapeHead) -> dict[Target, dict[str, int]]:
    """Return what the groups said in the newest round that read them."""
    rounds = 2 * evaluation.get("slow_every", 5)
    since_ms = last.ts_ms - round(rounds * evaluation.get("interval_s", 60.0) * 1000)
    heads = [head for head in reader.scrapes_since(since_ms) if head.id <= last.id]
    wanted = [name for name in METRICS if name.startswith("cgroup.")]
    newest: dict[Target, dict[str, int]] = {}
    for _, samples in reader.history(heads, wanted):
        now: dict[Target, dict[str, int]] = {}
        for (metric, target), value in samples.items():
            if target.kind is TargetKind.SERVICE:
                now.setdefault(target, {})[metric] = value
        newest |= now  # a whole round's values, never of two rounds mixed
    return newest
