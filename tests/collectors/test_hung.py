"""A process that hangs with its memory map locked, as a FIFO in a recorded tree: the others' values come in time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.cli.main import main
from leakwatch.collectors.processes import collector
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.errors import EXIT_UNAVAILABLE
from leakwatch.evidence.bundle import EvidenceSubject, collect
from leakwatch.model.identity import ProcessIdentity
from leakwatch.model.sample import Absence, AbsenceReason, Scrape, Tick
from leakwatch.nextsteps.locate import read_traces
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

PID, OTHERS = 18675, {18674, 18676, 18677, 18678}


class Hung:
    """A tree in which one process may hang."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[Path, bytes] = {}

    def hang(self, *names: str) -> None:
        for name in names:
            path = self.root / str(PID) / name
            self._kept[path] = path.read_bytes() if path.exists() else b""
            path.unlink(missing_ok=True)
            os.mkfifo(path)

    def answer(self) -> None:
        for path, data in self._kept.items():
            waits = path.with_name(f"{path.name}.fifo")
            path.rename(waits)
            path.write_bytes(data)
            try:
                os.close(os.open(waits, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody waits for it
                continue
        self._kept = {}


@pytest.fixture
def hung(proc_tree: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hung]:
    monkeypatch.setattr(collector, "LASTS_S", 0.0)
    tree = Hung(proc_tree("linux-6.18-x86_64"))
    yield tree
    tree.answer()


def values(scrape: Scrape, metric: str) -> dict[int, int]:
    found = (one for one in scrape.samples if one.metric == metric)
    return {int(one.target.key.split("/")[1]): one.value for one in found}


def scraper(hung: Hung) -> Scraper:
    return Scraper(ProcFS(str(hung.root)), "boot", SamplingConfig())


def absent(scrape: Scrape) -> int:
    return next(one for one in scrape.outcomes if one.collector == "processes").absences.get(AbsenceReason.NO_ANSWER, 0)


def test_what_was_read_before_goes_on_as_an_estimate_and_is_read_again_when_it_answers(hung: Hung) -> None:
    one = scraper(hung)
    before = one.scrape(Tick(1000, "boot"))
    assert absent(before) == 0
    hung.hang("smaps_rollup", "cmdline")
    statm = hung.root / str(PID) / "statm"
    first, resident, shared, *rest = statm.read_text().split()
    statm.write_text(" ".join([first, str(int(resident) + 1000), shared, *rest]) + "\n")
    target = next(info.identity.target for info in before.processes if info.identity.pid == PID)
    for ts_ms in (2000, 3000):
        one.want_full([target])
        now = one.scrape(Tick(ts_ms, "boot"))
        assert values(now, metrics.PROCESS_USS).keys() == OTHERS | {PID}
        grown = values(now, metrics.PROCESS_USS)[PID] - values(before, metrics.PROCESS_USS)[PID]
        assert grown == 1000 * 4096, "statm takes no lock, and says how much it has grown"
        assert absent(now) == 1
        assert [(who.pid, who.name) for who in now.unanswered] == [(PID, now.processes[1].name)]
        assert now.processes == before.processes, "its command line is still known"
    hung.answer()
    while one.scrape(Tick(4000, "boot")).unanswered:
        pass
    after = one.scrape(Tick(5000, "boot"))
    read = [sample for sample in after.samples if sample.target.key.split("/")[1:2] == [str(PID)]]
    assert absent(after) == 0
    assert values(after, metrics.PROCESS_USS)[PID] == values(before, metrics.PROCESS_USS)[PID]
    assert read


def test_one_that_hangs_from_the_start_has_what_takes_no_lock(hung: Hung) -> None:
    hung.hang("smaps_rollup", "smaps", "cmdline", "maps")
    one = scraper(hung)
    now = one.scrape(Tick(1000, "boot"))
    assert values(now, metrics.PROCESS_USS).keys() == OTHERS
    assert values(now, metrics.PROCESS_ANON)[PID] > 0
    assert values(now, metrics.PROCESS_RSS)[PID] > 0
    info = next(info for info in now.processes if info.identity.pid == PID)
    assert info.unanswered
    assert info.name
    assert absent(now) == 1


def test_ps_shows_the_others_and_names_it(hung: Hung, capsys: pytest.CaptureFixture[str]) -> None:
    hung.hang("smaps", "cmdline")
    assert main(["ps", "--proc", str(hung.root), "-c", "pid", "-H"]) == 0
    out, err = capsys.readouterr()
    assert set(map(int, out.split())) == OTHERS
    assert f"Not shown: 1 process that hangs with its memory map locked, such as {PID} (" in err


def test_maps_says_that_it_does_not_answer(hung: Hung, capsys: pytest.CaptureFixture[str]) -> None:
    hung.hang("smaps")
    assert main(["maps", "--proc", str(hung.root), str(PID), "--once"]) == EXIT_UNAVAILABLE
    err = capsys.readouterr().err
    assert f"process {PID} (" in err
    assert "does not answer" in err
    assert f"sudo cat /proc/{PID}/task/*/stack" in err


def test_doctor_says_which_do_not_answer(hung: Hung, capsys: pytest.CaptureFixture[str]) -> None:
    hung.hang("smaps_rollup")
    main(["doctor", "--proc", str(hung.root)])
    assert f"does not answer, its memory map is locked: 1, such as {PID} (" in capsys.readouterr().out


def test_evidence_says_what_could_not_be_had_and_holds_the_rest(hung: Hung) -> None:
    hung.hang("smaps_rollup", "smaps", "cmdline")
    proc = ProcFS(str(hung.root))
    stat = proc.stat(PID)
    assert not isinstance(stat, Absence)
    subject = EvidenceSubject(ProcessIdentity("boot", PID, stat.start_ticks), (PID,))
    found = {one.name: one for one in collect(proc, subject, max_stall_s=None)}
    for name in ("smaps_rollup.txt", "smaps.txt", "mappings.tsv"):
        assert found[name].data is None, name
        assert "does not answer" in found[name].note, name
    assert found["status.txt"].data
    assert found["processes.tsv"].data is not None
    assert str(PID).encode() in found["processes.tsv"].data


@pytest.mark.parametrize("name", ["cmdline", "maps", "environ"])
def test_next_steps_do_without_what_does_not_answer(hung: Hung, name: str) -> None:
    hung.hang(name)
    found = read_traces(ProcFS(str(hung.root)), PID)
    assert found is not None
    assert any("does not answer" in why for why in found.unread)


@pytest.mark.parametrize(("state", "is_stuck"), [(b"S", False), (b"D", True)])
def test_no_file_of_a_process_that_waits_in_the_kernel_is_touched(hung: Hung, state: bytes, is_stuck: bool) -> None:
    folder = hung.root / str(PID)
    before, _, after = (folder / "stat").read_bytes().rpartition(b") ")
    (folder / "task" / str(PID)).mkdir(parents=True, exist_ok=True)
    (folder / "task" / str(PID) / "stat").write_bytes(before + b") " + state + after[1:])
    (folder / "exe").unlink(missing_ok=True)
    (folder / "exe").symlink_to(sys.executable)
    found = read_traces(ProcFS(str(hung.root)), PID)
    assert found is not None
    assert (found.stuck, found.elf is None) == (is_stuck, is_stuck)
