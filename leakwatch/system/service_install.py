"""Puts the service on the machine and takes it away again; both may be repeated.

Looks at the Python environment this command runs from with the eyes of the service that shall run from it.

The service has a user of its own that owns nothing, sees no home directories and has a /tmp of its own. An
environment made in a home directory works for whoever made it and for nobody else.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import leakwatch
from leakwatch.config.loading import MOST_BYTES
from leakwatch.errors import PermissionNeededError, UsageError
from leakwatch.system.systemd import UNIT, Manager, ServiceManagerError
from leakwatch.text import outfile
from leakwatch.text.escape import printable
from leakwatch.text.outfile import read_whole

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


MARKER = "@LEAKWATCH@"
"""Stands for the command's path in the unit we ship."""

_PLAIN_PATH = re.compile(r"/[\w./+@:,=-]*", re.ASCII)
"""What needs quoting neither in a unit file (systemd.service(5), "COMMAND LINES") nor in a script's first line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the service's files lie."""

    root: Path = Path("/")

    @property
    def unit(self) -> Path:
        """The unit, among those of the administrator: it is no distribution's package that owns it."""
        return self.root / "etc/systemd/system" / UNIT

    @property
    def drop_ins(self) -> Path:
        """What ``systemctl edit`` writes."""
        return self.unit.with_name(f"{UNIT}.d")

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "etc/leakwatch/config.toml"

    @property
    def state(self) -> Path:
        """Where the store is: a link into /var/lib/private, as ``DynamicUser=`` makes it."""
        return self.root / "var/lib/leakwatch"

    @property
    def private_state(self) -> Path:
        """Where that link leads."""
        return self.root / "var/lib/private/leakwatch"


def shipped(name: str, checkout_name: str) -> Path:
    """Return a file we ship: from the installed package, else from the checkout an editable install runs from."""
    package = Path(leakwatch.__file__).parent
    for candidate in (package / name, package.parent / checkout_name):
        if candidate.is_file():
            return candidate
    raise ServiceManagerError(f"this installation lacks {checkout_name}; install leakwatchd again")


def unit_text(template: str, command: Path) -> str:
    """Return the unit with the command's path in it."""
    if not _PLAIN_PATH.fullmatch(str(command)):
        raise UsageError(
            f"a service cannot run {str(command)!r}: only letters, digits and ./+@:,=_- may be in its path; "
            "use an environment elsewhere, for example /opt/leakwatch"
        )
    return template.replace(MARKER, str(command))


def install(
    layout: Layout,
    manager: Manager,
    command: Path,
    *,
    start: bool,
    say: Callable[[str], None],
    config: Path | None = None,
) -> None:
    """Write unit and configuration, and have systemd run them now, unless told not to, and at every boot.

    ``config`` is a checked file to become the service's configuration, None to keep or begin with the defaults.
    """
    write_unit(layout, command, say)
    if config is None:
        write_config(layout, say)
    else:
        replace_config(layout, config, say)
    manager.call("daemon-reload")
    manager.call("enable", "--quiet", UNIT)
    if not start:
        say(f"It starts at the next boot; to start it now: sudo systemctl start {UNIT}")
        return
    say("Starting it; this waits for the first sampling …")
    _start(manager)
    say("leakwatch watches this machine now, and after every boot.")
    say(f"Next: sudo {command} report      (trends need some hours of data)")
    say("      journalctl -u leakwatch    (what it warned of)")


def write_unit(layout: Layout, command: Path, say: Callable[[str], None]) -> None:
    """Write the unit anew; an operator's changes live in drop-ins."""
    if layout.unit.is_symlink():
        raise ServiceManagerError(
            f"{layout.unit} is a link to {layout.unit.readlink()}, so the service is masked or managed by something "
            f"else; to have it back: sudo systemctl unmask {UNIT}"
        )
    template = shipped(f"_systemd/{UNIT}", f"systemd/{UNIT}").read_text("utf-8")
    _write(layout.unit, unit_text(template, command))
    say(f"Wrote {layout.unit}, which runs: {command} daemon")


def write_config(layout: Layout, say: Callable[[str], None]) -> None:
    """Put the example, which equals the defaults, where there is no configuration yet."""
    if layout.config.exists() or layout.config.is_symlink():
        say(f"Kept {layout.config} as it is")
        return
    _write(layout.config, shipped("_config.example.toml", "config.example.toml").read_text("utf-8"))
    say(f"Wrote {layout.config} with the defaults")


def replace_config(layout: Layout, source: Path, say: Callable[[str], None]) -> None:
    """Make a file the service's configuration; the one before it is kept beside it."""
    text = read_whole(source, MOST_BYTES).decode()
    if layout.config.exists() and (before := layout.config.read_text("utf-8")) != text:
        old = _free_name(layout.config.with_name(layout.config.name + ".old"))
        _write(old, before, mode=layout.config.stat().st_mode & 0o777)
        say(f"Kept the configuration so far as {old}")
    _write(layout.config, text)
    say(f"Wrote {layout.config} from {source}")


def _free_name(path: Path) -> Path:
    """Return the path, or with a number behind it where something is there: what was kept before stays kept."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one))


def uninstall(layout: Layout, manager: Manager, *, purge: bool, say: Callable[[str], None]) -> None:
    """Stop and remove the service; what an operator wrote or we measured goes only when asked for."""
    if layout.unit.exists():
        manager.call("disable", "--now", "--quiet", UNIT)
        layout.unit.unlink()
        manager.call("daemon-reload")
        say(f"Stopped the service and removed {layout.unit}")
    else:
        say(f"There is no {layout.unit}: nothing to stop")
    kept = [path for path in (layout.config.parent, layout.state, layout.drop_ins) if path.exists()]
    if purge:
        # The link last: while it is there, an interrupted purge can be repeated.
        _remove((layout.config.parent, layout.drop_ins, layout.private_state, layout.state), say)
    elif kept:
        say(f"Kept {', '.join(map(str, kept))}; to remove them too: sudo {command_path()} service uninstall --purge")


def _start(manager: Manager) -> None:
    """Restart rather than start: what runs may be the version before this one."""
    try:
        manager.call("restart", UNIT)
    except ServiceManagerError as error:
        raise ServiceManagerError(
            "the service does not start; systemd keeps trying unless only you can help. It says:",
            (*(f"    {line}" for line in manager.tail() or [str(error)]), "more: journalctl -u leakwatch -n 30"),
        ) from error


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, which the world may read by default, all of it or none of it, whatever the caller's umask."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)
    with outfile.file(path, replace=True, mode=mode) as file:
        file.write(text.encode())


def _remove(paths: tuple[Path, ...], say: Callable[[str], None]) -> None:
    for path in paths:
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        else:
            continue
        say(f"Removed {path}")
