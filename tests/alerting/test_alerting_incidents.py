"""All incidents in step with the evaluations: what is written, and what the log is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.alerting.announce import Announcement, IncidentChanges, Incidents, announce
from leakwatch.alerting.lifecycle import Message
from leakwatch.model.incident import Acknowledgement, EventKind, Incident, IncidentState, Silence
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import said
from leakwatch.system import journal
from tests.alerting.observations import EVERY_MS, HOUR_MS, LEARNING, MIB, OK, PACE, START_MS, WATCH, finding

if TYPE_CHECKING:
    from leakwatch.model.verdict import Finding


def update(incidents: Incidents, at: int, *findings: Finding, **more: object) -> IncidentChanges:
    return incidents.update(findings, START_MS + at * EVERY_MS, **more)  # type: ignore[arg-type]


def told(changes: IncidentChanges) -> list[tuple[str, str]]:
    return [(str(one.message), one.incident.finding_id) for one in changes.announce]


def test_only_leaks_and_suspicions_are_written() -> None:
    incidents = Incidents(PACE)
    changes = update(
        incidents, 0, finding(), finding(WATCH, id_="s2"), finding(OK, id_="s3"), finding(LEARNING, id_="s4"),
        finding(WATCH, id_="s5"), suspected=frozenset({"s2", "s3", "s9"}),
    )  # fmt: skip
    # s3 has a frozen forecast of one of its parts, whatever the whole is said to be
    assert {(one.finding_id, str(one.state)) for one in changes.write} == {
        ("s1", "confirmed"), ("s2", "open"), ("s3", "open"),
    }  # fmt: skip
    assert told(changes) == [("found", "s1")]


def test_a_restart_of_the_daemon_tells_nothing_again() -> None:
    before = update(Incidents(PACE), 0, finding()).write
    incidents = Incidents(PACE, before)
    for at in range(1, 30):
        assert told(update(incidents, at, finding())) == []
    resolved = [told(update(incidents, at, finding(OK))) for at in range(30, 90)]
    assert [("over", "s1")] in resolved


def test_the_newest_incident_of_the_store_goes_on() -> None:
    old = Incident("i0", "s1", finding().kind, "web", IncidentState.RESOLVED, START_MS - 99 * 24 * HOUR_MS)
    (new,) = update(Incidents(PACE), 0, finding()).write
    (after,) = update(Incidents(PACE, [new, old]), 1, finding()).write
    assert after.id == new.id


def test_what_ends_is_over_though_its_finding_is_gone() -> None:
    incidents = Incidents(PACE)
    update(incidents, 0, finding())
    ends = [change for at in range(1, 20) for change in update(incidents, at).announce]
    assert [(one.message, one.finding) for one in ends] == [(Message.OVER, None)]


def test_what_could_not_be_stored_is_stored_next_time_and_told_once() -> None:
    # GIVEN an evaluation that opened an incident, and a store that is full
    incidents = Incidents(PACE)
    lost = update(incidents, 0, finding())
    incidents.forget(lost)
    # THEN the next one stores its history too
    again = update(incidents, 1, finding())
    assert [event.kind for event in again.events] == [EventKind.OPENED, EventKind.CONFIRMED]
    assert told(again) == []
    assert update(incidents, 2, finding()).events == ()


def test_a_new_store_is_told_everything() -> None:
    # GIVEN an incident that is resolved and one that is not, noted in the store that was set aside
    incidents = Incidents(PACE)
    (one, other) = update(incidents, 0, finding(), finding(id_="s2")).write
    silence = Silence(START_MS, START_MS + HOUR_MS * 999, "anna")
    marks = {one.id: (None, silence)}
    for at in range(1, 60):
        update(incidents, at, finding(), finding(OK, id_="s2"), marks=marks)
    # WHEN another store is begun, which has no notes
    incidents.forget_all()
    changes = update(incidents, 60, finding(), finding(OK, id_="s2"), marks={})
    # THEN it gets both, with the note
    assert {(i.id, i.state, i.silence) for i in changes.write} == {
        (one.id, IncidentState.CONFIRMED, silence), (other.id, IncidentState.RESOLVED, None),
    }  # fmt: skip
    assert told(changes) == []


def test_notes_are_taken_at_the_next_evaluation_and_kept_when_they_cannot_be_read() -> None:
    incidents = Incidents(PACE)
    (one,) = update(incidents, 0, finding(WATCH), suspected=frozenset({"s1"})).write
    given = Acknowledgement(START_MS, "anna")
    (after,) = update(incidents, 1, finding(), marks={one.id: (given, None)}).write
    assert (after.acknowledgement, after.state) == (given, IncidentState.CONFIRMED)
    (after,) = update(incidents, 2, finding(), marks=None).write
    assert after.acknowledgement == given
    changes = update(incidents, 3, finding(), marks={})
    assert changes.write[0].acknowledgement is None
    assert told(changes) == [("found", "s1")]


def test_the_end_of_a_silence_is_stored_until_it_is() -> None:
    # GIVEN a leak that is silenced
    incidents = Incidents(PACE)
    (one,) = update(incidents, 0, finding()).write
    silence = Silence(START_MS, START_MS + 2 * EVERY_MS, "anna")
    noted = {one.id: (None, silence)}
    assert told(update(incidents, 1, finding(), marks=noted)) == []
    # WHEN that is over, and cannot be stored
    over = update(incidents, 2, finding(), marks=noted)
    assert [(was, now.silence) for was, now in over.silences] == [(silence, None)]
    assert told(over) == [("reminded", "s1")]
    incidents.forget(over)
    # THEN it is stored again, but told and written into the history once
    again = update(incidents, 3, finding(), marks=noted)
    assert [(was, now.silence) for was, now in again.silences] == [(silence, None)]
    assert [event.kind for event in again.events] == [EventKind.EXPIRED]
    assert told(again) == []
    assert update(incidents, 4, finding(), marks={}).events == ()


def test_a_silence_that_the_clock_was_set_back_from_is_moved() -> None:
    incidents = Incidents(PACE)
    (one,) = update(incidents, 1000, finding()).write
    silence = Silence(START_MS + 1000 * EVERY_MS, START_MS + 1002 * EVERY_MS, "anna")
    ((was, now),) = update(incidents, 3, finding(), marks={one.id: (None, silence)}).silences
    assert was == silence
    assert now.silence == Silence(START_MS + 3 * EVERY_MS, START_MS + 5 * EVERY_MS, "anna")


def test_what_ended_long_ago_is_forgotten() -> None:
    # Else there would be one more with every program that ever ran.
    incidents = Incidents(PACE)
    for at in range(30):
        update(incidents, at, *([finding()] if at < 2 else []))
    update(incidents, 30 + PACE.reopen_ms // EVERY_MS)
    incidents.forget_all()
    assert update(incidents, 31 + PACE.reopen_ms // EVERY_MS).write == ()


# The log


def incident(**changes: object) -> Incident:
    one = Incident(
        "i1", "s1", finding().kind, "web.service", IncidentState.CONFIRMED, START_MS, reasons=said("it ended")
    )
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "remark", "id_"),
    [
        (Message.FOUND, "", journal.LEAK_FOUND),
        (Message.REOPENED, "reopened after it was resolved, ", journal.LEAK_REOPENED),
        (Message.REMINDED, "its silence is over and it still leaks, ", journal.LEAK_REMINDED),
    ],
)
def test_the_log_line_of_a_leak_has_who_how_fast_since_when_and_what_to_do(
    caplog: pytest.LogCaptureFixture, message: Message, remark: str, id_: str
) -> None:
    with caplog.at_level(logging.INFO, "leakwatch"):
        announce(Announcement(message, incident(), finding()), Stamps())
    (record,) = caplog.records
    assert record.getMessage() == (
        "leak: web.service (pid 7): USS + swap grows +3.00 MiB/h (+2.00 MiB/h to +4.00 MiB/h), "
        f"50.0 MiB since 2026-09-21T14:13:20Z; {remark}incident i1, see: leakwatch report --name s1"
    )
    assert (record.levelname, record.message_id) == ("WARNING", id_)  # type: ignore[attr-defined]
    fields = record.leakwatch  # type: ignore[attr-defined]
    assert (fields["id"], fields["incident"], fields["slope_bytes_per_hour"]) == ("s1", "i1", 3 * MIB)


@pytest.mark.parametrize(("found", "who"), [(finding(OK), "web.service (pid 7)"), (None, "web.service")])
def test_the_end_of_a_leak_is_no_warning(caplog: pytest.LogCaptureFixture, found: Finding | None, who: str) -> None:
    with caplog.at_level(logging.INFO, "leakwatch"):
        announce(Announcement(Message.OVER, incident(), found), Stamps())
    (record,) = caplog.records
    assert record.getMessage() == f"leak over: {who}: it ended; incident i1"
    assert (record.levelname, record.message_id) == ("INFO", journal.LEAK_OVER)  # type: ignore[attr-defined]


def test_message_ids_are_fixed_for_ever() -> None:
    assert (journal.LEAK_FOUND, journal.LEAK_OVER, journal.LEAK_REOPENED, journal.LEAK_REMINDED) == (
        "be0eef04bcc0428b9bb9253979d9d3ff", "be77baf390e6421ea9c389528f164ddc",
        "00660a869d0340d58a389b6c829f5995", "fb56c65bba554dc19ec7cf1635a4ea61",
    )  # fmt: skip


def test_a_hostile_name_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    name = "x\nleakwatch: ERROR \x1b[2J"
    hostile = replace(finding(), name=name, service="y\u202e")
    with caplog.at_level(logging.INFO, "leakwatch"):
        announce(Announcement(Message.FOUND, incident(), hostile), Stamps())
        announce(Announcement(Message.OVER, incident(name=name, reasons=said(name)), None), Stamps())
    first, second = (record.getMessage() for record in caplog.records)
    assert first.isprintable()
    assert second.isprintable()
    assert "x\\x0aleakwatch: ERROR \\x1b[2J (pid 7, y\\u202e)" in first
