"""What the verbs that read captured files share: their unit, their series, what ``--exit-code`` makes of them."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from leakwatch.analysis.replay.capture import Capture
from leakwatch.cli.output import complain
from leakwatch.errors import UsageError
from leakwatch.report.conclusion import Outcome, Tally, conclude

if TYPE_CHECKING:
    import argparse

FILES_RULE = """\
--exit-code ends with 1 when something shown {leaks}, else with 3 when nothing is decided in one of the files, too
little data or none, else with 0. Some series of a file may be learning still: give what you test in a file of its own.
"""
LEAST_ROOM = 160 << 20
"""Bytes of address space that numpy's library takes, which ends the process with 1, "something leaks", without them."""


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Add what a captured file's values are, where it does not say so itself."""
    parser.add_argument(
        "--unit",
        metavar="UNIT",
        help="of the file's values: B, kB or KiB (1024 bytes), MiB, GiB, MB, GB (default: B, or what the file says)",
    )


def captured(path: str, unit: str | None) -> tuple[list[Capture], str]:
    """Return a captured file's series, and what shows that its values are in another unit, empty where nothing does.

    That is said on standard error as well. Raises UsageError and what ``sources.tidy.read_captures`` raises.
    """
    mmap.mmap(-1, LEAST_ROOM).close()
    from leakwatch.importers.scales import ACCEPTED, doubt_of, factor_of  # noqa: PLC0415
    from leakwatch.importers.tidy import read_captures  # noqa: PLC0415 - with room for numpy

    factor = None if unit is None else factor_of(unit)
    if unit is not None and factor is None:
        raise UsageError(f"--unit: {unit!r} is no unit that is known; {ACCEPTED}")
    captures = read_captures(path, factor)
    doubt = doubt_of(captures) if factor is None else ""
    if doubt:
        complain(f"{'stdin' if path == '-' else path}: {doubt}")
    return captures, doubt


def concluded(found: Tally, *, leaks: bool) -> int:
    """Return the exit code captured series come to, and say on standard error why they are not decided."""
    outcome = conclude(found, leaks=leaks)
    if outcome is Outcome.UNDECIDED:
        complain(f"not decided: {found.undecided} still learning, {found.decided} decided; capture for longer")
    return outcome.exit_code
