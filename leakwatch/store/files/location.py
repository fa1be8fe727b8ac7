"""Where the store lies: what the configuration says, else where the service or this user keeps it."""

from __future__ import annotations

import os
from pathlib import Path

from leakwatch.errors import UsageError

FILE_NAME = "leakwatch.db"
SERVICE_DIRECTORY = Path("/var/lib/leakwatch")
"""StateDirectory= of the unit; with a dynamic user a link into /var/lib/private, which only root may enter."""
_PREFIX = "sqlite:///"


def path_of_url(url: str) -> Path:
    """Return the file an ``sqlite:///`` URL names. Raises UsageError for other databases."""
    if not url.startswith(_PREFIX):
        raise UsageError(f"store url {url!r}: only SQLite is supported, as in sqlite:////var/lib/leakwatch/{FILE_NAME}")
    return Path(url.removeprefix(_PREFIX))


def _user_directory() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "leakwatch"


def writer_path(url: str) -> Path:
    """Return where the daemon keeps its store: the URL, else systemd's directory, else this user's."""
    if url:
        path = path_of_url(url)
        # Lock and set-aside copies belong beside the file itself: a link is a second name, not a second store.
        return path.resolve() if path.is_symlink() else path
    state = os.environ.get("STATE_DIRECTORY")
    if state:  # systemd joins several with colons; ours is the first
        return Path(state.split(":")[0]) / FILE_NAME
    directory = SERVICE_DIRECTORY if os.geteuid() == 0 else _user_directory()
    return directory / FILE_NAME


def reader_paths(url: str) -> tuple[Path, ...]:
    """Return where to look for a store to read, best first: the service's before one's own."""
    if url:
        return (path_of_url(url),)
    state = os.environ.get("STATE_DIRECTORY")
    directories = ([Path(state.split(":")[0])] if state else []) + [SERVICE_DIRECTORY, _user_directory()]
    return tuple(directory / FILE_NAME for directory in directories)
