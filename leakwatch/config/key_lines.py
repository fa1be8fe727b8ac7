"""In which line of a TOML text a key stands: tomllib does not tell, so the text is scanned once more.

Best effort: what looks like a key inside a multi-line string may mislead it; the message is then a line off, no more.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache

Path = tuple[str, ...]
MOST_SIGNS = 20
"""Of "=" in a line that the key may reach to."""


def line_of(text: str, path: Path) -> int | None:
    """Return the line (from 1) of the key or table, else of the nearest table or key around it."""
    index = _index(text)
    return next((index[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in index), None)


# Of the text at hand only: a file full of mistakes asks for each of them.
@lru_cache(maxsize=1)
def _index(text: str) -> dict[Path, int]:
    index: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            header = _path_in(stripped)
            table = header or table
            _note(index, header, number)
        elif "=" in stripped:
            _note(index, _path_before_value(table, stripped), number)
    return index


def _note(index: dict[Path, int], path: Path, number: int) -> None:
    # A header or a dotted key is also where the tables around it were first mentioned.
    for depth in range(1, len(path) + 1):
        index.setdefault(path[:depth], number)


def _path_before_value(table: Path, line: str) -> Path:
    # A quoted key may contain "=" itself: take the first split that is a key.
    at = line.find("=")
    for _ in range(MOST_SIGNS):
        if at < 0:
            break
        key = _path_in(f"{line[:at]}=0")
        if key:
            return table + key
        at = line.find("=", at + 1)
    return ()


def _path_in(statement: str) -> Path:
    """Return the keys of a TOML text of one statement, from outside in; empty when it is none."""
    try:
        inner: object = tomllib.loads(statement)
    except (ValueError, RecursionError):
        return ()
    path: list[str] = []
    while isinstance(inner, dict | list) and inner:
        if isinstance(inner, list):  # [[table]]
            inner = inner[0]
            continue
        key, inner = next(iter(inner.items()))
        path.append(key)
    return tuple(path)
