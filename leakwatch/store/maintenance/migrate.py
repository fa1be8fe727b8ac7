"""Brings a store to the newest schema.

Alembic costs 20 MB and is needed once a release: the daemon runs this module as a child that ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import leakwatch
from leakwatch.errors import LeakwatchError, StoreBusyError, StoreCorruptError, StoreTooNewError, StoreWriteError
from leakwatch.store.files.driver import connect, translated
from leakwatch.store.files.revision import REVISION, ForeignDatabaseError, revision, too_new

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

    What is not ours to change is left untouched. Raises StoreCorruptError, StoreTooNewError, StoreBusyError or
    StoreWriteError.
    """
    found = _revision_of(path) if path.exists() else None
    if found is not None and found > int(REVISION):
        raise StoreTooNewError(too_new(path, found))
    if found != int(REVISION):
        _migrate_in_child(path)


def _revision_of(path: Path) -> int | None:
    try:
        with translated(path), contextlib.closing(connect(path, "mode=rw")) as driver:
            return revision(driver)
    except ForeignDatabaseError:
        # Not damaged: somebody's data. It must not be set aside as a broken store of ours would be.
        raise StoreTooNewError(f"{path} is a database of another program; set another url under [store]") from None


def _migrate_in_child(path: Path) -> None:
    # The child imports what we import, and nothing from the directory root happens to be in.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; sys.exit(main())"
    argv = [sys.executable, "-P", "-c", code, str(path)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or error
        raise StoreWriteError(
            f"{path}: the migration could not be run ({why}); "
            "allow the daemon more files, processes or memory (ulimit -n, -u, -v; LimitNOFILE=, TasksMax=, MemoryMax=)"
        ) from error
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    for known in (StoreCorruptError, StoreBusyError):
        if done.returncode == known.exit_code:
            raise known(last)
    raise StoreWriteError(f"{path}: migration to schema {REVISION} failed, the store is as it was: {last}")


def upgrade(path: Path, target: str = "head", scripts: Path | None = None) -> None:
    """Run the migrations up to ``target`` in this process, in one transaction: all of them or none."""
    from alembic import command
    from alembic.config import Config

    from leakwatch.store.files import engine

    config = Config()
    config.set_main_option("script_location", str(scripts or scripts_directory()).replace("%", "%%"))
    connection = engine.connect_writer(path)
    try:
        with translated(path):
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    except BaseException:
        engine.roll_back(connection)
        raise
    finally:
        engine.disconnect(connection)


def main() -> int:
    """Migrate the store named by the first argument; errors go to standard error as one line."""
    try:
        upgrade(Path(sys.argv[1]))
    except LeakwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
