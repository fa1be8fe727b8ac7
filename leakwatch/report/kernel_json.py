"""``leakwatch kernel`` for programs: one JSON object, schema 1, plain integer bytes, times in RFC 3339."""

from __future__ import annotations

from typing import Any, TypeVar

from leakwatch.clock import rfc3339
from leakwatch.kernel.view import CacheUse, CallerUse, KernelView, part_changes, sizes
from leakwatch.text.escape import json_text, printable

Use = TypeVar("Use", "CacheUse", "CallerUse")
SCHEMA = 1


def render(now: KernelView, then: KernelView | None) -> str:
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
