"""A store and a /proc tree in which everything that has a name has been given one by an attacker, or a plain one."""

from __future__ import annotations

import shutil
from pathlib import Path

from leakwatch.analysis.findings.services_and_kernel import finding_id
from leakwatch.clock import SystemClock
from leakwatch.collectors.processes.cost_stats import SamplingCost
from leakwatch.collectors.result import outcome_samples
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.incident import Acknowledgement, EventKind, Incident, IncidentEvent, IncidentState, Silence
from leakwatch.model.sample import AbsenceReason, CollectorOutcome, Sample, Scrape, Tick
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Trend, Verdict, said
from leakwatch.store.files.open import open_writer
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.text.escape import as_text

TREE = Path(__file__).parents[1] / "data/proc/linux-6.18-x86_64"
MIB = 1 << 20
HOUR_MS = 3_600_000
NAMES = (
    b"\x1b[31mRED\x1b[0m", b"\x1b]0;owned\x07", b"\x1b[2J\x1b[H", b"a\nleak evil", b"ok\rEVIL", b"\x9b31mC1",
    "\x9b31mC1".encode(), b"\xff\xfe\x80abc", b"\xed\xa0\x80", "a\u202egnp.exe".encode(), "zero\u200bwidth".encode(),
    b"=cmd|'/C x'!A0", b"@SUM(1+1)", b"+1-2", b"-2+3", b"\t=1+1", "\uff1d1".encode(), b"<script>alert(1)</script>",
    b"|a|b|[x](http://e)**", b"`id`$(id)", b'{"verdict":"leak"}', b"%s%n{0}{x.__class__}", b"a) S 1 (b", b"a\"b'c,d",
    b"\\x1b[31m", b"\x00nul"[1:], "line\u2028sep\u0085nel".encode(), b"  lead  trail ", b"<0>panic", b"$x^2$",
)  # fmt: skip
PLAIN = tuple(b"name%d" % number for number in range(len(NAMES)))


def decoded(raw: bytes) -> str:
    """Return a name as the collectors read it."""
    return as_text(raw.decode("utf-8", "surrogateescape"))


def make_store(path: Path, names: tuple[bytes, ...]) -> Path:
    now_ms = SystemClock().now().wall_ms
    writer = open_writer(path, now_ms)
    for ago in (3, 2, 1):
        writer.write_scrape(_scrape(now_ms - ago * 1000, names))
    findings = [_finding(number, decoded(raw), now_ms) for number, raw in enumerate(names)]
    states = {
        "evaluation": {"at_ms": now_ms, "interval_s": 60.0, "windows_s": [3600, 14400], "horizon_s": 2592000.0},
        "stats": _stats(now_ms, names),
    }
    incidents = [_incident(finding, now_ms) for finding in findings[::3]]
    events = [
        IncidentEvent(one.id, now_ms, kind, said(decoded(names[at])), decoded(names[at]))
        for at, one in enumerate(incidents)
        for kind in (EventKind.OPENED, EventKind.ACKNOWLEDGED, EventKind.SILENCED)
    ]
    changed = ChangedIncidents(incidents, events, [(one.silence, one) for one in incidents if one.silence])
    writer.write_evaluation([(one, None) for one in findings], {}, states, now_ms, changed)
    writer.close()
    return path


def _stats(now_ms: int, names: tuple[bytes, ...]) -> dict[str, object]:
    spent = SamplingCost()
    spent.dearest = [
        {
            "pid": number, "name": decoded(raw), "cost_seconds": 0.01, "resident_bytes": MIB, "full_reads": 1,
            "possible_error_bytes": 0, "why": "over_stall",
        }
        for number, raw in enumerate(names)
    ]  # fmt: skip
    spent.over_stall = spent.waiting = spent.dearest
    return {"at_ms": now_ms, "interval_s": 60.0, **spent.to_json()}


def _info(number: int, name: str) -> ProcessInfo:
    service = Service(ServiceKind.UNIT if number % 2 else ServiceKind.PROGRAM, name)
    return ProcessInfo(ProcessIdentity("b", 100 + number, 9), name, name, 0, service)


