"""Explanations from a real store, written as the daemon writes it, over windows of minutes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.alerting.findings_log import FindingsLog
from leakwatch.cli.main import main
from leakwatch.config import AnalysisConfig, Config, SamplingConfig
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.incident import Incident, IncidentState
from leakwatch.model.memory_class import class_target
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape, Tick
from leakwatch.model.verdict import FindingKind, Rooms
from leakwatch.monitoring.detector import Detector
from leakwatch.report.build import ReportRow
from leakwatch.store.files.open import open_writer
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import ChangedIncidents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from leakwatch.model.verdict import Finding

KIB, MIB = 1 << 10, 1 << 20
START_MS = 1_700_000_000_000 // 86_400_000 * 86_400_000
CONFIG = Config(sampling=SamplingConfig(interval_s=1.0), analysis=AnalysisConfig(windows_s=(60, 120)))
SECONDS = 200


def still(_at: int) -> int:
    return 30 * MIB


SHOP = Service(ServiceKind.UNIT, "shop.service")
PROGRAMS: dict[int, tuple[str, Service, Callable[[int], int]]] = {
    1: ("shop", SHOP, lambda at: 50 * MIB + at * MIB),
    2: ("shop", SHOP, still),
    3: ("calm", Service(ServiceKind.PROGRAM, "calm"), lambda at: 80 * MIB + at % 3 * 4096),
    4: ("twin", Service(ServiceKind.UNIT, "twins"), still),
    5: ("twin", Service(ServiceKind.CONTAINER, "twins"), still),
    6: ("young", Service(ServiceKind.PROGRAM, "young"), still),
    7: ("fills", Service(ServiceKind.PROGRAM, "fills"), lambda at: 30 * MIB + max(0, at - 150) * MIB),
}
YOUNG_FROM = SECONDS - 15


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0


def scrape(at: int) -> Scrape:
    samples = [
        Sample("kernel.mem_total_bytes", HOST, 64 << 30),
        Sample("kernel.mem_available_bytes", HOST, 40 << 30),
        Sample(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "kmalloc-4k"), 20 * MIB + at * 512 * KIB),
        Sample(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "dentry"), 20 * MIB + at * 512 * KIB),
        Sample(metrics.SLAB_RECLAIMABLE, Target(TargetKind.SLAB, "dentry"), 1),
        Sample("kernel.page_tables_bytes", HOST, 9 * MIB),
    ]
    infos = []
    for pid, (name, service, level) in PROGRAMS.items():
        if pid == 6 and at < YOUNG_FROM:
            continue
        info = ProcessInfo(ProcessIdentity("boot", pid, pid * 10), name, f"/usr/bin/{name}", 0, service)
        infos.append(info)
        samples.append(Sample(metrics.PROCESS_USS, info.identity.target, level(at)))
        if pid == 1 and at % 20 == 0:
            parts = {"heap": 10 * MIB + at * MIB, "file:/opt/\x1b[1mshop.so": 40 * MIB}
            samples += [
                Sample(metrics.CLASS_HELD, class_target(info.identity.target, key), size) for key, size in parts.items()
            ]
    outcome = CollectorOutcome("processes", 1000, len(infos))
    return Scrape(Tick(START_MS + at * 1000, "boot"), tuple(samples), tuple(infos), (outcome,))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as the daemon leaves it after some minutes."""
    path = tmp_path_factory.mktemp("store") / "leakwatch.db"
    writer, scan, ledger = open_writer(path, START_MS), Detector(CONFIG, NoLimits()), FindingsLog()
    for at in range(SECONDS):
        one = scrape(at)
        writer.write_scrape(one, scan.feed(one))
        if at % 5 == 4:
            now_ms = START_MS + at * 1000
            said = scan.evaluate(now_ms)
            entries = [(entry.finding, entry.ended_ms) for entry in ledger.update(said.findings, now_ms).write]
            states = {
                "evaluation": {
                    "at_ms": now_ms, "every_s": 5.0, "windows_s": [60, 120], "interval_s": 1.0, "horizon_s": 60.0,
                }
            }  # fmt: skip
            changed = ChangedIncidents()
            if at == SECONDS - 1:
                shop = next(found for found in said.findings if found.service == "shop.service")
                changed = ChangedIncidents((incident_of(shop, now_ms),))
            writer.write_evaluation(entries, said.suspicions, states, now_ms, changed)
    writer.close()
    return path


