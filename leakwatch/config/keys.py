"""The keys a configuration may have: TOML table and key → field of the schema, and how its value is read.

The bounds only stop what cannot be meant; what is merely unwise is the operator's to choose.

A ``Config`` as TOML, and the commented example that ships with leakwatch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import leakwatch
from leakwatch.config.schema import DAY_S, GIB, KIB, MIB, Config, OverrideKind, Sensitivity
from leakwatch.config.values import (
    Reader,
    boolean,
    count,
    count_rate,
    duration,
    exact_count_rate,
    exact_duration,
    exact_rate,
    exact_size,
    one_of,
    patterns,
    quoted,
    rate,
    ratio,
    size,
    sqlite_url,
    windows,
)
from leakwatch.errors import LeakwatchError
from leakwatch.text.redact import CommandLines

OVERRIDE_KINDS: tuple[str, ...] = get_args(OverrideKind)

LONGEST_S = 3650 * DAY_S
"""Ten years: longer than machines run."""
LARGEST_BYTES = 1 << 50
"""1 PiB: more memory than any machine has."""
LARGEST_STORE_BYTES = 1 << 44
"""16 TiB: the largest file of ext4."""
MOST_WINDOWS = 8
"""Each window costs a fit of every series."""
LONGEST_WINDOW_S = 365 * DAY_S
"""A year: no machine goes longer without a restart that ends the series."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the field it sets and how its value is read."""

    field: str
    read: Reader


SECTIONS: dict[str, dict[str, Key]] = {
    "sampling": {
        # 0.1 s: reading a busy /proc takes about as long. 1 d: a day between samples finds nothing in time.
        "interval": Key("interval_s", duration(0.1, DAY_S)),
        # 1000: at the default interval that is 17 h already.
        "slow_every": Key("slow_every", count(1, 1000)),
        # 4 KiB: a page. 1 GiB: whoever means to see leaks of less than that must not choose more.
        "tolerance": Key("tolerance_bytes", size(4 * KIB, GIB)),
        "max_age": Key("max_age_s", duration(1, DAY_S)),
        "cpu_budget": Key("cpu_budget", ratio),
        # 1 ms: the least process takes a tenth of it. 1 h: for "whatever it takes".
        "max_stall": Key("max_stall_s", duration(0.001, 3600)),
    },
    "analysis": {
        # 2 s: the shortest span of whole seconds that holds 12 of the shortest intervals.
        "windows": Key("windows_s", windows(MOST_WINDOWS, LONGEST_WINDOW_S)),
    },
    "store": {
        "url": Key("url", sqlite_url),
        "keep_samples": Key("keep_samples_s", duration(1, LONGEST_S)),
        "keep_blocks": Key("keep_blocks_s", duration(1, LONGEST_S)),
        # 8 MiB: the schema, its indices and one transaction of a large machine have to fit.
        "max_size": Key("max_size_bytes", size(8 * MIB, LARGEST_STORE_BYTES)),
        # 1 MiB: some seals of a small machine, of which the oldest goes as a whole.
        "max_samples_size": Key("max_samples_bytes", size(MIB, LARGEST_STORE_BYTES)),
        "max_blocks_size": Key("max_blocks_bytes", size(MIB, LARGEST_STORE_BYTES)),
    },
    "thresholds": {
        "sensitivity": Key("sensitivity", one_of(*get_args(Sensitivity))),
        "min_rate": Key("min_rate_bytes_per_hour", rate(1, LARGEST_BYTES)),
        "min_growth": Key("min_growth_bytes", size(1, LARGEST_BYTES)),
        "min_growth_ratio": Key("min_growth_ratio", ratio),
        # 1000000: the largest number of open files Linux allows a process by default.
        "min_count_rate": Key("min_rate_count_per_hour", count_rate(0.001, 1_000_000)),
        "min_count_growth": Key("min_growth_count", count(1, 1_000_000)),
        "horizon": Key("horizon_s", duration(1, LONGEST_S)),
    },
    "evidence": {
        "when_confirmed": Key("when_confirmed", boolean),
        "keep": Key("keep_s", duration(1, LONGEST_S)),
        # 1 MiB: a bundle or two.
        "max_size": Key("max_size_bytes", size(MIB, LARGEST_STORE_BYTES)),
    },
    "privacy": {
        "command_lines": Key("command_lines", one_of(*get_args(CommandLines))),
    },
    "ignore": {
        "services": Key("services", patterns),
        "processes": Key("processes", patterns),
        "users": Key("users", patterns),
        "kernel": Key("kernel", patterns),
    },
}

EVERY_KEY = frozenset((section, key) for section, keys in SECTIONS.items() for key in keys)


def unknown_table(name: str) -> str:
    """Return what is wrong with a table we do not have, and the nearest we have."""
    nearest = _nearest(name, SECTIONS)
    tables = ", ".join(f"[{section}]" for section in SECTIONS)
    return f"unknown table; did you mean [{nearest}]?" if nearest else f"unknown table; the tables are {tables}"


def unknown_override(name: str) -> str:
    """Return what is wrong with a table below [thresholds] that is none of the kinds."""
    nearest = _nearest(name, OVERRIDE_KINDS)
    if nearest:
        return f"unknown table; did you mean [thresholds.{nearest}]?"
    kinds = ", ".join(OVERRIDE_KINDS)
    return f"unknown table; write [thresholds.KIND.{quoted(name)}] with KIND one of {kinds}"


def unknown_key(section: str, name: str) -> str:
    """Return what is wrong with a key its table does not have, and the nearest there is, in this table or another."""
    keys = SECTIONS.get(section, {})
    if nearest := _nearest(name, keys):
        return f"unknown key; did you mean {nearest}?"
    homes = {key: home for home, others in SECTIONS.items() for key in others}
    if nearest := _nearest(name, homes):
        return f"unknown key; did you mean {nearest} below [{homes[nearest]}]?"
    return f"unknown key; [{section}] has {', '.join(keys)}" if keys else "unknown key; keys stand below a [table]"


def _nearest(name: str, valid: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name.lower(), list(valid), n=1)), "")


def render_config(config: Config) -> str:
    """Return TOML of every effective value; reading it gives an equal ``Config`` apart from its sources."""
    tables = [_table(section, section, getattr(config, section)) for section in SECTIONS]
    tables += [
        _table(f"thresholds.{override.kind}.{quoted(override.pattern)}", "thresholds", override.thresholds)
        for override in config.overrides
    ]
    return "\n".join(tables)


def default_toml() -> str:
    """Return the text of config.example.toml: the defaults, each with its unit and its reason."""
    package = Path(leakwatch.__file__).parent
    # The wheel carries the example inside the package; a checkout has it beside the package.
    for path in (package / "_config.example.toml", package.parent / "config.example.toml"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise LeakwatchError("config.example.toml is missing from this installation; install leakwatch again")


def _table(header: str, section: str, values: object) -> str:
    lines = (f"{name} = {_value(key.field, getattr(values, key.field))}" for name, key in SECTIONS[section].items())
    return "\n".join([f"[{header}]", *lines, ""])


def _value(field: str, value: Any) -> str:
    if isinstance(value, tuple):
        return _list(_value(field, item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    for suffix, exact in _EXACT:
        if field.endswith(suffix):
            return quoted(exact(value))
    return repr(value)


_EXACT = (
    ("_count_per_hour", exact_count_rate),
    ("_per_hour", exact_rate),
    ("_s", exact_duration),
    ("_bytes", exact_size),
)


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"
