"""The four views: which columns each has, and the rows of each. Pure.

Names, defaults and order are smem's. A row holds a value for each column of its view; sizes are bytes, None is what
could not be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from leakwatch.errors import ProcUnavailableError
from leakwatch.procfs.host.meminfo import Meminfo
from leakwatch.ps.sums import HeldMemory, Sums, added, by_mapping, by_user

Value = int | str | None
Row = dict[str, Value]


class ViewKind(Enum):
    """How a column's values are written."""

    TEXT = "text"
    COUNT = "count"
    SIZE = "size"


class Total(Enum):
    """What stands below a column with ``--totals``."""

    NOTHING = "nothing"
    SUM = "sum"
    ROWS = "rows"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    heading: str
    kind: ViewKind
    total: Total
    about: str


@dataclass(frozen=True, slots=True)
class View:
    """One way to divide memory."""

    columns: Mapping[str, Column]
    shown: tuple[str, ...]
    """Without ``-c``."""
    json: tuple[str, ...]
    """The columns of a JSON object without ``-c``; sizes have ``_bytes`` behind their name."""
    sort: str
    drawn: str
    """The column of a chart without ``-s``."""
    label: str
    """What names a row in a chart."""


def _size(heading: str, about: str, total: Total = Total.SUM) -> Column:
    return Column(heading, ViewKind.SIZE, total, about)


def _count(heading: str, about: str, total: Total = Total.SUM) -> Column:
    return Column(heading, ViewKind.COUNT, total, about)


def _text(heading: str, about: str, total: Total = Total.NOTHING) -> Column:
    return Column(heading, ViewKind.TEXT, total, about)


_SIZES = {
    "swap": _size("Swap", "in swap; pages shared after a fork count in each process"),
    "uss": _size("USS", "resident and its own alone: what would come free if it ended"),
    "pss": _size("PSS", "resident, each shared page divided by the number of its users"),
    "rss": _size("RSS", "resident, shared pages counted in full in each"),
    "vss": _size("VSS", "virtual: addresses taken, with or without memory behind them"),
}
PROCESSES = View(
    columns={
        "pid": _count("PID", "process id", Total.ROWS),
        "user": _text("User", "owner", Total.DISTINCT),
        "name": _text("Name", "name of the program, at most 15 bytes"),
        "command": _text("Command", "command line"),
        "maps": _count("Maps", "number of mappings (reads more, which takes longer)"),
        **_SIZES,
    },
    shown=("pid", "user", "command", "swap", "uss", "pss", "rss"),
    json=("pid", "user", "name", "command", "swap", "uss", "pss", "rss", "vss"),
    sort="pss",
    drawn="pss",
    label="name",
)
USERS = View(
    columns={
        "user": _text("User", "owner"),
        "count": _count("Count", "number of processes"),
        **_SIZES,
    },
    shown=("user", "count", "swap", "uss", "pss", "rss"),
    json=("user", "count", "swap", "uss", "pss", "rss", "vss"),
    sort="pss",
    drawn="pss",
    label="user",
)
MAPPINGS = View(
    columns={
        "map": _text("Map", "what is mapped: a file, or the kernel's name for the area", Total.ROWS),
        "count": _count("Count", "number of mappings"),
        "pids": _count("PIDs", "number of processes that map it"),
        **_SIZES,
        "avguss": _size("AVGUSS", "USS a process", Total.NOTHING),
        "avgpss": _size("AVGPSS", "PSS a process", Total.NOTHING),
        "avgrss": _size("AVGRSS", "RSS a process", Total.NOTHING),
    },
    shown=("map", "pids", "avgpss", "pss"),
    json=("map", "pids", "count", "avgpss", "swap", "uss", "pss", "rss", "vss"),
    sort="pss",
    drawn="pss",
    label="map",
)
SYSTEM = View(
    columns={
        "order": _count("Order", "place in the list", Total.NOTHING),
        "area": _text("Area", "what the memory is used by"),
        "used": _size("Used", "in use"),
        "cache": _size("Cache", "of that: caches that can be given back"),
        "noncache": _size("Noncache", "of that: the rest"),
    },
    shown=("area", "used", "cache", "noncache"),
    json=("area", "used", "cache", "noncache"),
    sort="order",
    drawn="used",
    label="area",
)


def process_rows(held: Iterable[HeldMemory], *, numeric: bool) -> list[Row]:
    """Return a row a process."""
    return [
        {
            "pid": one.pid,
            "user": one.uid if numeric else one.user,
            "name": one.name,
            "command": one.command,
            "maps": one.sums.mappings,
            **_sizes(one.sums),
        }
        for one in held
    ]


def user_rows(held: Iterable[HeldMemory], *, numeric: bool) -> list[Row]:
    """Return a row a user."""
    return [
        {
            "user": uid if numeric else those[0].user,
            "count": len(those),
            **_sizes(added(one.sums for one in those)),
        }
        for uid, those in by_user(held).items()
    ]


def mapping_rows(held: Iterable[HeldMemory]) -> list[Row]:
    """Return a row a name."""
    rows: list[Row] = []
    for name, shared in by_mapping(held).items():
        sums, processes = shared.sums, shared.processes
        averages = {
            "avguss": sums.uss_bytes // processes,
            "avgpss": sums.pss_bytes // processes,
            "avgrss": sums.rss_bytes // processes,
        }
        rows.append({"map": name, "count": sums.mappings, "pids": processes, **_sizes(sums), **averages})
    return rows


def system_rows(meminfo: Meminfo, installed_bytes: int | None) -> list[Row]:
    """Return a row for each of the five parts of the whole machine's memory, which add up to it.

    ``installed_bytes`` is what the machine was built with; without it, what firmware and hardware took is unknown and
    shown as nothing, as the kernel image is, which ``MemTotal`` does not hold either. Raises ProcUnavailableError.
    """
    names = ("MemTotal", "MemFree", "AnonPages", "Mapped", "Buffers", "SReclaimable", "Cached")
    total, free, anonymous, mapped, buffers, reclaimable, cached = (_needed(meminfo, name) for name in names)
    user = anonymous + mapped
    parts = (
        ("firmware/hardware", max((installed_bytes or total) - total, 0), 0),
        ("kernel image", 0, 0),
        ("kernel dynamic memory", total - free - user, buffers + reclaimable + cached - mapped),
        ("userspace memory", user, mapped),
        ("free memory", free, free),
    )
    return [
        {"order": place, "area": area, "used": used, "cache": cache, "noncache": used - cache}
        for place, (area, used, cache) in enumerate(parts)
    ]


def total_row(view: View, rows: Sequence[Row]) -> Row:
    """Return what stands below the rows; empty text where a total means nothing."""
    return {name: _total(column.total, [row[name] for row in rows]) for name, column in view.columns.items()}


def _total(rule: Total, values: list[Value]) -> Value:
    if rule is Total.ROWS:
        return len(values)
    if rule is Total.DISTINCT:
        return len(set(values))
    known = [value for value in values if isinstance(value, int)]
    if rule is Total.SUM:
        return sum(known) if len(known) == len(values) else None
    return ""


def _sizes(sums: Sums) -> Row:
    return {
        "swap": sums.swap_bytes,
        "uss": sums.uss_bytes,
        "pss": sums.pss_bytes,
        "rss": sums.rss_bytes,
        "vss": sums.vss_bytes,
    }


def _needed(meminfo: Meminfo, name: str) -> int:
    value = meminfo.get(name)
    if value is None:
        raise ProcUnavailableError(f"meminfo has no {name}, so the whole machine cannot be shown (-w)")
    return value
