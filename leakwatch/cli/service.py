"""``leakwatch service``: has systemd run the daemon, from now on and at every boot."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from leakwatch.cli.output import emit
from leakwatch.config import load_config
from leakwatch.errors import EXIT_OK, PermissionNeededError
from leakwatch.system.service_install import (
    Layout,
    command_path,
    install,
    require_readable,
    this_environment,
    uninstall,
)
from leakwatch.system.systemd import Systemctl
from leakwatch.text.escape import printable

EPILOG = """\
examples:
  sudo leakwatch service install               start it now and at every boot
  sudo leakwatch service install --no-start    only at every boot
  sudo leakwatch service install --config my.toml   with this as /etc/leakwatch/config.toml
  sudo leakwatch service uninstall             stop it; configuration and data stay
  sudo leakwatch service uninstall --purge     and remove these, too

Installing again, after an upgrade say, writes the unit anew and restarts the service. Your own changes to the unit
belong into `systemctl edit leakwatch`, those to the thresholds into /etc/leakwatch/config.toml: both are kept.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add ``service install`` and ``service uninstall``."""
    parser = verbs.add_parser(
        "service",
        help=text,
        description="Installs leakwatch as a systemd service of least privilege, or removes it. Needs root.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser("install", parents=[common], help="start it now and at every boot")
    install.add_argument("--no-start", action="store_true", help="start it at the next boot only")
    uninstall = actions.add_parser(
        "uninstall", parents=[common], help="stop and remove it; configuration and data stay"
    )
    uninstall.add_argument("--purge", action="store_true", help="remove configuration and data, too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Install or uninstall."""
    _require_root(args.action)

    manager = Systemctl()
    if args.action == "install":
        environment = this_environment()
        require_readable(environment)
        config = _checked(args.config)
        install(Layout(), manager, environment.command, start=not args.no_start, config=config, say=_say)
    else:
        uninstall(Layout(), manager, purge=args.purge, say=_say)
    return EXIT_OK


def _checked(config: str | None) -> Path | None:
    """Return the configuration to install. Raises ConfigError: a service that cannot start is not installed."""
    if config is None:
        return None

    if url := load_config(config).store.url:
        _say(
            f"Note: the service may write below /var/lib/leakwatch only; it will not start with url = {url!r} elsewhere"
        )
    return Path(config)


def _require_root(action: str) -> None:
    if os.geteuid() == 0:
        return

    # By its full path: sudo's own search path leaves out where virtual environments are.
    again = f"sudo {command_path()} {' '.join(sys.argv[1:])}"
    raise PermissionNeededError(f"service {action} changes /etc/systemd/system, so it needs root: {again}")


def _say(line: str) -> None:
    emit(f"{printable(line)}\n")