def incident_of(finding: Finding, now_ms: int) -> Incident:
    return Incident(
        "i0a1b2c3", finding.id, FindingKind.SERVICE, finding.name, IncidentState.CONFIRMED, now_ms - 9000, now_ms - 5000
    )


@pytest.fixture
def explain(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*argv: str, more: str = "") -> tuple[int, str, str]:
        config = tmp_path / "config.toml"
        config.write_text(f'[store]\nurl = "sqlite:///{store}"\n{more}')
        code = main(["explain", "--config", str(config), *argv])
        return code, *capsys.readouterr()

    return run


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_leak_is_explained_with_what_would_take_it_back(explain: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = explain("shop.service")
    assert code == 0
    assert out.startswith("leak  shop.service (pid 1): consistent with a leak: +3.52 GiB/h")
    assert "incident i0a1b2c3: confirmed" in out
    assert "No samples for" in out  # it is of 2023
    assert "For a leak, in the window of" in out
    assert "Confirmed: data that came after the first suspicion went on as forecast." in out
    # What the daemon remembers of it is read: the level it began at, the longest pause.
    assert "It is taken back when it reaches no new high for " in out
    assert "the memory was given back." in out
    assert "evaluated every 5 s." in out
    assert "sudo leakwatch maps PID " in out  # whose number 1 is by now is not known


def test_what_grows_is_told_class_by_class(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("shop.service")
    table = out.partition("What grows, by 10 reads in 3 min, the last at ")[2].splitlines()[1:4]
    assert table[0].split()[:3] == ["class", "mappings", "held"]
    assert table[1].split()[:2] == ["the", "heap"]
    assert "+3.52 GiB/h" in table[1]
    assert "100 %" in table[1]
    assert table[2].split()[:2] == ["file", "/opt/\\x1b[1mshop.so"]
    told = json.loads(explain("shop.service", "--format", "json")[1])["growing"]
    assert told["classes"][0]["class"] == "heap"
    assert "What grows" not in explain("calm")[1]


def test_it_is_found_by_every_name_it_has(explain: Callable[..., tuple[int, str, str]], store: Path) -> None:
    reader = Reader(store)
    id_ = next(one.finding.id for one in reader.findings() if one.finding.service == "shop.service")
    reader.close()
    names = ("shop.service", id_, "i0a1b2c3", "1")
    assert {json.loads(explain(name, "--format", "json")[1])["id"] for name in names} == {id_}


def test_json_is_the_reports_finding_with_sentences(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("shop.service", "--format", "json")
    found = json.loads(out)
    assert (found["schema"], found["verdict"], found["pid"], found["incident"]["id"]) == (2, "leak", 1, "i0a1b2c3")
    assert found["decided_by_window_s"] == found["evidence"][0]["window_s"] >= 60
    assert all(test["sentence"] for test in found["evidence"])
    assert found["earliest_at"] > found["as_of"]


def test_why_something_is_not_flagged(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("calm")
    assert out.startswith("ok  calm (pid 3): no sign of a leak; 80.0 MiB at 2023-11-14 00:0")
    assert "less than the 1.00 MiB that matter" in out
    assert "To be called a leak it would have to grow by" in out


def test_the_configuration_says_what_it_would_take(explain: Callable[..., tuple[int, str, str]]) -> None:
    more = '[thresholds.process."calm"]\nmin_growth = "500MiB"\nsensitivity = "low"\n'
    text = flat(explain("calm", more=more)[1])
    assert "grow by 500 MiB within" in text
    assert "9 times its ups and downs" in text


def test_learning_says_how_much_is_missing_and_when(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("young")
    assert out.startswith("learning  young (pid 6): too little data yet; 30.0 MiB at 2023-11-14 00:03Z")
    assert "a first verdict takes 30 s" in out
    assert "a first verdict, if samples keep coming; evaluated every 5 s." in out


def test_a_kernel_cache_and_one_that_is_given_back(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("kmalloc-4k")
    assert out.startswith("leak  kmalloc-4k: consistent with a leak")
    assert "grep -s . /sys/kernel/slab/kmalloc-4k/*" in out
    assert " --next\n" in out
    _, out, _ = explain("dentry")
    assert out.startswith("ok  dentry: ")
    assert "It is never called a leak: the kernel gives this back when memory is asked for." in out
    assert "only while the memory available to all falls with it" in out


def test_the_steps_of_a_process_that_is_not_here_have_no_number_that_may_be_anothers(
    explain: Callable[..., tuple[int, str, str]],
) -> None:
    _, out, _ = explain("shop.service", "--next")
    assert "not running here any more" in out
    assert "leakwatch maps PID" in out
    assert "leakwatch maps 1 " not in out
    _, out, _ = explain("shop.service", "--next", "--format", "json")
    found = json.loads(out)
    assert (found["schema"], found["verdict"], found["runtime"]["guessed"]) == (1, "leak", False)
    assert found["steps"][0]["risk"] == "look"
    assert explain("calm", "--next")[1].endswith(": nothing to do, as nothing grows\n")


def test_the_steps_of_a_kernel_cache_say_what_this_kernel_lacks(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("kmalloc-4k", "--next", "--format", "json")
    found = json.loads(out)
    assert found["runtime"] is None
    assert any("/proc/slabinfo" in step["command"] for step in found["steps"])
    assert all(step["lacks"] for step in found["steps"] if step["risk"] == "reboot")


def test_growth_that_has_only_begun_is_told_when_it_can_be_a_leak(explain: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = explain("fills", "--format", "json")
    found = json.loads(out)
    assert found["verdict"] == "watch"
    assert found["would_change"]
    assert found["earliest_at"] > found["as_of"]


def test_a_name_that_several_have_is_67_and_lists_them(explain: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = explain("twins")
    assert (code, out, err.count("\n")) == (67, "", 1)
    assert err.startswith("leakwatch: twins names 2 findings: ")
    assert "twins (pid 4)" in err
    assert "twins (pid 5)" in err


def test_a_name_nobody_has_is_67_and_says_where_to_look(explain: Callable[..., tuple[int, str, str]]) -> None:
    assert explain("nobody\x1b") == (
        67, "", "leakwatch: no finding is called nobody\\x1b; see: leakwatch report --verdict all\n",
    )  # fmt: skip
    code, _, err = explain("kmalloc")
    assert (code, err.startswith("leakwatch: no finding is called kmalloc; there is ")) == (67, True)


def test_without_a_name_it_asks_for_one(explain: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = explain()
    assert code == 2
    assert "which one" in err


def test_no_store_is_66(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/none.db"\n')
    assert main(["explain", "--config", str(config), "x"]) == 66
    assert "no store with a scrape in it" in capsys.readouterr().err


def test_what_has_ended_is_not_decided_any_more(store: Path) -> None:
    from leakwatch.analysis.thresholds import LeakCriteria
    from leakwatch.analysis.time_plan import plan_of
    from leakwatch.explain.case import Case, What
    from leakwatch.explain.outlook import outlook
    from leakwatch.explain.text import next_steps

    reader = Reader(store)
    found = next(one.finding for one in reader.findings() if one.finding.service == "shop.service")
    reader.close()
    row = ReportRow(found, ended_ms=found.evaluated_at_ms)
    case = Case(
        "shop", What.PROCESS, found.assessment, found.evaluated_at_ms, plan_of((60, 120), 1.0), LeakCriteria(), row=row
    )
    assert outlook(case).changes == ("It has ended: this verdict is its last.",)
    assert outlook(case).at_ms is None
    assert [step.line for step in next_steps(case)] == ["It has ended. After a restart its history begins again."]
    assert outlook(replace(case, row=ReportRow(found))).at_ms is not None


def test_a_memory_of_another_version_is_done_without(store: Path) -> None:
    from leakwatch.explain.stored import _decoded

    reader = Reader(store)
    payloads = list(reader.suspicions().values())
    reader.close()
    assert payloads
    assert all(alarm_state is not None for alarm_state, _ in map(_decoded, payloads))
    for payload in ("", "[]", "{}", '{"line": 1}', '{"climb": {}, "ground": {}}', "null"):
        assert _decoded(payload) == (None, None)
