"""Looks into the mappings of suspects: whose turn it is, within the budget of full reads, and what a look says.

A look takes the place of the process's full read in that round: one walk of ``smaps`` gives the sums as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from leakwatch import metrics
from leakwatch.collectors.processes.mapping_classes import bounded, classified, summed
from leakwatch.collectors.processes.tracked_process import TrackedProcess
from leakwatch.model.identity import Target
from leakwatch.model.memory_class import ClassKind, ClassUse, class_target
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse

LOOKS_A_ROUND = 4
"""So that no round has to bear those of all suspects: the others' turn is after the next evaluation."""
PLACES_OF_RATE = 12
"""Where not all can be looked into in time, one this many places behind the fastest waits for twice as long."""
PART_OF_PURSE = 0.5
"""Of the CPU time that is there for full reads, what looks may take in one round."""
ALWAYS_US = 20_000.0
"""What one look may take although the budget is spent, as the reads of suspects may: else who grows fast, and so spends
it on full reads, would never be looked into."""
PROCESSES_MOST = 64
"""Processes looked into at a time: a service of a thousand workers is told by some of them."""
SOONEST_PART = 0.9
"""Of the time between two looks, after which the next may come: evaluations, which ask for them, are not punctual."""
MAPPINGS_MOST = 5000
"""A look at more takes 75 ms and megabytes: it is broken off, and tried again a day later."""
AGAIN_AFTER_US = 86_400_000_000
FIRST_US_PER_MAPPING, FIRST_MAPPINGS = 15.0, 300
"""What a look costs beside the walk before any was made: 4 us for the kernel's text, the rest for reading it."""
LEARNT_PART = 1 / 8


@dataclass(slots=True)
class MappingRead:
    """What is kept of a process from look to look."""

    at_us: int = 0
    mappings: int = FIRST_MAPPINGS
    refused_us: int | None = None
    told: frozenset[str] = frozenset()
    """Classes that are told by name."""
    uses: list[ClassUse] = field(default_factory=list)

    def samples(self, process: Target) -> list[Sample]:
        """Return what the newest look saw."""
        return [
            Sample(metric, class_target(process, use.key), value)
            for use in self.uses
            if use.key != ClassKind.KERNEL
            for metric, value in ((metrics.CLASS_HELD, use.held_bytes), (metrics.CLASS_MAPPINGS, use.mappings))
        ]


class MappingReads:
    """Decides who is looked into, and does it; ``every_s`` is the time between two looks at one process."""

    def __init__(self, procfs: ProcFS, every_s: float | None) -> None:
        self._procfs = procfs
        self._every_us = None if every_s is None else round(every_s * 1e6)
        self._us_per_mapping = FIRST_US_PER_MAPPING
        self._known: dict[Target, MappingRead] = {}
        self._new_first = False

    def choose(
        self, suspects: Collection[Target], readable: Sequence[TrackedProcess], now_us: int, left_us: float
    ) -> set[Target]:
        """Return the suspects to look into in this round: by turns one whose time has come again, and one that is new.

        ``suspects`` come with the fastest growing first; ``readable`` are those of them that are read fully now
        anyway: only what a look costs beyond that counts against ``left_us``, what there is to spend.
        """
        if self._every_us is None:
            return set()
        self._known = {target: look for target, look in self._known.items() if target in suspects}
        due = self._ordered(suspects, readable, now_us)
        chosen: set[Target] = set()
        spent = 0.0
        for one in due[:LOOKS_A_ROUND]:
            look = self._known.get(one.target)
            cost_us = (look.mappings if look else FIRST_MAPPINGS) * self._us_per_mapping
            within = spent + cost_us <= left_us * PART_OF_PURSE or (not chosen and cost_us <= ALWAYS_US)
            if within and (look is not None or len(self._known) < PROCESSES_MOST):
                self._known.setdefault(one.target, MappingRead())
                chosen.add(one.target)
                spent += cost_us
        return chosen

    def _ordered(
        self, suspects: Collection[Target], readable: Sequence[TrackedProcess], now_us: int
    ) -> list[TrackedProcess]:
        """Return those that are due: a service of hundreds must not keep its fastest from a second look by new ones."""
        place = {target: at for at, target in enumerate(suspects)}

        def urgency(one: TrackedProcess) -> float:
            return (now_us - self._known[one.target].at_us) / (1 + place[one.target] / PLACES_OF_RATE)

        due = [one for one in readable if self._is_due(one.target, now_us)]
        new = sorted((one for one in due if one.target not in self._known), key=lambda one: place[one.target])
        again = sorted((one for one in due if one.target in self._known), key=urgency, reverse=True)
        self._new_first = not self._new_first
        pair = (new, again) if self._new_first else (again, new)
        return [one for both in zip_longest(*pair) for one in both if one is not None]

    def _is_due(self, target: Target, now_us: int) -> bool:
        look = self._known.get(target)
        if look is None or self._every_us is None:
            return True
        if look.refused_us is not None and now_us - look.refused_us < AGAIN_AFTER_US:
            return False
        return not look.at_us or now_us - look.at_us >= self._every_us * SOONEST_PART

    def read(self, one: TrackedProcess, now_us: int) -> MemoryUse | Absence:
        """Look into a chosen process; return the sums as ``memory`` does, by which it is read if the look fails."""
        look = self._known[one.target]
        found = self._procfs.mappings(one.identity.pid, MAPPINGS_MOST)
        if isinstance(found, Absence):
            if found.reason is AbsenceReason.SKIPPED:
                look.refused_us = now_us
                return self._procfs.memory(one.identity.pid)
            return found
        keys = classified(found.mappings, self._procfs.memory_devices(one.identity.pid, found.mappings))
        look.uses, look.told = bounded(summed(found.mappings, keys), look.told)
        look.at_us, look.mappings = now_us, len(found.mappings)
        return found.use

    def learn(self, target: Target, now_us: int, beyond_us: float) -> None:
        """Take what the look just made cost beyond what the walk alone was forecast to cost."""
        look = self._known[target]
        if look.at_us != now_us:
            return  # it failed
        each = max(0.0, beyond_us) / max(1, look.mappings)
        self._us_per_mapping += (each - self._us_per_mapping) * LEARNT_PART

    def made(self, now_us: int) -> list[list[Sample]]:
        """Return what each look of this round saw."""
        return [look.samples(target) for target, look in self._known.items() if look.at_us == now_us]
