"""A ``Config`` as TOML, and the commented example that ships with leakwatch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import leakwatch
from leakwatch.config.keys import SECTIONS
from leakwatch.config.notation import exact_count_rate, exact_duration, exact_rate, exact_size, quoted
from leakwatch.config.schema import Config
from leakwatch.errors import LeakwatchError


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
