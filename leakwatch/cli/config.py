"""``leakwatch config``: check the configuration, show what is in force, print the commented example."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from leakwatch.cli.output import emit
from leakwatch.config import ETC, Config, default_toml, load_config, render_config
from leakwatch.text.escape import printable

_ACTIONS = {
    "check": "tell whether the configuration is valid, else everything that is wrong with it",
    "show": "print the values in force as TOML",
    "default": "print every setting with its default and its reason, to start a file from",
}

_EPILOG = """\
examples:
  leakwatch config check                       /etc/leakwatch/config.toml and its conf.d
  leakwatch config check --config new.toml     a file before it is put in place
  leakwatch config default | sudo tee /etc/leakwatch/config.toml
"""


def add_parser(verbs: argparse._SubParsersAction[Any], common: argparse.ArgumentParser, text: str) -> None:
    """Add the verb and its actions to the command line's grammar."""
    parser = verbs.add_parser(
        "config",
        parents=[common],
        help=text,
        description=__doc__.partition(": ")[2].capitalize(),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, purpose in _ACTIONS.items():
        action = actions.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
        # Not from ``common``: its default would overwrite a --config given before the action.
        action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration to look at")


def run(args: argparse.Namespace) -> int:
    """Run one action; a wrong configuration raises ConfigError, which the command reports with exit code 2."""
    actions: dict[str, Callable[[argparse.Namespace], str]] = {"check": _check, "show": _show, "default": _default}
    emit(actions[args.action](args))
    return 0


def _check(args: argparse.Namespace) -> str:
    return f"configuration is valid\n{_sources(_load(args), '  ')}"


def _show(args: argparse.Namespace) -> str:
    config = _load(args)
    return f"# The values in force.\n{_sources(config, '# ')}\n{render_config(config)}"


def _default(_args: argparse.Namespace) -> str:
    return default_toml()


def _load(args: argparse.Namespace) -> Config:
    return load_config(args.config)


def _sources(config: Config, indent: str) -> str:
    if not config.sources:
        return f"{indent}no file in {ETC}: all defaults\n"
    return "".join(f"{indent}read {printable(source)}\n" for source in config.sources)
