"""Damage that SQLite does not notice: what can be made anew is left out, the rest is kept, ``db check`` names it."""

from __future__ import annotations

import logging
import os
import random
import shutil
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from leakwatch.cli.main import main
from leakwatch.clock import Instant
from leakwatch.errors import LeakwatchError
from leakwatch.model.incident import EventKind, Incident, IncidentEvent, IncidentState
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Verdict, said
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.store.maintenance.integrity import _sample_rounds, check
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, USS, beside, block, change, process, rows, scrape


class Stopped:
    """A clock that stands."""

    def now(self) -> Instant:
        return Instant(BASE_MS, BASE_MS, 0)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Return a store with something in every table."""
    path = Path(shutil.copy(empty_store, tmp_path_factory.mktemp("damage") / "leakwatch.db"))
    writer = Writer(path)
    for number in range(40):
        writer.write_scrape(scrape(number), [block(1, BASE_MS + number * 300_000)])
    found = [(_finding(n), None) for n in range(20)]
    incident = Incident("i1", "f1", FindingKind.PROCESS, "p1", IncidentState.CONFIRMED, BASE_MS)
    event = IncidentEvent("i1", BASE_MS, EventKind.OPENED, said("grows"))
    suspicions = {(USS, process(n).identity.target): '{"a":1}' for n in range(1, 4)}
    changed = ChangedIncidents((incident,), (event,))
    writer.write_evaluation(found, suspicions, {"evaluation": {"at_ms": 1}, "lives": {}}, BASE_MS, changed)
    writer.close()
    return path


@pytest.fixture
def store(tmp_path: Path, history: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copy(history, tmp_path / "leakwatch.db"))


DAMAGED = "CAST(x'7b22ff00fe' AS TEXT)"
CASES = {
    "finding": f"UPDATE finding SET payload = {DAMAGED} WHERE id = 'f3'",
    "finding 'f3'": "UPDATE finding SET payload = substr(payload, 1, 40) WHERE id = 'f3'",
    "incident": f"UPDATE incident SET payload = {DAMAGED}",
    "incident 'i1'": "UPDATE incident SET opened_ms = 'x'",
    "incident_event": f"UPDATE incident_event SET kind = {DAMAGED}",
    "suspicion": f"UPDATE suspicion SET payload = {DAMAGED} WHERE series_id = (SELECT min(series_id) FROM suspicion)",
    "state 'lives'": f"UPDATE state SET value = {DAMAGED} WHERE key = 'lives'",
    "boot": f"UPDATE boot SET boot_id = {DAMAGED}",
    "scrape 7": f"UPDATE scrape SET notes = {DAMAGED} WHERE id = 7",
    "scrape 8": "UPDATE scrape SET ts_ms = 'x' WHERE id = 8",
    "target": f"UPDATE target SET key = {DAMAGED} WHERE id = 2",
    "target 3": "UPDATE target SET kind = 'prozess' WHERE id = 3",
    "process": f"UPDATE process SET pid = {DAMAGED} WHERE target_id = (SELECT min(target_id) FROM process)",
    "metric 1": f"UPDATE metric SET name = {DAMAGED} WHERE id = 1",
    "series": "UPDATE series SET target_id = 999 WHERE id = 2",
    "scrape 9, 11 samples": "UPDATE sample_round SET payload = zeroblob(64) WHERE scrape_id = 9",
    "round 5": "UPDATE block_round SET payload = x'00' WHERE id = 5",
}


@pytest.mark.parametrize("named", CASES)
def test_one_damaged_row_costs_itself_and_is_named(store: Path, named: str, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN a row that is damaged
    change(store, CASES[named])
    # THEN the check names it
    reader = Reader(store)
    problems = check(reader).problems
    assert any(problem.startswith(named) for problem in problems), problems
    # AND all else is read
    with caplog.at_level(logging.CRITICAL):
        assert read_all(reader) >= 19 + 39 * 5
    reader.close()
    # AND a daemon goes on with it: nothing is set aside, and what was whole is there
    supervisor = StoreSupervisor(store, Stopped(), interval_s=1.0)
    for number in range(40, 45):
        supervisor.write_scrape(scrape(number), [], {"lives": {}})
        supervisor.attempt("findings", lambda writer: writer.write_evaluation([(_finding(3), None)], {}, {}, BASE_MS))
    supervisor.close()
    assert not beside(store)
    assert rows(store, "SELECT count(*) FROM scrape") == [(45,)]


def read_all(reader: Reader) -> int:
    """Read as reports, exports and the daemon do; return how many things were read."""
    heads = reader.scrapes_since(0)
    samples = sum(len(found) for _, found in reader.samples_of(heads))
    reader.last_scrape(), reader.states(), reader.suspicions(), reader.processes(), reader.lifetimes()
    reader.irregularities(0), reader.incident_events("i1"), list(reader.blocks(300, 0)), reader.finding_counts()
    incidents = len(reader.incidents())
    return samples + len(reader.findings()) + incidents


def test_random_damage_is_an_error_or_a_note_and_never_more(store: Path, tmp_path: Path) -> None:
    """With ``LEAKWATCH_DAMAGES`` more than the few of every run."""
    rng = random.Random(int(os.environ.get("LEAKWATCH_SEED", "5")))
    whole = store.read_bytes()
    kept = missed = 0
    for _ in range(int(os.environ.get("LEAKWATCH_DAMAGES", "5"))):
        # WHEN 64 bytes anywhere are damaged
        at = rng.randrange(len(whole) - 64)
        store.write_bytes(whole[:at] + rng.randbytes(64) + whole[at + 64 :])
        # THEN reading it ends with an error of ours or goes on with what is readable
        try:
            reader = Reader(store)
        except LeakwatchError:
            pass
        else:
            try:
                read_all(reader)
                check(reader)
            except LeakwatchError:
                pass
            finally:
                reader.close()
        # AND a daemon goes on, in this store or in a new one with what could be read
        supervisor = StoreSupervisor(store, Stopped(), interval_s=1.0)
        for number in range(40, 43):
            assert supervisor.write_scrape(scrape(number), [], {})
        supervisor.close()
        count = int(str(rows(store, "SELECT count(*) FROM scrape")[0][0]))
        kept += count > 3
        missed += count < 3
        for path in tmp_path.glob("leakwatch.db?*"):
            path.unlink()
    assert not missed
    print(f"{kept} kept their history")
    assert kept


def _finding(number: int) -> Finding:
    assessment = Assessment(Verdict.OK, 1000 + number, reasons=said("flat"))
    return Finding(f"f{number}", FindingKind.PROCESS, f"p{number}", USS, assessment, pid=number)


def test_a_command_that_fails_for_damage_says_so(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a store with a damaged row, and a defect of a command that reads it
    change(store, CASES["metric 1"])
    config = store.with_name("config.toml")
    config.write_text(f'[store]\nurl = "sqlite:///{store}"\n')

    def fail(*_: object, **__: object) -> None:
        raise KeyError("pid")

    monkeypatch.setattr(Reader, "states", fail)
    # WHEN it fails in a way that was not foreseen THEN it is the damage, with its code
    assert main(["report", "--config", str(config)]) == 65
    said = capsys.readouterr().err
    assert "is damaged, and what was asked for cannot be shown (metric 1" in said
    assert "internal error" not in said


class LeadsBack:
    """A connection to a store whose tree of sample rounds leads back to where it began."""

    def execute(self, _: object) -> LeadsBack:
        return self

    def all(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(scrape_id=7, n=1, payload=b"")]


def test_a_tree_that_leads_back_is_told_and_not_followed_for_ever() -> None:
    found = [wrong for _, _, wrongs in islice(_sample_rounds(LeadsBack()), 5) for wrong in wrongs]  # type: ignore[arg-type]
    assert found[-1] == "the scrapes of samples are not in order"
    assert len(found) == 3