def _scrape(ts_ms: int, names: tuple[bytes, ...]) -> Scrape:
    notes = tuple(f"denied: /proc/{decoded(raw)}/smaps: EACCES" for raw in names[:1])
    outcome = CollectorOutcome("processes", 900, len(names), {AbsenceReason.DENIED: 1}, notes)
    infos = tuple(_info(number, decoded(raw)) for number, raw in enumerate(names))
    samples = [Sample("kernel.mem_total_bytes", HOST, 16 << 30), *outcome_samples(outcome)]
    samples += [Sample("process.uss_bytes", info.identity.target, 5 * MIB) for info in infos]
    samples += [Sample("slab.active_bytes", Target(TargetKind.SLAB, info.name), MIB) for info in infos]
    return Scrape(Tick(ts_ms, "b"), tuple(samples), infos, (outcome,))


def _finding(number: int, name: str, now_ms: int) -> Finding:
    verdict = (Verdict.LEAK, Verdict.WATCH, Verdict.OK, Verdict.LEARNING)[number % 4]
    kind = (FindingKind.PROCESS, FindingKind.SERVICE, FindingKind.KERNEL)[number % 3]
    target, metric = _info(number, name).identity.target, "process.uss_swap_bytes"
    if kind is FindingKind.KERNEL:
        target, metric = Target(TargetKind.SLAB, name), "slab.active_bytes"
    if kind is FindingKind.SERVICE:
        target, metric = _info(number, name).service.target, "service.uss_swap_bytes"  # type: ignore[union-attr]
    trend = Trend(3600, 3600, 12, MIB, MIB, MIB, verdict, "ramp")
    found = Assessment(
        verdict=verdict,
        current_bytes=9 * MIB,
        evidence=(Criterion("rate", 1.0 * MIB, 1.0, True, "bytes/h", 3600),),
        windows=(trend,),
        slope_bytes_per_hour=MIB,
        slope_low=MIB,
        slope_high=MIB,
        since_ms=now_ms - HOUR_MS,
        grown_bytes=MIB,
        confidence=0.5,
        reasons=said("a straight rise"),
    )
    return Finding(
        finding_id(target), kind, name, metric, found, 100 + number, None if kind is FindingKind.KERNEL else name,
        name, 700 * MIB, f"memory limit of /{name}", now_ms + HOUR_MS, now_ms, said(f"1 of 2 grows: {name}"),
    )  # fmt: skip


def _incident(finding: Finding, now_ms: int) -> Incident:
    return Incident(
        "i" + finding.id[1:], finding.id, finding.kind, finding.name, IncidentState.CONFIRMED, now_ms - HOUR_MS,
        now_ms - HOUR_MS, reasons=said(finding.name),
        acknowledgement=Acknowledgement(now_ms, finding.name, finding.name),
        silence=Silence(now_ms - 1, now_ms + HOUR_MS, finding.name, finding.name) if finding.pid == 103 else None,
    )  # fmt: skip


def make_tree(path: Path, names: tuple[bytes, ...]) -> Path:
    """Copy a recorded tree and give its processes, their files and the kernel's callers such names."""
    shutil.copytree(TREE, path)
    proc = path / "proc"
    template = proc / "18674"
    for number, raw in enumerate(names):
        comm = raw.replace(b"\0", b"")[:15]
        one = proc / str(20_000 + number)
        shutil.copytree(template, one)
        stat = (template / "stat").read_bytes().replace(b"18674 (python3)", b"%d (%s)" % (20_000 + number, comm))
        (one / "stat").write_bytes(stat)
        status = (template / "status").read_bytes()
        shown = comm.replace(b"\\", rb"\\").replace(b"\n", rb"\n")  # as the kernel does
        (one / "status").write_bytes(status.replace(b"Name:\tpython3", b"Name:\t" + shown))
        (one / "cmdline").write_bytes(b"\0".join([raw, b"--name=" + raw, b""]))
        mapped = b"/tmp/" + raw.replace(b"\n", rb"\012")
        (one / "smaps").write_bytes(_mapping(mapped) + _mapping(b"[anon:" + raw.replace(b"\n", b"") + b"]", 0x8000))
        (one / "cgroup").write_bytes(b"0::/" + raw.replace(b"\n", rb"\n") + b".service\n")
    return proc


def _mapping(name: bytes, start: int = 0x1000) -> bytes:
    sizes = ("Size", "Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Swap", "SwapPss")
    head = b"%08x-%08x rw-p 00000000 fe:00 42 %s\n" % (start, start + 0x4000, name)
    return head + b"".join(b"%s: 16 kB\n" % one.encode() for one in sizes) + b"VmFlags: rd wr\n"
