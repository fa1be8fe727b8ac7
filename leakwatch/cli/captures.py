"""What the verbs that read captured files share: their unit, their series, what ``--exit-code`` makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.cli.output import complain
from leakwatch.errors import UsageError
from leakwatch.importers.files import CapturedFile, name_of, open_captures
from leakwatch.importers.scales import ACCEPTED, factor_of
from leakwatch.report.conclusion import Outcome, Tally, conclude

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

FILES_RULE = """\
--exit-code ends with 1 when something shown {leaks}, else with 3 when nothing is decided in one of the files, too
little data or none, else with 0. Some series of a file may be learning still: give what you test in a file of its own.
"""


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Add what a captured file's values are, where it does not say so itself."""
    parser.add_argument(
        "--unit",
        metavar="UNIT",
        help="of the file's values: B, kB or KiB (1024 bytes), MiB, GiB, MB, GB (default: B, or what the file says)",
    )


def captured(paths: Iterable[str], unit: str | None) -> Iterator[CapturedFile]:
    """Yield captured files as they are read; say on standard error where values seem to be in another unit.

    Raises UsageError and what ``open_captures`` raises.
    """
    factor = None if unit is None else factor_of(unit)
    if unit is not None and factor is None:
        raise UsageError(f"--unit: {unit!r} is no unit that is known; {ACCEPTED}")
    for file in open_captures(paths, factor):
        if file.doubt:
            complain(f"{name_of(file.path)}: {file.doubt}")
        yield file


def concluded(found: Tally, *, leaks: bool) -> int:
    """Return the exit code captured series come to, and say on standard error why they are not decided."""
    outcome = conclude(found, leaks=leaks)
    if outcome is Outcome.UNDECIDED:
        complain(f"not decided: {found.undecided} still learning, {found.decided} decided; capture for longer")
    return outcome.exit_code
