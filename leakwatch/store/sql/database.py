"""The SQL about the database itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import TextClause

TABLE_NAMES = text("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
REVISIONS = text("SELECT version_num FROM alembic_version")
QUICK_CHECK = text("PRAGMA quick_check(1)")


def pragma(name: str) -> TextClause:
    """One of SQLite's settings, by a name of our own choosing."""
    return text(f"PRAGMA {name}")
