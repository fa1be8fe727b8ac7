"""A made-up machine for the benchmarks of the store: its scrapes, blocks and evaluations, as a daemon would write them.

Values move as in daily work: a quarter of the processes change between two scrapes, nine tenths of USS and PSS are
marked as estimates. ``churn`` processes are new in every scrape and live for one to five of them, as what timers,
shells and mail start does; their pids rise from where the machine is, as the kernel gives them.
"""

from __future__ import annotations

import random

from leakwatch.model.identity import ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import Block, CollectorOutcome, Sample, Scrape, SealedBlock, Tick
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Trend, Verdict, said

BASE_MS = 1_790_000_000_000
BOOT = "b0a1c2d3-0000-4000-8000-000000000000"
METRICS = ("process.uss_bytes", "process.swap_bytes", "process.rss_bytes", "process.pss_bytes", "process.shmem_bytes")
ESTIMATED = {"process.uss_bytes", "process.pss_bytes"}
READ = 0.1
"""Share of the processes of which these are read, not estimated, in a scrape: others every time."""
SLABS = 150
SERVICES = 60
SUSPECTS = 3
"""Findings that are written at every evaluation; the others are once an hour."""
BLOCK_SCRAPES = 5
TICKS_A_SCRAPE = 6000
TIMED = ("sampling", "listing", "looking", "reading", "delivering", "kernel", "storing", "evaluating", "upkeep")
WINDOWS_S = (4 * 3600, 16 * 3600, 64 * 3600)
STAY, MOVE = 5, 0.25


class Machine:
    """Made-up processes and caches."""

    def __init__(self, processes: int, churn: int) -> None:
        self._rng = random.Random(1)
        self._churn = churn
        self._next_pid, self._ticks = 700, 0
        self._values: dict[ProcessInfo, list[int]] = {}
        self._leaving: dict[ProcessInfo, int] = {}
        for _ in range(processes):
            self._add()

    def _add(self) -> ProcessInfo:
        self._next_pid += self._rng.randrange(1, 40)
        self._ticks += self._rng.randrange(1, 100)
        pid = self._next_pid
        service = Service(ServiceKind.UNIT, f"service-{pid % SERVICES}.service")
        info = ProcessInfo(
            ProcessIdentity(BOOT, pid, self._ticks),
            f"worker-{pid % SERVICES}",
            f"/usr/lib/some/program-{pid % SERVICES} --config /etc/some/program.conf --worker {pid}",
            1000,
            service,
        )
        self._values[info] = [self._rng.randrange(1 << 10, 1 << 20) * 1024 for _ in METRICS]  # /proc tells kB
        return info

    def follow(self, earlier: Machine) -> None:
        """Go on where another stopped: pids and start times rise."""
        self._next_pid, self._ticks = earlier._next_pid, earlier._ticks

    def scrape(self, number: int) -> Scrape:
        """Let a minute pass and return what there is."""
        self._ticks = max(self._ticks, number * TICKS_A_SCRAPE)
        for info in [info for info, until in self._leaving.items() if until <= number]:
            del self._values[info], self._leaving[info]
        for _ in range(self._churn):
            self._leaving[self._add()] = number + self._rng.randrange(1, STAY + 1)
        samples = []
        for info, values in self._values.items():
            if self._rng.random() < MOVE:
                values[:] = [value + 4096 * self._rng.randrange(-50, 60) for value in values]
            target = info.identity.target
            read = self._rng.random() < READ
            samples += [
                Sample(metric, target, value, estimated=metric in ESTIMATED and not read)
                for metric, value in zip(METRICS, values, strict=True)
            ]
        for slab in range(SLABS):
            target = Target(TargetKind.SLAB, f"cache-{slab}")
            samples.append(Sample("slab.active_bytes", target, slab * 8192 + number * 64))
            samples.append(Sample("slab.pages_bytes", target, slab * 16384))
        outcome = CollectorOutcome("processes", 1000, len(self._values))
        return Scrape(Tick(at_ms(number), BOOT), tuple(samples), tuple(self._values), (outcome,))

    def blocks(self, number: int) -> list[SealedBlock]:
        """Return the blocks a scrape completes."""
        if number % BLOCK_SCRAPES:
            return []
        start_ms = at_ms(number - BLOCK_SCRAPES)
        block = Block(start_ms, BLOCK_SCRAPES, 1.5e6, 2.5e6, 3.5e6, 2.75e6)
        return [SealedBlock(METRICS[0], info.identity.target, 300, BASE_MS, block) for info in self._values]

    def states(self, number: int) -> dict[str, object]:
        """Return the state that is stored with a scrape: what sampling cost, as long as the daemon's."""
        some = [info for info in self._values if info not in self._leaving][:10]
        rows = [_spent_on(info, self._rng.randrange(1000, 9000), number) for info in some]
        totals = {f"{what}_cpu_seconds": round(number * 0.0123, 6) for what in TIMED}
        last = {"processes": len(self._values), "full_reads": 50, "estimated": 450, "skipped": 0, "cpu_seconds": 0.012}
        stats = {"at_ms": at_ms(number), "interval_s": 60, "rounds": number, **totals, "last": last, "dearest": rows,
                 "over_stall": [], "waiting": []}  # fmt: skip
        return {"stats": stats}

    def evaluation(self, number: int) -> dict[str, object]:
        """Return the state that is stored with an evaluation."""
        counts = {"ok": SERVICES + SLABS - SUSPECTS, "watch": SUSPECTS}
        told = {"at_ms": at_ms(number), "every_s": 300, "cost_us": 400_000 + number, "counts": counts,
                "windows_s": WINDOWS_S, "interval_s": 60, "horizon_s": 2_592_000}  # fmt: skip
        return {"evaluation": told, "lives": {}, "daemon": {"pid": 812, "version": "0.3", "config": ["/etc/l.toml"]}}

    def findings(self, number: int) -> list[Finding]:
        """Return what an evaluation says of every service and cache."""
        services = [
            finding(FindingKind.SERVICE, f"service-{at}.service", at < SUSPECTS, number) for at in range(SERVICES)
        ]
        caches = [finding(FindingKind.KERNEL, f"cache-{at}", suspect=False, number=number) for at in range(SLABS)]
        return services + caches


def at_ms(number: int) -> int:
    """Return the time of a scrape."""
    return BASE_MS + number * 60_000


def _spent_on(info: ProcessInfo, cost_us: int, reads: int) -> dict[str, object]:
    return {"pid": info.identity.pid, "name": info.name, "cost_seconds": cost_us / 1e6, "resident_bytes": 409_284_608,
            "possible_error_bytes": 131_072, "full_reads": reads, "why": "steady"}  # fmt: skip


def finding(kind: FindingKind, name: str, suspect: bool, number: int) -> Finding:
    """Return a finding as long as the daemon's: three windows where it is suspect, a line else."""
    verdict = Verdict.WATCH if suspect else Verdict.OK
    trends = tuple(Trend(s, s, 48, 12345.678, 11111.111, 13333.333, verdict, "ramp") for s in WINDOWS_S)
    evidence = tuple(
        Criterion("the trough rises beyond its noise", 123456.789, 65536.0, True, "bytes", s) for s in WINDOWS_S
    )
    assessment = Assessment(
        verdict, 812 << 20, evidence if suspect else evidence[:1], trends if suspect else (),
        reasons=said("no growth that lasted, within 4 h"),
    )  # fmt: skip
    return Finding(f"{kind}:{name}", kind, name, METRICS[0], assessment, pid=812, evaluated_at_ms=at_ms(number))
