"""``leakwatch kernel``: for a terminal the answer, the parts, what limits them, then caches and callers one by one.

For programs: one JSON object, schema 1, plain integer bytes, times in RFC 3339.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from leakwatch.clock import rfc3339
from leakwatch.kernel.account import SLAB_PARTS, TITLES
from leakwatch.kernel.view import FACTS, CacheUse, CallerUse, KernelView, part_changes, sizes
from leakwatch.report.columns import WIDEST, aligned
from leakwatch.report.words import count
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_bytes

UNACCOUNTED = "unaccounted: no counter names it"
ALIASES_SHOWN = 4
TOLD_ALMOST_ALWAYS = frozenset({
    "shmem", "swap_cache", "hugetlb", "vmalloc", "kernel_stacks", "secondary_page_tables", "percpu", "compressed_swap",
    "free_on_cpu_lists",
})  # fmt: skip
"""Parts that every machine may have: one that is not told is missed."""
_KIND = {True: "reclaimable", False: "unreclaimable", None: "unknown"}


def render_text(now: KernelView, then: KernelView | None, top: int) -> str:
    """Return the text, with the ``top`` largest caches and callers."""
    lines = [_headline(now), "", *_parts(now, then), "", *_remarks(now, then)]
    if now.caches:
        lines += ["", *_caches(now.caches, now, then, top)]
    if now.callers:
        lines += ["", *_callers(now.callers, then, top)]
    lines += [""] * bool(now.absences) + [f"Not read: {printable(text)}" for text in now.absences]
    return "\n".join(lines) + "\n"


def _headline(now: KernelView) -> str:
    account, available = now.account, now.facts.get("available_bytes")
    left = f", {format_bytes(available)} available" if available is not None else ""
    rest = format_bytes(account.unaccounted_bytes)
    return f"{format_bytes(account.total_bytes)} of RAM{left}; {rest} of it unaccounted."


def _parts(now: KernelView, then: KernelView | None) -> list[str]:
    account = now.account
    changes = part_changes(now, then) if then else {}
    parts = sorted(account.parts.items(), key=lambda item: item[1], reverse=True)
    named = [(name, TITLES[name], size) for name, size in parts] + [
        ("unaccounted", UNACCOUNTED, account.unaccounted_bytes)
    ]
    rows = [
        (title, format_bytes(size), _share(size, account.total_bytes), *([_change(changes.get(name))] if then else []))
        for name, title, size in named
        if size or changes.get(name)
    ]
    total = account.total_bytes
    grown = [_change(total - then.account.total_bytes)] if then else []
    heading = ("part", "now", "share", *([f"since {rfc3339(then.at_ms)}"] if then else []))
    lines = aligned([heading, *rows, ("total", format_bytes(total), _share(total, total), *grown)])
    none = [TITLES[name] for name, size in parts if not size and not changes.get(name)]
    lines += [f"Nothing in: {'; '.join(none)}."] if none else []
    unknown = [title for name, title in TITLES.items() if name not in account.parts and name in TOLD_ALMOST_ALWAYS]
    return lines + ([f"Unknown, so counted as unaccounted: {'; '.join(unknown)}."] if unknown else [])


def _share(size: int, total: int) -> str:
    return f"{100 * size / total:.1f} %" if total else "-"


def _change(change: int | None) -> str:
    if change is None:
        return "not known"
    return "-" if not change else f"{'+' if change > 0 else ''}{format_bytes(change)}"


def _remarks(now: KernelView, then: KernelView | None) -> list[str]:
    account = now.account
    lines = []
    if account.doubts:
        lines.append(f"The unaccounted size may be wrong by {format_bytes(account.uncertainty_bytes)}:")
        lines += [f"  {format_bytes(doubt.size_bytes)}: {doubt.reason}" for doubt in account.doubts]
    shown = [(title, name) for name, title in FACTS.items() if now.facts.get(name) and name != "available_bytes"]
    if shown:
        lines.append("Outside these parts, or inside them:")
        lines += [f"  {_fact(name, now.facts[name])} {title}{_fact_change(name, now, then)}" for title, name in shown]
    if then is not None and now.booted_ms is not None and then.at_ms < now.booted_ms:
        lines.append(f"The machine rebooted at {rfc3339(now.booted_ms)}, after the earlier values.")
    return lines


def _fact(name: str, value: int) -> str:
    return format_bytes(value) if name.endswith("_bytes") else str(value)


def _fact_change(name: str, now: KernelView, then: KernelView | None) -> str:
    change = now.facts[name] - then.facts[name] if then is not None and name in then.facts else 0
    if not change:
        return ""
    return f" ({_change(change) if name.endswith('_bytes') else f'{change:+d}'})"


def _caches(caches: tuple[CacheUse, ...], now: KernelView, then: KernelView | None, top: int) -> list[str]:
    before = sizes(then.caches) if then and then.caches else None
    chosen = _chosen({one.key: one.taken_bytes for one in caches}, before, top)
    by_key = {one.key: one for one in caches}
    rows = [
        (
            _name(one.key),
            format_bytes(one.taken_bytes),
            *_column(one.key, one.taken_bytes, before),
            format_bytes(one.active_bytes),
            "-" if one.objects is None else str(one.objects),
            _KIND[one.reclaimable],
            _aliases(one.aliases),
        )
        for one in (by_key[key] for key in chosen)
    ]
    heading = ("slab cache", "taken", *_heading(before), "in use", "objects", "kind", "merged with")
    return [*aligned([heading, *rows]), f"{count(len(caches), 'cache')}; {_in_none(caches, now)}."]


def _in_none(caches: tuple[CacheUse, ...], now: KernelView) -> str:
    """Return how much of slab is in no cache, and why where that is known."""
    slab = sum(now.account.parts.get(name, 0) for name in SLAB_PARTS)
    beyond = slab - sum(one.taken_bytes for one in caches)
    if now.slab_above_bytes is not None:
        above = format_bytes(now.slab_above_bytes)
        return f"{format_bytes(max(0, beyond))} of slab is in no cache: single objects above {above}"
    if beyond < 0:
        return f"together {format_bytes(-beyond)} more than slab, unexplained"
    return f"{format_bytes(beyond)} of slab is in no cache, unexplained"


def _callers(callers: tuple[CallerUse, ...], then: KernelView | None, top: int) -> list[str]:
    before = sizes(then.callers) if then and then.callers else None
    by_caller = {one.caller: one for one in callers}
    rows = [
        (
            _name(one.function),
            _name(one.module or "-"),
            format_bytes(one.taken_bytes),
            *_column(one.caller, one.taken_bytes, before),
            "-" if one.areas is None else str(one.areas),
        )
        for one in (by_caller[key] for key in _chosen({c.caller: c.taken_bytes for c in callers}, before, top))
    ]
    return aligned([("vmalloc caller", "module", "taken", *_heading(before), "areas"), *rows])


def _chosen(now: dict[str, int], then: dict[str, int] | None, top: int) -> list[str]:
    """Return the largest, and those that changed most where that can be told, the largest first."""
    by_size = sorted(now, key=now.__getitem__, reverse=True)[:top]
    changed: Iterable[str] = ()
    if then is not None:
        moved = {key: abs(size - then.get(key, 0)) for key, size in now.items() if size != then.get(key, 0)}
        changed = sorted(moved, key=moved.__getitem__, reverse=True)[:top]
    return sorted({*by_size, *changed}, key=now.__getitem__, reverse=True)


def _heading(before: dict[str, int] | None) -> tuple[str, ...]:
    return () if before is None else ("change",)


def _column(key: str, size: int, before: dict[str, int] | None) -> tuple[str, ...]:
    return () if before is None else (_change(size - before.get(key, 0)),)


def _name(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 1]}…"


def _aliases(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - ALIASES_SHOWN} more" if len(names) > ALIASES_SHOWN else ""
    return printable(", ".join(names[:ALIASES_SHOWN])) + more


Use = TypeVar("Use", "CacheUse", "CallerUse")
SCHEMA = 1


def render_json(now: KernelView, then: KernelView | None) -> str:
    """Return the object as indented JSON.

    ``parts`` and ``unaccounted_bytes`` add up to ``total_bytes`` and ``excess_bytes``.
    """
    account = now.account
    content = {
        "schema": SCHEMA,
        "at": rfc3339(now.at_ms),
        "total_bytes": account.total_bytes,
        "parts": dict(account.parts),
        "unaccounted_bytes": account.unaccounted_bytes,
        "excess_bytes": account.excess_bytes,
        "unaccounted_uncertainty_bytes": account.uncertainty_bytes,
        "uncertainty": [{"bytes": doubt.size_bytes, "reason": doubt.reason} for doubt in account.doubts],
        "facts": dict(now.facts),
        "slab_caches": None if now.caches is None else [_cache(one) for one in _by_size(now.caches)],
        "vmalloc_callers": None if now.callers is None else [_caller(one) for one in _by_size(now.callers)],
        "since": None if then is None else _since(now, then),
        "absences": [printable(text) for text in now.absences],
    }
    return json_text(content, indent=1)


def _by_size(uses: tuple[Use, ...]) -> list[Use]:
    return sorted(uses, key=lambda one: one.taken_bytes, reverse=True)


def _cache(one: CacheUse) -> dict[str, Any]:
    return {
        "name": printable(one.key),
        "bytes": one.taken_bytes,
        "active_bytes": one.active_bytes,
        "objects": one.objects,
        "object_bytes": one.object_bytes,
        "reclaimable": one.reclaimable,
        "aliases": [printable(name) for name in one.aliases],
    }


def _caller(one: CallerUse) -> dict[str, Any]:
    return {
        "caller": printable(one.function),
        "module": None if one.module is None else printable(one.module),
        "bytes": one.taken_bytes,
        "areas": one.areas,
    }


def _since(now: KernelView, then: KernelView) -> dict[str, Any]:
    """Return by how much things changed since the earlier moment."""
    parts = part_changes(now, then)
    rest = parts.pop("unaccounted")
    return {
        "at": rfc3339(then.at_ms),
        "same_boot": None if now.booted_ms is None else then.at_ms >= now.booted_ms,
        "total_bytes": now.account.total_bytes - then.account.total_bytes,
        "parts": parts,
        "unaccounted_bytes": rest,
        "facts": {name: value - then.facts[name] for name, value in now.facts.items() if name in then.facts},
        "slab_caches": _changes(sizes(now.caches), sizes(then.caches)),
        "vmalloc_callers": _changes(sizes(now.callers), sizes(then.callers)),
    }


def _changes(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
    """Return the changes by name, the largest first, those of nothing left out; a name that is new or gone counts 0."""
    if not now or not then:
        return {}
    changes = {name: now.get(name, 0) - then.get(name, 0) for name in {**now, **then}}
    ordered = sorted(changes.items(), key=lambda item: abs(item[1]), reverse=True)
    return {printable(name): change for name, change in ordered if change}
