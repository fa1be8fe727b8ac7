"""Looks at the Python environment this command runs from with the eyes of the service that shall run from it.

The service has a user of its own that owns nothing, sees no home directories and has a /tmp of its own. An
environment made in a home directory works for whoever made it and for nobody else.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from leakwatch.errors import PermissionNeededError
from leakwatch.text.escape import printable

HIDDEN = tuple(Path(path) for path in ("/root", "/home", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108 - not used
"""What ``ProtectHome=yes`` and ``PrivateTmp=yes`` take out of the unit's sight."""

REMEDY = (
    "install leakwatch where a service can read it: "
    "sudo python3 -m venv /opt/leakwatch && sudo /opt/leakwatch/bin/pip install leakwatchd "
    "&& sudo /opt/leakwatch/bin/leakwatch service install"
)

_PROBE = """\
import json, os, sys, leakwatch
package = os.path.dirname(leakwatch.__file__)
print(json.dumps([sys.executable, sys.base_prefix, sys.base_exec_prefix, package, *sys.path]))
"""
_PROBE_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a leakwatch is installed."""

    command: Path
    """Its ``leakwatch``, absolute, not resolved: a virtual environment is known by where its links lie."""
    prefix: Path
    paths: tuple[Path, ...]
    """All it needs to start: the interpreter, the one below it, the standard library and every package directory."""


def command_path() -> Path:
    """Return where this environment's ``leakwatch`` is: what a service runs and a message tells people to type."""
    return Path(sysconfig.get_path("scripts")) / "leakwatch"


def this_environment() -> Environment:
    """Return the environment this process runs from, as a process without ours' variables and directory sees it.

    Raises PermissionNeededError where leakwatch is found only thanks to them (PYTHONPATH, ``pip install --user``).
    """
    command = command_path()
    if not command.is_file():
        raise PermissionNeededError(f"{command} is missing, so a service cannot run it; {REMEDY}")
    probe = subprocess.run(
        [sys.executable, "-I", "-c", _PROBE],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=_PROBE_TIMEOUT_S,
    )
    if probe.returncode:
        raise PermissionNeededError(
            f"{sys.executable} finds leakwatch only with your own settings (PYTHONPATH, pip install --user); {REMEDY}"
        )
    # An entry of sys.path that does not exist is allowed to (python311.zip never does).
    needed = [path for path in map(Path, json.loads(probe.stdout)) if path.exists()]
    return Environment(command, Path(sys.prefix), (command, *needed))


def require_readable(environment: Environment, hidden: tuple[Path, ...] = HIDDEN) -> None:
    """Raise PermissionNeededError, with the way out, where the service could not run from this environment."""
    for path in environment.paths:
        for cover in hidden:
            if _covers(cover, path):
                raise PermissionNeededError(
                    f"the service cannot see {printable(str(path))}: it is below {cover}, "
                    f"which its sandbox hides; {REMEDY}"
                )
    for path in environment.paths:
        if (closed := first_closed(path)) is not None:
            raise PermissionNeededError(
                f"the service's user may not read {printable(str(closed))}; open it and install again: "
                f"sudo chmod {_opening(closed, environment.prefix)}"
            )


def first_closed(path: Path) -> Path | None:
    """Return the first directory or file on the way to ``path`` that a user who is nobody may not pass, or None.

    The service's capability would open directories to it, but not to the part of systemd that starts its command, and
    it may be missing in a container.
    """
    for way in _ways(path):
        for step in reversed(way.parents):
            if not step.stat().st_mode & stat.S_IXOTH:
                return step
        mode = way.stat().st_mode
        needed = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode & needed != needed:
            return way
    return None


def _covers(cover: Path, path: Path) -> bool:
    real = Path(os.path.realpath(cover))
    return any(way.is_relative_to(top) for way in _ways(path) for top in (cover, real))


def _ways(path: Path) -> tuple[Path, ...]:
    """Return the path as it is written and as its links resolve: both have to be passed."""
    written = Path(os.path.abspath(path))  # noqa: PTH100 - pathlib would resolve the links
    return tuple(dict.fromkeys((written, written.resolve())))


def _opening(closed: Path, prefix: Path) -> str:
    """Return chmod's arguments: an environment made under a strict umask is opened as a whole, /usr never is."""
    whole = closed.is_relative_to(prefix) and prefix != Path("/usr")
    return f"-R o+rX {prefix}" if whole else f"o+rX {closed}"
