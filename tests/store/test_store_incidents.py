"""Incidents in the store: kept whole, noted beside the daemon, carried over from the first schema."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.alerting.announce import Incidents
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.cli.main import main
from leakwatch.errors import (
    IncidentNotFoundError,
    LeakwatchError,
    PermissionNeededError,
    StoreBusyError,
    StoreCorruptError,
    StoreNotFoundError,
    StoreTooNewError,
    StoreWriteError,
)
from leakwatch.model.incident import (
    Acknowledgement,
    EventKind,
    Incident,
    IncidentEvent,
    IncidentState,
    Progress,
    Resolution,
    Silence,
)
from leakwatch.model.timeline import CLOCK, Stamps
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Phrase, Verdict, said
from leakwatch.report.phrases import text
from leakwatch.store.files import driver
from leakwatch.store.files.open import open_writer
from leakwatch.store.incident.marks import Marker
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.store.maintenance import migrate
from leakwatch.store.maintenance.retention import RetentionLimits, purge
from leakwatch.store.read.reader import Reader
from leakwatch.store.sql import reading
from leakwatch.store.writer import Writer
from tests.store.storetools import (
    BASE_MS,
    DAY_MS,
    NOBODY,
    Child,
    all_blocks,
    all_samples,
    as_user,
    change,
    rows,
    scrape,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "we\udcffb\n\x1b[2J"
WHOLE = Incident(
    "i1", "s1", FindingKind.SERVICE, HOSTILE, IncidentState.RESOLVED, BASE_MS, BASE_MS + 1, BASE_MS - 5, BASE_MS + 9,
    Resolution.CLEAN, (Phrase("flat", (7200.0, 3600.5)), *said(HOSTILE)), 3, BASE_MS + 4, BASE_MS + 6,
    Progress(
        BASE_MS + 9, Verdict.WATCH, "process.uss_bytes", 7, "boot/7/70", 100, 200, 30, 40, 50, 60, 70, True, True,
        True,
    ),
    Acknowledgement(BASE_MS + 2, "anna", HOSTILE, 3),
    Silence(BASE_MS + 3, BASE_MS + 100, "bert", "until the deploy"),
)  # fmt: skip
PLAIN = Incident("i2", "k2", FindingKind.KERNEL, "dentry", IncidentState.OPEN, BASE_MS + 20)
GIVEN = Acknowledgement(BASE_MS + 50, "anna", "known", 0)
QUIET = Silence(BASE_MS + 60, BASE_MS + 90, "bert")


def put(writer: Writer, *incidents: Incident, events: tuple[IncidentEvent, ...] = (), **more: object) -> None:
    writer.write_evaluation([], {}, {}, BASE_MS, ChangedIncidents(incidents, events, **more))  # type: ignore[arg-type]


def test_an_incident_comes_back_whole(writer: Writer, reader: Reader) -> None:
    # No field of these is a default, so none is forgotten.
    for value, default in zip(dataclasses.astuple(WHOLE.progress), dataclasses.astuple(Progress()), strict=True):
        assert value != default
    put(writer, PLAIN, WHOLE)
    assert reader.incidents() == [WHOLE, PLAIN]


def test_its_history_is_kept_in_the_order_it_was_written(writer: Writer, reader: Reader) -> None:
    # As the clock may be set back.
    history = [IncidentEvent("i1", BASE_MS - n, kind, said(HOSTILE), "anna") for n, kind in enumerate(EventKind)]
    put(writer, WHOLE, events=tuple(history[:3]))
    put(writer, PLAIN, events=(*history[3:], IncidentEvent("i2", BASE_MS, EventKind.OPENED)))
    assert reader.incident_events("i1") == history
    assert reader.incident_events("i3") == []


def test_the_daemon_does_not_undo_what_is_noted_meanwhile(writer: Writer, reader: Reader) -> None:
    # GIVEN an incident that the daemon knows without any note
    put(writer, PLAIN)
    # WHEN it is noted, and the daemon goes on with what it knows
    marker = Marker(writer.path, Stamps())
    marker.acknowledge("i2", GIVEN)
    marker.silence("i2", QUIET, said("for 30 ms"))
    put(writer, replace(PLAIN, state=IncidentState.CONFIRMED, name="inode"))
    # THEN both are there, and the daemon is told
    noted = replace(PLAIN, state=IncidentState.CONFIRMED, name="inode", acknowledgement=GIVEN, silence=QUIET)
    assert reader.incidents() == [noted]
    assert writer.incident_marks() == {"i2": (GIVEN, QUIET)}
    # and so is it when the note is taken back
    marker.unsilence("i2", BASE_MS + 70, "carl")
    marker.close()
    assert reader.incidents() == [replace(noted, silence=None)]
    assert [(e.kind, e.by, text(e.reasons)) for e in reader.incident_events("i2")] == [
        ("acknowledged", "anna", "known"), ("silenced", "bert", "for 30 ms"), ("unsilenced", "carl", ""),
    ]  # fmt: skip


def test_a_silence_is_ended_unless_it_was_renewed_meanwhile(writer: Writer, reader: Reader) -> None:
    put(writer, replace(PLAIN, silence=QUIET))
    put(writer, silences=((QUIET, PLAIN),))
    assert reader.incidents() == [PLAIN]
    marker = Marker(writer.path, Stamps())
    marker.silence("i2", replace(QUIET, until_ms=BASE_MS + 999), ())
    marker.close()
    put(writer, silences=((QUIET, PLAIN),))
    assert reader.incidents()[0].silence == replace(QUIET, until_ms=BASE_MS + 999)


def test_what_is_no_longer_kept_cannot_be_noted(store: Path) -> None:
    marker = Marker(store, Stamps())
    with pytest.raises(IncidentNotFoundError) as raised:
        marker.acknowledge("i9", GIVEN)
    assert raised.value.exit_code == 67
    marker.close()
    assert rows(store, "SELECT count(*) FROM incident_event") == [(0,)]


def test_an_incident_that_makes_no_sense_is_left_out_and_its_course_begun_anew(writer: Writer, reader: Reader) -> None:
    put(writer, WHOLE, PLAIN)
    change(writer.path, "UPDATE incident SET state = 'lost' WHERE id = 'i1'", "UPDATE incident SET payload = '[1'")
    (left,) = reader.incidents()
    # It is not told of a second time.
    assert left == replace(PLAIN, progress=Progress(told=True))


def test_a_newer_version_s_field_is_passed_over(writer: Writer, reader: Reader) -> None:
    put(writer, WHOLE)
    change(writer.path, "UPDATE incident SET payload = json_set(payload, '$.mood', 'good')")
    assert reader.incidents() == [WHOLE]


def test_resolved_incidents_are_kept_as_long_as_blocks(writer: Writer, reader: Reader) -> None:
    old, recent = replace(WHOLE, resolved_ms=BASE_MS - 91 * DAY_MS), replace(WHOLE, id="i3", finding_id="s3")
    events = tuple(IncidentEvent(id_, BASE_MS, EventKind.OPENED) for id_ in ("i1", "i2", "i3"))
    put(writer, old, recent, replace(PLAIN, opened_ms=BASE_MS - 400 * DAY_MS), events=events)
    limits = RetentionLimits(14 * 86400.0, 90 * 86400.0, 1 << 30, 1 << 30, 1 << 30)
    purge(writer, limits, now_ms=BASE_MS, interval_s=60.0)
    assert [one.id for one in reader.incidents()] == ["i2", "i3"]
    assert rows(writer.path, "SELECT incident_id FROM incident_event ORDER BY 1") == [("i2",), ("i3",)]


# Who may note


def test_a_store_in_use_is_waited_for(writer: Writer) -> None:
    put(writer, PLAIN)
    marker = Marker(writer.path, Stamps())
    with writer.exclusive() as connection:
        connection.execute(reading.states()).all()  # the first statement takes the lock
        waiting = threading.Thread(target=marker.acknowledge, args=("i2", GIVEN))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join()
    assert writer.incident_marks() == {"i2": (GIVEN, None)}
    marker.close()


def test_a_store_that_stays_locked_is_75(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "BUSY_TIMEOUT_S", 0.1)
    put(writer, PLAIN)
    marker = Marker(writer.path, Stamps())
    with writer.exclusive() as connection:
        connection.execute(reading.states()).all()
        with pytest.raises(StoreBusyError, match="stayed locked") as raised:
            marker.acknowledge("i2", GIVEN)
    assert raised.value.exit_code == 75
    marker.acknowledge("i2", GIVEN)  # it can be tried again
    marker.close()


def old(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = '0001'")


def new(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = '9999'")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (old, StoreCorruptError, "older schema 0001; start the daemon once"),
        (new, StoreTooNewError, "newer leakwatch"),
        (empty, StoreNotFoundError, "is empty"),
        (Path.unlink, StoreNotFoundError, "there is no store"),
    ],
)
def test_a_store_of_another_schema_is_refused(
    store: Path, make: Callable[[Path], None], error: type[LeakwatchError], words: str
) -> None:
    make(store)
    with pytest.raises(error, match=words):
        Marker(store, Stamps())


def test_as_root_the_files_stay_the_owner_s(shared: Path, empty_store: Path) -> None:
    # GIVEN a service's store, stopped in order
    path = shared / "leakwatch.db"
    path.write_bytes(empty_store.read_bytes())
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0o600)
    # WHEN root notes something and is killed before the log is folded in
    code = (
        "import os, sys; from pathlib import Path; from leakwatch.store.incident.marks import Marker; "
        "from leakwatch.model.timeline import CLOCK, Stamps; "
        "from leakwatch.model.incident import Acknowledgement; from leakwatch.store.files import engine\n"
        f"path = Path({str(path)!r}); m = Marker(path, Stamps())\n"
        'm._connection.exec_driver_sql("INSERT INTO incident (id, finding_id, kind, name, state, opened_ms, reason, '
        "reopened, payload) VALUES ('i2','k2','kernel','dentry','open',1,'',0,'{}')\"); m._connection.commit()\n"
        "m.acknowledge('i2', Acknowledgement(1, 'root')); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    # THEN all files are the service's
    files = sorted(shared.iterdir())
    assert [file.name for file in files] == ["leakwatch.db", "leakwatch.db-shm", "leakwatch.db-wal"]
    assert {(file.stat().st_uid, file.stat().st_gid) for file in files} == {(NOBODY, NOBODY)}
    # and the service reads and goes on
    argv = as_user(NOBODY, "write", str(path))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "1\n"
        service.kill()
    assert rows(path, "SELECT acknowledged_by FROM incident") == [("root",)]
    # also after an orderly end
    Marker(path, Stamps()).close()
    assert {file.stat().st_uid for file in shared.iterdir()} == {NOBODY}


@pytest.mark.live
@pytest.mark.slow
def test_root_notes_beside_the_daemon_of_another_user(
    shared: Path, empty_store: Path, proc_tree: Callable[[str], Path]
) -> None:
    # GIVEN a service's store with an incident, and its daemon at work
    path = shared / "leakwatch.db"
    path.write_bytes(empty_store.read_bytes())
    writer = Writer(path)
    put(writer, replace(PLAIN, state=IncidentState.CONFIRMED, confirmed_ms=BASE_MS))
    writer.close()
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)
    tree = shutil.copytree(proc_tree("linux-6.18-x86_64").parent, shared / "tree", symlinks=True)
    daemon = Child(shared, path, tree / "proc", interval="0.5s")
    daemon.argv = as_user(NOBODY, "leakwatch", *daemon.argv[3:])
    with daemon:
        daemon.stored(2)
        # WHEN root silences it for a moment and acknowledges it
        for note in (["silence", "i2", "--for", "1s"], ["ack", "dentry", "--reason", "known"]):
            assert main(["incidents", *note, "--config", str(shared / "config.toml")]) == 0
            assert {file.stat().st_uid for file in shared.glob("leakwatch.db*")} == {NOBODY}
        # THEN the daemon minds both: it notes the end of the silence and leaves the acknowledgement
        history = "SELECT kind FROM incident_event WHERE incident_id = 'i2' ORDER BY id"
        until(lambda: ("expired",) in rows(path, history), f"the end of the silence; {daemon.log}", 40)
        assert rows(path, history) == [("silenced",), ("acknowledged",), ("expired",)]
        assert rows(path, "SELECT silenced_ms, acknowledged_reason FROM incident") == [(None, "known")]
        assert daemon.stop() == 0
    assert " ERROR " not in daemon.log
    assert {file.stat().st_uid for file in shared.glob("leakwatch.db*")} == {NOBODY}


def test_who_may_not_write_is_told_to_use_sudo(shared: Path, empty_store: Path) -> None:
    path = shared / "leakwatch.db"
    path.write_bytes(empty_store.read_bytes())
    path.chmod(0o644)
    code = (
        "import os, sys; from pathlib import Path; from leakwatch.store.incident.marks import Marker; "
        "from leakwatch.model.timeline import CLOCK, Stamps; "
        "import leakwatch.store.files.engine; os.setgid(65534); os.setuid(65534)\n"
        f"try:\n Marker(Path({str(path)!r}), Stamps())\nexcept Exception as e:\n print(type(e).__name__, e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(PermissionNeededError.__name__), done.stderr
    assert "sudo" in done.stdout


@pytest.mark.parametrize("root", [True, False])
def test_a_read_only_store_is_74(tmp_path: Path, empty_store: Path, root: bool) -> None:
    path = tmp_path / "leakwatch.db"
    path.write_bytes(empty_store.read_bytes())
    if root:
        if os.geteuid() != 0:
            pytest.skip("only root can mount")
        mounted = subprocess.run(["mount", "--bind", "-o", "ro", tmp_path, tmp_path], capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip("needs the privilege to mount")
    elif os.geteuid() == 0:
        pytest.skip("root may write to what is read-only for its owner")
    else:
        path.chmod(0o444)
    try:
        with pytest.raises(StoreWriteError, match="read-only") as raised:
            Marker(path, Stamps())
    finally:
        if root:
            subprocess.run(["umount", "-l", tmp_path], check=True)
    assert raised.value.exit_code == 74


@pytest.mark.slow
def test_many_at_once_lose_nothing(writer: Writer, reader: Reader) -> None:
    # GIVEN an incident, and a daemon that writes it again and again
    put(writer, PLAIN)
    code = (
        "import sys; from pathlib import Path; from leakwatch.store.incident.marks import Marker; "
        "from leakwatch.model.timeline import CLOCK, Stamps\n"
        "from leakwatch.model.incident import Acknowledgement\n"
        "for n in range(40):\n"
        " m = Marker(Path(sys.argv[1]), Stamps()); m.acknowledge('i2', Acknowledgement(n, sys.argv[2])); m.close()"
    )
    argv = [sys.executable, "-c", code, str(writer.path)]
    # WHEN two commands note things as fast as they can
    with subprocess.Popen([*argv, "anna"]) as anna, subprocess.Popen([*argv, "bert"]) as bert:
        number = 0
        while anna.poll() is None or bert.poll() is None:
            number += 1
            put(writer, replace(PLAIN, reopened=number))
            writer.write_scrape(scrape(number))
    assert (anna.returncode, bert.returncode) == (0, 0)
    # THEN each note is in the history, and nothing the daemon wrote was undone
    by = [event.by for event in reader.incident_events("i2")]
    assert (by.count("anna"), by.count("bert")) == (40, 40)
    assert reader.incidents()[0].reopened == number


# From the first schema


def leak(id_: str = "s1", name: str = "web.service", since_ms: int | None = BASE_MS - 3_600_000) -> dict[str, object]:
    """What that schema stored: reason and note in words."""
    assessment = Assessment(Verdict.LEAK, 100, slope_bytes_per_hour=5.0, since_ms=since_ms, grown_bytes=50)
    found = Finding(
        id_, FindingKind.SERVICE, name, "process.uss_swap_bytes", assessment, 7, name, evaluated_at_ms=BASE_MS
    )
    stored = dataclasses.asdict(found)
    del stored["notes"], stored["assessment"]["reasons"]
    return stored | {"note": "", "assessment": stored["assessment"] | {"reason": "up"}}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Return a populated store of revision 0001: two leaks that were announced, one damaged, one that was not."""
    path = tmp_path / "first.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "schema_0001.sql").read_text())
    connection.execute("INSERT INTO scrape VALUES (1, 5, 1, 0, 0, 0, 0, 9, '{}')")
    connection.execute("INSERT INTO sample VALUES (1, 1, 77)")
    connection.execute("INSERT INTO block VALUES (300, 5, 1, 3, 1.0, 2.0, 3.0, 3.0, 5)")
    for id_, payload, announced_ms, ended_ms in (
        ("s1", json.dumps(leak()), BASE_MS, None),
        ("s2", json.dumps(leak("s2", HOSTILE, since_ms=None)), BASE_MS + 5, BASE_MS + 6),
        ("s3", "{half", BASE_MS, None),
        ("s4", json.dumps(leak("s4")), None, None),
    ):
        row = (id_, "service", "leak", BASE_MS, payload, announced_ms, ended_ms)
        connection.execute("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    return path


def test_what_was_announced_becomes_an_incident_that_was_told(first: Path) -> None:
    # WHEN the daemon opens it
    columns = "SELECT id, kind, verdict, evaluated_ms, ended_ms FROM finding ORDER BY id"
    reading = rows(first, columns)
    open_writer(first, BASE_MS).close()
    # THEN nothing is lost
    assert rows(first, columns) == reading
    assert rows(first, "SELECT payload FROM finding WHERE id = 's3'") == [("{half",)]
    assert all_samples(first) == [(1, 1, 77)]
    assert all_blocks(first) == [(300, 5, 1, 3, 1.0, 2.0, 3.0, 3.0, 5)]
    # and what was announced is an incident, with a history
    reader = Reader(first)
    assert text(next(one.finding for one in reader.findings() if one.finding.id == "s1").assessment.reasons) == "up"
    one, other = reader.incidents()
    history = reader.incident_events(one.id)
    reader.close()
    assert (one.finding_id, one.name, one.state, one.opened_ms, one.confirmed_ms) == (
        "s1", "web.service", IncidentState.CONFIRMED, BASE_MS, BASE_MS,
    )  # fmt: skip
    assert one.progress.told
    assert one.progress.grew_ms == 3_600_000
    assert (other.finding_id, other.name) == ("s2", HOSTILE)
    assert [(event.kind, event.at_ms, text(event.reasons)) for event in history] == [("confirmed", BASE_MS, "up")]


def test_after_the_upgrade_nothing_is_told_a_second_time(first: Path) -> None:
    migrate.upgrade(first)
    reader = Reader(first)
    incidents = Incidents(IncidentTimings(3_600_000, 864_000_000), reader.incidents())
    reading = [one.finding for one in reader.findings()]
    reader.close()
    ids = {one.id: "a life" for one in reading}
    changes = incidents.update(reading, BASE_MS + 300_000, lives=ids, marks={})
    # s3 cannot be read; s4 was not told of yet
    assert [(one.message, one.incident.finding_id) for one in changes.announce] == [("found", "s4")]
    assert [(e.kind, e.incident_id) for e in changes.events if e.kind == "restarted"] == []


def test_taken_back_the_old_program_finds_its_schema(first: Path) -> None:
    before = rows(first, "SELECT id, announced_ms FROM finding WHERE id IN ('s1', 's2', 's4') ORDER BY id")
    argv = [sys.executable, "-m", "alembic", "-x", f"url=sqlite:///{first}"]
    for arguments in (["upgrade", "head"], ["downgrade", "0001"]):
        subprocess.run([*argv, *arguments], cwd=migrate.scripts_directory().parent, check=True, capture_output=True)
    assert rows(first, "SELECT id, announced_ms FROM finding WHERE id IN ('s1', 's2', 's4') ORDER BY id") == before
    assert rows(first, "SELECT * FROM sample") == [(1, 1, 77)]
    assert rows(first, "SELECT * FROM block") == [(300, 5, 1, 3, 1.0, 2.0, 3.0, 3.0, 5)]
    assert rows(first, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_what_is_noted_after_the_clock_was_set_is_noted_on_the_timeline(writer: Writer) -> None:
    # GIVEN a store whose clock was set back by an hour
    back_ms = 3_600_000
    writer.write_scrape(scrape(0), [], {CLOCK: ["boot-a", 0, BASE_MS, -back_ms, []]})
    put(writer, PLAIN)
    reader = Reader(writer.path)
    marker = Marker(writer.path, reader.stamps)
    # WHEN something is noted, by the clock as it is now
    now_ms = BASE_MS + 60_000 - back_ms
    marker.silence("i2", Silence(now_ms, now_ms + 1000, "me"), ())
    marker.acknowledge("i2", Acknowledgement(now_ms, "me"))
    marker.close()
    # THEN the daemon has it when it was, and a reader when it is shown
    given, silence = writer.incident_marks()["i2"]
    assert given is not None
    assert silence is not None
    assert (given.at_ms, silence.since_ms, silence.until_ms) == (BASE_MS + 60_000, BASE_MS + 60_000, BASE_MS + 61_000)
    shown = next(one for one in reader.incidents() if one.id == "i2")
    assert shown.silence == Silence(now_ms, now_ms + 1000, "me")
    assert {event.at_ms for event in reader.incident_events("i2") if event.by} == {now_ms}
    reader.close()
