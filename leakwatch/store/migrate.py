"""Brings a store to the newest schema.

Alembic costs 20 MB and is needed once a release: the daemon runs this module as a child that ends.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import leakwatch
from leakwatch.errors import StoreCorruptError, StoreTooNewError, StoreWriteError
from leakwatch.store import engine, schema

TIMEOUT_S = 3600
"""A migration may rewrite a store of gigabytes on a slow card; a hang must still end."""


def scripts_directory() -> Path:
    """Return where the migrations lie: in the installed package, else in the checkout beside it."""
    package = Path(leakwatch.__file__).parent
    for directory in (package / "_migrations", package.parent / "migrations"):
        if (directory / "env.py").is_file():
            return directory
    raise StoreWriteError(f"the migrations are missing from {package}; install leakwatchd again")


def ensure_schema(path: Path) -> None:
    """Create or migrate the store at ``path`` where needed, in a child process.

    Raises StoreCorruptError, StoreTooNewError or StoreWriteError.
    """
    connection = engine.connect_writer(path)
    try:
        with engine.translated(path):
            found = engine.revision(connection)
    except engine.ForeignDatabaseError:
        # Not damaged: somebody's data. It must not be set aside as a broken store of ours would be.
        raise StoreTooNewError(f"{path} is a database of another program; set another url under [store]") from None
    finally:
        engine.disconnect(connection)
    if found is not None and found > int(schema.REVISION):
        raise StoreTooNewError(engine.too_new(path, found))
    if found != int(schema.REVISION):
        _migrate_in_child(path)


def _migrate_in_child(path: Path) -> None:
    argv = [sys.executable, "-m", "leakwatch.store.migrate", str(path)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreWriteError(f"{path}: the migration could not be run: {error}") from error
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    if done.returncode == StoreCorruptError.exit_code:
        raise StoreCorruptError(last)
    raise StoreWriteError(f"{path}: migration to schema {schema.REVISION} failed, the store is as it was: {last}")


def upgrade(path: Path, revision: str = "head") -> None:
    """Run the migrations up to ``revision`` in this process, in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    connection = engine.connect_writer(path)
    try:
        with engine.translated(path):
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
    finally:
        engine.disconnect(connection)


def main() -> int:
    """Migrate the store named by the first argument; errors go to standard error as one line."""
    try:
        upgrade(Path(sys.argv[1]))
    except (StoreCorruptError, StoreWriteError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
