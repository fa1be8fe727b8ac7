"""What is logged and stored of processes that no scrape sees."""

from __future__ import annotations

import json
import logging

import pytest

from leakwatch.model.sample import Scrape, Tick, Unanswered
from leakwatch.monitoring.readback import UnseenLog
from leakwatch.store.daemon_state import UNSEEN, Hung, Unseen, unseen_of

AT_MS = 1_800_000_000_000


def scrape(at_s: int, *hung: Unanswered, hidepid: str = "") -> Scrape:
    return Scrape(Tick(AT_MS + 1000 * at_s, "boot"), (), (), (), unanswered=hung, hidepid=hidepid)


def test_it_is_logged_once_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = UnseenLog()
    for at_s in range(4):
        log.take(scrape(at_s, Unanswered(812, "post\ngres", 2.0 + at_s)))
    log.take(scrape(4))
    log.take(scrape(5))
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "does not answer, its memory map is locked: 812 (post\\x0agres)"),
        ("INFO", "answers again, or has ended: 812 (post\\x0agres)"),
    ]


def test_many_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    UnseenLog().take(scrape(0, *(Unanswered(pid, "x", 3.0) for pid in range(1, 21))))
    assert [one.getMessage().rpartition(", ")[2] for one in caplog.records] == ["5 (x) and 15 more"]


def test_what_is_stored_comes_back_and_goes_when_all_answer() -> None:
    log = UnseenLog()
    stored = log.take(scrape(10, Unanswered(812, "postgres", 2.5), hidepid="invisible"))
    states = json.loads(json.dumps(stored))
    assert unseen_of(states) == Unseen((Hung(812, "postgres", AT_MS + 7500),), "invisible")
    assert log.take(scrape(11)) == {UNSEEN: None}


@pytest.mark.parametrize("found", [None, 7, {"hung": 3}, {"hung": [[1], ["a", "b", "c"], None]}, {}])
def test_a_state_of_another_shape_is_none(found: object) -> None:
    assert unseen_of({UNSEEN: found}) == Unseen()


def test_hidden_processes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log = UnseenLog()
    for at_s in range(3):
        log.take(scrape(at_s, hidepid="invisible"))
    assert [one.getMessage() for one in caplog.records] == [
        "/proc hides other users' processes (hidepid=invisible): they are not watched"
    ]
