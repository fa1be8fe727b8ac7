"""What a finding of kernel memory says, what another one tells of, and what only goes along with the reclaimable."""

from __future__ import annotations

import pytest

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import KernelFacts
from leakwatch.analysis.findings.services_and_kernel import kernel_findings
from leakwatch.analysis.series.derived import judged_values
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.verdict import AssessedSeries, Assessment, Finding, Verdict
from leakwatch.report.phrases import text

KIB, MIB = 1 << 10, 1 << 20
FALLING = Assessment(Verdict.LEAK, 0, slope_bytes_per_hour=100 * MIB)


def cache(name: str, slope: float, verdict: Verdict = Verdict.LEAK) -> AssessedSeries:
    return AssessedSeries(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, name), judged(slope, verdict))


def caller(name: str, slope: float) -> AssessedSeries:
    return AssessedSeries(metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, name), judged(slope))


def of_host(metric: str, slope: float) -> AssessedSeries:
    return AssessedSeries(metric, HOST, judged(slope))


def judged(slope: float, verdict: Verdict = Verdict.LEAK) -> Assessment:
    return Assessment(verdict, 10 * MIB, slope_bytes_per_hour=slope)


def facts_of_dentries() -> KernelFacts:
    facts = KernelFacts()
    for metric, value in ((metrics.SLAB_RECLAIMABLE, 1), (metrics.SLAB_OBJECT, 192), (metrics.SLAB_OBJECTS, 21)):
        facts.note(metric, Target(TargetKind.SLAB, "dentry"), value)
    return facts


def found(
    *those: AssessedSeries, facts: KernelFacts | None = None, unavailable: Assessment | None = None
) -> dict[str, Finding]:
    return {one.name: one for one in kernel_findings(those, facts or KernelFacts(), unavailable)}


# Measured on 6.18 beside a walk that made dentries of 6.63 MiB an hour.
WALK = cache("dentry", 6.63 * MIB), cache("kmalloc-192", 332 * KIB)


@pytest.mark.parametrize(("unavailable", "verdict"), [(None, Verdict.OK), (FALLING, Verdict.WATCH)])
def test_what_the_kernel_notes_of_reclaimable_objects_goes_with_them(
    unavailable: Assessment | None, verdict: Verdict
) -> None:
    those = found(*WALK, facts=facts_of_dentries(), unavailable=unavailable)
    assert those["dentry"].assessment.verdict is verdict
    assert those["kmalloc-192"].assessment.verdict is verdict
    assert text(those["kmalloc-192"].notes).startswith("reclaimable"), "so that nobody says that it may become a leak"


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("kmalloc-192", 3 * MIB),  # ten times what the walk explains
        ("kmalloc-256", 332 * KIB),  # another size
        ("kmalloc-cg-192", 332 * KIB),  # paid for by groups itself
        ("msg_msg-192", 332 * KIB),
    ],
)
def test_a_leak_beside_a_walk_is_a_leak(name: str, slope: float) -> None:
    those = found(WALK[0], cache(name, slope), facts=facts_of_dentries())
    assert those[name].assessment.verdict is Verdict.LEAK


def test_the_caches_of_randomized_kmalloc_are_known() -> None:
    those = found(WALK[0], cache("kmalloc-rnd-07-192", 332 * KIB), facts=facts_of_dentries())
    assert those["kmalloc-rnd-07-192"].assessment.verdict is Verdict.OK


def test_what_goes_along_explains_the_total_too() -> None:
    total = of_host(metrics.KERNEL_SUNRECLAIM, 340 * KIB)
    assert metrics.title(metrics.KERNEL_SUNRECLAIM) not in found(*WALK, total, facts=facts_of_dentries())


def test_reclaimable_growth_explains_no_unreclaimable_total() -> None:
    """Objects above 8 KiB are in no cache: only the total tells of them."""
    total = of_host(metrics.KERNEL_SUNRECLAIM, 5 * MIB)
    assert metrics.title(metrics.KERNEL_SUNRECLAIM) in found(WALK[0], total, facts=facts_of_dentries())


@pytest.mark.parametrize(
    ("part", "total"),
    [
        (caller("kernel_clone", 3 * MIB), metrics.KERNEL_STACK),
        (caller("kernel_clone", 3 * MIB), metrics.KERNEL_VMALLOC_USED),
        (of_host(metrics.KERNEL_SOCKET_BYTES, 3 * MIB), metrics.KERNEL_UNACCOUNTED),
    ],
)
def test_what_says_more_stands_for_the_total(part: AssessedSeries, total: str) -> None:
    assert len(found(part, of_host(total, 3 * MIB))) == 1
    assert len(found(part, of_host(total, 9 * MIB))) == 2, "it explains a third only"


def test_a_suspect_s_note_names_what_is_merged_into_its_cache() -> None:
    facts = KernelFacts(aliases=lambda name: tuple("abcdefgh") if name == "signal_cache" else ())
    leak = found(cache("signal_cache", MIB), facts=facts)["signal_cache"]
    assert text(leak.notes) == "slab cache; merged with a, b, c, d, e, f and 2 more"
    fine = found(cache("signal_cache", MIB, Verdict.OK), facts=facts)["signal_cache"]
    assert text(fine.notes) == "slab cache"


def test_per_cpu_memory_tells_of_dying_groups_and_the_rest_of_its_uncertainty() -> None:
    facts = KernelFacts()
    facts.note(metrics.KERNEL_DYING_CGROUPS, HOST, 4210)
    facts.note(metrics.KERNEL_UNCERTAINTY, HOST, 3 * MIB)
    those = found(of_host(metrics.KERNEL_PERCPU, MIB), of_host(metrics.KERNEL_UNACCOUNTED, MIB), facts=facts)
    assert text(those["per-CPU memory"].notes) == "4210 control groups are removed and still held"
    assert text(those["unaccounted"].notes) == "at any one moment right within 3.00 MiB"


def test_free_pages_on_the_cpus_lists_are_available() -> None:
    values = {
        ("kernel.mem_total_bytes", HOST): 1000,
        ("kernel.mem_available_bytes", HOST): 300,
        (metrics.KERNEL_CPU_LISTS, HOST): 50,
    }
    assert judged_values(values, [])[metrics.KERNEL_UNAVAILABLE, HOST] == 650
