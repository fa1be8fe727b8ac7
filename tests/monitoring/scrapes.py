"""Hand-made scrapes: what each process, cache and counter holds at each time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.config import AnalysisConfig, Config, SamplingConfig
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape, Tick
from leakwatch.model.verdict import Rooms, Verdict
from leakwatch.monitoring.detector import Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from leakwatch.model.sample import SealedBlock
    from leakwatch.model.verdict import Finding
    from leakwatch.monitoring.evaluation import Evaluation

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
START_MS = 1_700_000_000_000 // 86_400_000 * 86_400_000
BOOT = "boot-1"
MINUTES = Config(sampling=SamplingConfig(interval_s=1.0), analysis=AnalysisConfig(windows_s=(60, 120)))

Amount = "int | Callable[[int], int | None]"
"""Bytes, or bytes at a second since the start; None: not there then."""


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0


@dataclass
class Machine:
    """Everything that is sampled; ``scrape`` says what it is at a second since the start."""

    processes: dict[ProcessInfo, Amount] = field(default_factory=dict)
    slab: dict[str, Amount] = field(default_factory=dict)
    vmalloc: dict[str, Amount] = field(default_factory=dict)
    host: dict[str, Amount] = field(default_factory=dict)
    reclaimable: dict[str, bool] = field(default_factory=dict)
    unread: set[int] = field(default_factory=set)
    """Process ids whose memory is refused."""

    def scrape(self, at: int, *, ts_ms: int | None = None, clock_step_ms: int = 0) -> Scrape:
        alive = {info: _at(amount, at) for info, amount in self.processes.items()}
        alive = {info: value for info, value in alive.items() if value is not None}
        samples = [
            Sample(
                metrics.PROCESS_ANON if info.identity.pid in self.unread else metrics.PROCESS_USS,
                info.identity.target,
                v,
            )
            for info, v in alive.items()
        ]
        for kind, metric, amounts in (
            (TargetKind.SLAB, metrics.SLAB_ACTIVE, self.slab),
            (TargetKind.VMALLOC, metrics.VMALLOC_BYTES, self.vmalloc),
        ):
            found = {key: _at(amount, at) for key, amount in amounts.items()}
            samples += [Sample(metric, Target(kind, key), v) for key, v in found.items() if v is not None]
        samples += [Sample(m, HOST, _at(amount, at) or 0) for m, amount in self.host.items()]
        samples += [
            Sample(metrics.SLAB_RECLAIMABLE, Target(TargetKind.SLAB, key), int(yes))
            for key, yes in self.reclaimable.items()
        ]
        outcome = CollectorOutcome("processes", 1000, len(alive))
        tick = Tick(START_MS + at * 1000 if ts_ms is None else ts_ms, BOOT, clock_step_ms=clock_step_ms)
        return Scrape(tick, tuple(samples), tuple(alive), (outcome,))


def _at(amount: Amount, at: int) -> int | None:
    return amount(at) if callable(amount) else amount


def process(pid: int, name: str = "worker", service: Service | None = None, uid: int | None = 0) -> ProcessInfo:
    service = service or Service(ServiceKind.PROGRAM, name)
    return ProcessInfo(ProcessIdentity(BOOT, pid, pid * 10), name, f"/usr/bin/{name}", uid, service)


def unit(name: str) -> Service:
    return Service(ServiceKind.UNIT, name)


def leak(rate: int = MIB, base: int = 50 * MIB, since: int = 0) -> Callable[[int], int]:
    return lambda at: base + rate * max(0, at - since)


def only(amount: Amount, first: int, last: int) -> Callable[[int], int | None]:
    """There from one second to before another."""
    return lambda at: _at(amount, at) if first <= at < last else None


def watch(
    machine: Machine, seconds: int = 180, config: Config = MINUTES, detector: Detector | None = None
) -> Evaluation:
    """Scrape every second from the start and judge every five; return the last evaluation."""
    detector = detector or Detector(config, NoLimits())
    evaluation = None
    for at in range(seconds):
        detector.feed(machine.scrape(at))
        if at % 5 == 4:
            evaluation = detector.evaluate(START_MS + at * 1000)
    assert evaluation is not None
    return evaluation


def suspects(evaluation: Evaluation) -> list[Finding]:
    return [f for f in evaluation.findings if f.assessment.verdict in (Verdict.LEAK, Verdict.WATCH)]


def names(evaluation: Evaluation) -> dict[str, str]:
    return {finding.name: str(finding.assessment.verdict) for finding in evaluation.findings}


def with_(config: Config, **changes: object) -> Config:
    return replace(config, **changes)


def by_key(blocks: list[SealedBlock]) -> dict[tuple[object, ...], SealedBlock]:
    """The newest of each block, as the store keeps them."""
    return {(b.metric, b.target, b.span_s, b.block.start_ms): b for b in blocks}
