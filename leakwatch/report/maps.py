"""What the memory of one process is made of, and what changed between two looks, for ``leakwatch maps``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.model.memory_class import ClassUse, title
from leakwatch.report.columns import aligned
from leakwatch.report.growth_words import in_json, short_title
from leakwatch.report.words import count
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_bytes, format_duration

SCHEMA = 1
NOTHING = "-"
NAMED_PART = 0.2
"""Of what was gained, from which on a class is named in the answer."""
_CLASS_HEADINGS = ("class", "mappings", "held", "dirty", "clean", "swap", "resident")
_LINE_HEADINGS = ("address", "perm", "size", "held", "resident")


@dataclass(frozen=True, slots=True)
class MapsLine:
    """One mapping, or one class of them, at the newer look and the older."""

    label: str
    """The class's key."""
    now: ClassUse
    """All zeros where it is gone."""
    before: ClassUse | None
    """None with one look; all zeros where it is new."""
    address: str = ""
    permissions: str = ""
    path: str = ""
    """The last three of a single mapping alone."""

    @property
    def gained_bytes(self) -> int:
        """What is held now and was not before."""
        return self.now.held_bytes - self.before.held_bytes if self.before else 0

    @property
    def gained_mappings(self) -> int:
        """The same of mappings."""
        return self.now.mappings - self.before.mappings if self.before else 0


@dataclass(frozen=True, slots=True)
class Looked:
    """Everything the command says."""

    pid: int
    name: str
    at_ms: int
    apart_s: float | None
    """Between the two looks; None with one."""
    classes: tuple[MapsLine, ...]
    mappings: tuple[MapsLine, ...] = ()

    @property
    def held_bytes(self) -> int:
        """What the process holds alone, and in swap."""
        return sum(line.now.held_bytes for line in self.classes)

    @property
    def gained_bytes(self) -> int:
        """What it holds more than at the first look."""
        return sum(line.gained_bytes for line in self.classes)


def table(looked: Looked) -> str:
    """Return the answer in a line, then class by class, then mapping by mapping."""
    lines = [_answer(looked), "", *_classes(looked)]
    if looked.mappings:
        lines += ["", *_mappings(looked)]
    return "\n".join(lines) + "\n"


def _answer(looked: Looked) -> str:
    who = f"{printable(looked.name)} (pid {looked.pid}) holds {format_bytes(looked.held_bytes)}"
    if looked.apart_s is None:
        return f"{who} of private memory and swap."
    over = format_duration(looked.apart_s)
    gained = looked.gained_bytes
    moved = [f"{printable(title(one.label))} {_signed(one.gained_bytes)}" for one in _telling(looked)]
    if not moved:
        return f"{who} of private memory and swap; no change in {over}."
    return f"{who} of private memory and swap, {_signed(gained)} in {over}: {', '.join(moved)}."


def _telling(looked: Looked) -> list[MapsLine]:
    """Return the classes that make up most of what was gained, or of what was given back."""
    moved = sorted((one for one in looked.classes if one.gained_bytes), key=lambda one: abs(one.gained_bytes))
    most = abs(moved[-1].gained_bytes) if moved else 0
    return [one for one in reversed(moved) if abs(one.gained_bytes) >= NAMED_PART * most]


def _classes(looked: Looked) -> list[str]:
    ordered = sorted(looked.classes, key=lambda one: (-one.gained_bytes, -one.now.held_bytes, -one.now.rss_bytes))
    shown = [one for one in ordered if one.now.held_bytes or one.gained_bytes or one.gained_mappings]
    cells = [_class_cells(one, looked) for one in shown]
    total = ClassUse("")
    for one in looked.classes:
        total = total.plus(one.now)
    cells.append(_cells("all", total, looked.gained_bytes, sum(one.gained_mappings for one in looked.classes), looked))
    rest = len(looked.classes) - len(shown)
    more = [f"{count(rest, 'more class', 'more classes')} without private memory."] if rest else []
    return [*aligned([(*_CLASS_HEADINGS, *_changes(looked)), *cells]), *more]


def _changes(looked: Looked) -> tuple[str, ...]:
    return () if looked.apart_s is None else (f"in {format_duration(looked.apart_s)}", "mappings more")


def _class_cells(one: MapsLine, looked: Looked) -> tuple[str, ...]:
    return _cells(short_title(one.label), one.now, one.gained_bytes, one.gained_mappings, looked)


def _cells(label: str, now: ClassUse, gained: int, gained_mappings: int, looked: Looked) -> tuple[str, ...]:
    sizes = (now.held_bytes, now.dirty_bytes, now.clean_bytes, now.swap_bytes, now.rss_bytes)
    cells = (label, str(now.mappings), *(format_bytes(size) for size in sizes))
    if looked.apart_s is None:
        return cells
    return (*cells, _signed(gained), f"{gained_mappings:+d}" if gained_mappings else NOTHING)


def _signed(size: int) -> str:
    return f"{'+' if size > 0 else ''}{format_bytes(size)}" if size else NOTHING


def _mappings(looked: Looked) -> list[str]:
    change = () if looked.apart_s is None else (f"in {format_duration(looked.apart_s)}",)
    cells = [
        (
            one.address,
            one.permissions,
            format_bytes(one.now.size_bytes),
            format_bytes(one.now.held_bytes),
            format_bytes(one.now.rss_bytes),
            *((_signed(one.gained_bytes),) if change else ()),
            short_title(one.label),
        )
        for one in looked.mappings
    ]
    return aligned([(*_LINE_HEADINGS, *change, "class"), *cells])


def as_json(looked: Looked) -> str:
    """Return one JSON object; bytes, and what was gained since the first look (null with one look)."""
    body = {
        "schema": SCHEMA,
        "pid": looked.pid,
        "name": in_json(looked.name),
        "at": rfc3339(looked.at_ms),
        "apart_s": looked.apart_s,
        "held_bytes": looked.held_bytes,
        "gained_bytes": None if looked.apart_s is None else looked.gained_bytes,
        "classes": _objects(looked.classes),
        "mappings": _objects(looked.mappings),
    }
    return json_text(body, indent=1)


def _objects(lines: Sequence[MapsLine]) -> list[dict[str, Any]]:
    return [
        {
            **(
                {"address": one.address, "permissions": one.permissions, "path": in_json(one.path)}
                if one.address
                else {}
            ),
            "class": in_json(one.label),
            "title": in_json(title(one.label)),
            "mappings": one.now.mappings,
            "size_bytes": one.now.size_bytes,
            "held_bytes": one.now.held_bytes,
            "private_dirty_bytes": one.now.dirty_bytes,
            "private_clean_bytes": one.now.clean_bytes,
            "swap_bytes": one.now.swap_bytes,
            "rss_bytes": one.now.rss_bytes,
            "pss_bytes": one.now.pss_bytes,
            "gained_bytes": one.gained_bytes if one.before else None,
            "gained_mappings": one.gained_mappings if one.before else None,
        }
        for one in lines
    ]
