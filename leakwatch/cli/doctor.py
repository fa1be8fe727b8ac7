"""``leakwatch doctor``: what this machine lets leakwatch read, what is missing and which privilege it takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from leakwatch.cli.output import emit
from leakwatch.errors import EXIT_NO_PERMISSION, EXIT_OK
from leakwatch.procfs.fs import ProcFS
from leakwatch.queries.doctor import DoctorLine, diagnose, held_capabilities
from leakwatch.system.service_install import command_path
from leakwatch.text.escape import message

EPILOG = """\
Run it as the user that is to sample. The service (leakwatch service install) has CAP_SYS_PTRACE and
CAP_DAC_READ_SEARCH and nothing else, which is all there is to need.

exit codes:
  0 everything is read that can be read   2 the configuration is wrong   69 /proc unreadable   74 no store can be there
  77 leakwatch works here, but a privilege would show it more
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        parents=[common],
        help=text,
        description="Tries to read everything leakwatch reads and says what is missing, why, and what would help.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--proc", metavar="ROOT", default="/proc", help="the /proc tree to read (default: /proc)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; return its exit code."""
    held = held_capabilities()
    lines = _print(diagnose(ProcFS(args.proc), args.config, held))
    lacking = frozenset().union(*(line.needs for line in lines)) - held
    _print(_conclusion(lines, lacking))
    fatal = next((line.exit_code for line in lines if line.exit_code), EXIT_OK)
    return fatal or (EXIT_NO_PERMISSION if lacking else EXIT_OK)


def _print(lines: Iterable[DoctorLine]) -> list[DoctorLine]:
    """Print each line as it comes: reading thousands of processes takes seconds."""
    done = []
    for line in lines:
        emit(f"{line.state:<8} {message(line.text)}".rstrip() + "\n")
        done.append(line)
    return done


def _conclusion(lines: Iterable[DoctorLine], lacking: frozenset[str]) -> Iterator[DoctorLine]:
    states = {line.state for line in lines}
    yield DoctorLine("", "")
    if "wrong" in states:
        yield DoctorLine("", "leakwatch daemon would not start like this: see what is marked wrong.")
    elif lacking:
        yield DoctorLine("", f"leakwatch works here and would see more with {' and '.join(sorted(lacking))}.")
        if _systemd_runs():
            yield DoctorLine("", f"As a service it has them: sudo {command_path()} service install")
        else:
            yield DoctorLine("", "Run as root it has them, unless a container takes them away.")
    elif states & {"partly", "missing"}:
        yield DoctorLine("", "Everything is read that can be read here; no privilege would show more.")
    else:
        yield DoctorLine("", "Everything leakwatch reads can be read here.")


def _systemd_runs() -> bool:
    return Path("/run/systemd/system").is_dir()
