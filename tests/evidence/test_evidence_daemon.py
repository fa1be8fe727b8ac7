"""A real daemon confirms a real leak and keeps the evidence; the commands tell of it while the leak goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from leakwatch.config import Config, EvidenceConfig
from leakwatch.evidence import bundle
from leakwatch.monitoring import evaluation_job
from leakwatch.monitoring.evaluation_job import EvidenceJob, EvidenceTask
from leakwatch.store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.slow]

SECRET = "hunter2secret"
FILES = {
    "README.txt", "finding.json", "series.csv", "steps.txt", "status.txt", "limits.txt", "cgroup.txt", "smaps.txt",
    "smaps_rollup.txt", "mappings.tsv", "processes.tsv", "meminfo.txt", "slabinfo.txt", "vmallocinfo.txt", "vmstat.txt",
    "buddyinfo.txt",
}  # fmt: skip
ROOTS = {"slabinfo.txt", "vmallocinfo.txt"}
"""Those that only root reads."""
LEAKER = "import sys, time\nheld = []\nwhile True:\n    held.append(bytearray(1 << 20))\n    time.sleep(0.5)\n"


class Run(NamedTuple):
    """A daemon's run that is over, and the leaker, which goes on."""

    config: Path
    store: Path
    log: str
    leaker: subprocess.Popen[bytes]

    def command(self, *argv: str) -> subprocess.CompletedProcess[str]:
        verb, *rest = argv
        return subprocess.run(
            [sys.executable, "-m", "leakwatch", verb, "--config", str(self.config), *rest],
            capture_output=True, text=True, check=False, cwd=self.config.parent,
        )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a daemon until it has kept evidence, over windows of a minute."""
    work = tmp_path_factory.mktemp("run")
    script, config, store = work / "leaking_shop.py", work / "config.toml", work / "state" / "leakwatch.db"
    store.parent.mkdir()
    script.write_text(LEAKER)
    config.write_text(
        f'[sampling]\ninterval = "1s"\n[analysis]\nwindows = ["1m", "2m"]\n[store]\nurl = "sqlite:///{store}"\n'
        '[thresholds]\nmin_rate = "100MiB/h"\n'
    )
    argv = [sys.executable, str(script), f"--api-token={SECRET}", f"postgres://shop:{SECRET}@db/shop"]
    leaker = subprocess.Popen(argv, env={"SHOP_PASSWORD": SECRET, "PATH": "/usr/bin:/bin"})
    log = work / "log"
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config), "--for", "240s"], stderr=out
        )
    try:
        end = time.monotonic() + 230
        while daemon.poll() is None and time.monotonic() < end and not named(store, "leaking_shop"):
            time.sleep(1)
        daemon.terminate()
        assert daemon.wait(30) == 0, log.read_text()
        yield Run(config, store, log.read_text(), leaker)
    finally:
        daemon.kill()
        daemon.wait()
        leaker.kill()
        leaker.wait()


def named(store: Path, name: str) -> list[bundle.KeptBundle]:
    """Return the bundles of the incidents of a service whose name has this in it."""
    bundles = bundle.kept(bundle.shelf_of(store))
    if not bundles:
        return []
    reader = Reader(store)
    try:
        ids = {incident.id for incident in reader.incidents() if name in incident.name}
        ids |= {
            incident.id
            for incident in reader.incidents()
            for one in reader.findings()
            if one.finding.id == incident.finding_id and name in (one.finding.service or "")
        }
    finally:
        reader.close()
    return [one for one in bundles if one.incident_id in ids]


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {Path(one.name).name: read.read() for one in tar.getmembers() if (read := tar.extractfile(one))}


def test_the_daemon_keeps_one_bundle_an_incident_when_it_is_confirmed(run: Run) -> None:
    (one,) = named(run.store, "leaking_shop")
    assert f"evidence of incident {one.incident_id}: {one.path}" in run.log
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert one.path.parent.stat().st_mode & 0o777 == 0o700
    files = contents(one.path)
    assert set(files) >= FILES - ROOTS
    finding = json.loads(files["finding.json"])
    assert (finding["verdict"], finding["pid"], finding["incident"]["id"]) == ("leak", run.leaker.pid, one.incident_id)
    assert finding["evidence"]
    assert f"[{run.leaker.pid}]".encode() in files["series.csv"]
    assert f"Pid:\t{run.leaker.pid}\n".encode() in files["status.txt"]
    assert b"Private_Dirty" in files["smaps.txt"]
    assert b"memray" in files["steps.txt"]


def test_no_secret_is_in_it_neither_of_the_command_line_nor_of_the_environment(run: Run) -> None:
    (one,) = named(run.store, "leaking_shop")
    files = contents(one.path)
    assert not [name for name, data in files.items() if SECRET.encode() in data]
    assert b"--api-token=[redacted] postgres://shop:[redacted]@db/shop" in files["processes.tsv"]
    assert not [name for name, data in files.items() if b"SHOP_PASSWORD" in data]


def test_the_series_in_it_is_judged_as_the_daemon_did(run: Run, tmp_path: Path) -> None:
    (one,) = named(run.store, "leaking_shop")
    series = tmp_path / "series.csv"
    series.write_bytes(contents(one.path)["series.csv"])
    found = run.command("analyze", str(series), "--format", "json")
    assert found.returncode == 0, found.stderr
    assert any(str(run.leaker.pid) in row["series"] for row in json.loads(found.stdout)["series"])


def test_the_report_shows_the_first_step_and_explain_all_of_them(run: Run) -> None:
    found = run.command("report", "--name", "*leaking_shop*")
    assert f"    next: leakwatch maps {run.leaker.pid} " in found.stdout.replace("sudo ", ""), found.stdout
    assert "leakwatch explain ID --next" in found.stdout
    found = run.command("report", "--name", "*leaking_shop*", "--format", "json")
    assert str(run.leaker.pid) in json.loads(found.stdout)["findings"][0]["next_step"]
    found = run.command("explain", str(run.leaker.pid), "--next")
    assert found.returncode == 0, found.stderr
    assert "CPython" in found.stdout
    assert f" {run.leaker.pid} && sleep 65" in found.stdout  # memray attach, with the pid
    assert SECRET not in found.stdout
    found = run.command("explain", str(run.leaker.pid), "--next", "--format", "json")
    told = json.loads(found.stdout)
    assert (told["schema"], told["pid"], told["runtime"]["kind"]) == (1, run.leaker.pid, "CPython")
    assert all({"purpose", "command", "risk", "ready", "cost", "lacks", "tools"} == set(step) for step in told["steps"])


def test_evidence_on_demand(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run.command("evidence", str(run.leaker.pid), "-o", str(out))
    assert found.returncode == 0, found.stderr
    assert {path.name for path in out.iterdir()} >= FILES - ROOTS
    assert run.command("evidence", str(run.leaker.pid), "-o", str(out)).returncode == 73
    assert run.command("evidence", "nobody-is-called-so").returncode == 67
    assert run.command("evidence").returncode == 2
    listed = run.command("evidence", "--list").stdout
    assert str(named(run.store, "leaking_shop")[0].path) in listed


def test_a_bundle_is_made_once_and_a_full_shelf_gives_the_oldest_up(run: Run) -> None:
    (one,) = named(run.store, "leaking_shop")
    reader = Reader(run.store)
    try:
        incident = next(known for known in reader.incidents() if known.id == one.incident_id)
    finally:
        reader.close()
    now_ms = 1_900_000_000_000
    before = bundle.kept(one.path.parent)
    task = EvidenceTask(
        str(run.store),
        "/proc",
        ((incident.id, incident.finding_id),),
        EvidenceConfig(keep_s=1e9),
        1.0,
        "redacted",
        now_ms,
    )
    assert list(evaluation_job.result(task)) == []
    assert bundle.kept(one.path.parent) == before
    # With another incident's id it is another bundle; it fits when the oldest have gone.
    small = EvidenceConfig(keep_s=1e9, max_size_bytes=before[-1].size_bytes * 3 // 2)
    (path,) = evaluation_job.result(
        EvidenceTask(str(run.store), "/proc", (("i99999999", incident.finding_id),), small, 1.0, "redacted", now_ms)
    )
    assert [kept.path for kept in bundle.kept(one.path.parent)][-1:] == [Path(path)]
    assert sum(kept.size_bytes for kept in bundle.kept(one.path.parent)) <= small.max_size_bytes
    Path(path).unlink()


def test_a_process_too_large_to_be_kept_waiting_is_not(run: Run) -> None:
    from leakwatch.evidence import gather
    from leakwatch.procfs.fs import ProcFS

    reader = Reader(run.store)
    try:
        row = next(row for row in gather.rows_of(reader) if row.finding.pid == run.leaker.pid)
        found = {
            one.name: one for one in gather.entries(reader, ProcFS(), row, 0, gather.BundleLimits(max_stall_s=1e-6))
        }
    finally:
        reader.close()
    assert found["smaps.txt"].data is None
    assert "max_stall" in found["smaps.txt"].note
    assert found["status.txt"].data is not None
    assert b"max_stall" in (found["README.txt"].data or b"")


class TestNothingFails:
    """Whatever goes wrong with the evidence, the daemon goes on."""

    def incident(self, run: Run) -> object:
        reader = Reader(run.store)
        try:
            return reader.incidents()[0]
        finally:
            reader.close()

    def test_a_store_that_is_not_there(self, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        supervisor = EvidenceJob(Config(), "/proc")
        supervisor.gather(tmp_path / "leakwatch.db", [self.incident(run)], 0)  # type: ignore[list-item]
        assert "no evidence could be kept" in caplog.text

    def test_a_directory_that_cannot_be_made(self, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "evidence").write_text("a file in its place")
        (tmp_path / "leakwatch.db").symlink_to(run.store)
        EvidenceJob(Config(), "/proc").gather(
            tmp_path / "leakwatch.db",
            [self.incident(run)],
            0,  # type: ignore[list-item]
        )
        assert "no evidence could be kept" in caplog.text

    def test_switched_off(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "leakwatch.db").symlink_to(run.store)
        EvidenceJob(Config(evidence=EvidenceConfig(when_confirmed=False)), "/proc").gather(
            tmp_path / "leakwatch.db",
            [self.incident(run)],
            0,  # type: ignore[list-item]
        )
        assert not (tmp_path / "evidence").exists()

    def test_after_the_end_no_child_works(self, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "leakwatch.db").symlink_to(run.store)
        supervisor = EvidenceJob(Config(), "/proc")
        supervisor.end()
        supervisor.gather(tmp_path / "leakwatch.db", [self.incident(run)], 0)  # type: ignore[list-item]
        assert list((tmp_path / "evidence").glob("*.tar.gz")) == []
        assert caplog.text == ""
