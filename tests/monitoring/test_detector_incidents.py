"""Scrapes in, incidents out, over windows of minutes: what a service's life makes of its one incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakwatch.alerting.announce import Incidents
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.monitoring.detector import Detector
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, NoLimits, leak, only, process, unit

if TYPE_CHECKING:
    from leakwatch.model.incident import Incident, IncidentEvent

WEB = unit("web.service")
KEEPS = 40 * MIB


@dataclass
class Watched:
    """A machine under watch, with what became of its incidents."""

    machine: Machine
    incidents: dict[str, Incident] = field(default_factory=dict)
    events: list[IncidentEvent] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def run(self, seconds: int) -> Watched:
        """Scrape every second and judge every five."""
        detector = Detector(MINUTES, NoLimits())
        incidents = Incidents(IncidentTimings(detector.plan.windows_s[0] * 1000, detector.plan.windows_s[-1] * 1000))
        for at in range(seconds):
            detector.feed(self.machine.scrape(at))
            if at % 5 == 4:
                said = detector.evaluate(START_MS + at * 1000)
                changes = incidents.update(
                    said.findings, said.now_ms, suspected=said.suspected, lives=said.lives, marks={}
                )
                self.incidents |= {one.id: one for one in changes.write}
                self.events += changes.events
                self.told += [f"{one.message} {one.incident.name}" for one in changes.announce]
        return self

    def only(self) -> Incident:
        (one,) = self.incidents.values()
        return one

    def kinds(self) -> list[str]:
        return [str(event.kind) for event in self.events]


def at_second(watched: Watched, kind: str) -> int:
    return next((event.at_ms - START_MS) // 1000 for event in watched.events if event.kind == kind)


def test_two_workers_that_leak_are_one_incident_of_their_service() -> None:
    watched = Watched(
        Machine({process(1, "web", WEB): KEEPS, process(2, "web", WEB): leak(), process(3, "web", WEB): leak(2 * MIB)})
    ).run(240)
    assert (watched.only().name, watched.told) == ("web.service", ["found web.service"])
    assert watched.kinds() == ["opened", "confirmed"]


def test_a_restart_in_between_is_told_to_nobody() -> None:
    # GIVEN a service of two workers that is restarted after three minutes, gone for ten seconds
    first, second = (process(1, "web", WEB), process(2, "web", WEB)), (process(11, "web", WEB), process(12, "web", WEB))
    machine = Machine(
        {
            first[0]: only(KEEPS, 0, 180),
            first[1]: only(leak(), 0, 180),
            second[0]: only(KEEPS, 190, 999),
            second[1]: only(leak(since=190), 190, 999),
        }
    )
    watched = Watched(machine).run(330)
    # THEN its incident stays, says so, and goes on
    assert watched.told == ["found web.service"]
    assert watched.kinds() == ["opened", "confirmed", "restarted", "continued"]
    assert watched.only().state == "confirmed"


def test_clean_after_a_restart_it_is_over_in_minutes() -> None:
    machine = Machine(
        {
            process(1, "web", WEB): only(leak(), 0, 180),
            process(11, "web", WEB): only(lambda at: KEEPS + at % 3 * 4096, 181, 9999),
        }
    )
    watched = Watched(machine).run(420)
    assert watched.kinds() == ["opened", "confirmed", "restarted", "resolved"]
    assert watched.told == ["found web.service", "over web.service"]
    took = at_second(watched, "confirmed")
    assert at_second(watched, "resolved") - at_second(watched, "restarted") >= max(60, took)
    assert watched.only().resolution == "clean"


def test_growth_that_stops_is_over_when_it_was_flat_for_as_long() -> None:
    machine = Machine({process(1, "web", WEB): lambda at: KEEPS + min(at, 150) * MIB})
    watched = Watched(machine).run(420)
    assert watched.kinds() == ["opened", "confirmed", "resolved"]
    assert watched.only().resolution == "flat"
    assert at_second(watched, "resolved") >= 150 + 60


def test_memory_that_is_given_back_is_over_soon() -> None:
    machine = Machine({process(1, "web", WEB): lambda at: KEEPS + (at * MIB if at < 150 else 0)})
    watched = Watched(machine).run(300)
    assert watched.kinds() == ["opened", "confirmed", "resolved"]
    assert watched.only().resolution == "back"
    assert at_second(watched, "resolved") <= 150 + 90


def test_a_kernel_cache_that_is_gone_is_over() -> None:
    watched = Watched(Machine({process(1): KEEPS}, slab={"kmalloc-4k": only(leak(), 0, 150)})).run(300)
    assert watched.only().resolution == "gone"
    assert watched.told == ["found kmalloc-4k", "over kmalloc-4k"]


def test_what_fills_and_stays_is_told_to_nobody() -> None:
    machine = Machine({process(1, "web", WEB): lambda at: KEEPS + min(at, 20) * MIB, process(2, "idle"): KEEPS})
    assert Watched(machine).run(300).told == []
