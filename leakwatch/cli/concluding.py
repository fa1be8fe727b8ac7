"""What ``--exit-code`` of several verbs says and does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.report.conclusion import Tally

HELP = "end with 1 when something shown leaks, 3 when nothing is decided yet, 4 without recent samples"
ALARM_HELP = "end with 1 when something would have been alarmed, 3 when nothing is decided"
REPORT_RULE = """\
--exit-code ends with the first of these that holds:
  1  something shown leaks, or leaked until it ended or was restarted, if that was since --since (a day)
  4  there are no recent samples: nothing is measured
  3  all processes, or all kernel caches, that the options ask about are still learning, or none matches
  0  the rest. New processes are always learning, so name what you test: --unit shop.service --exit-code
"""
FILES_RULE = """\
--exit-code ends with 1 when something shown {leaks}, else with 3 when nothing is decided in one of the files, too
little data or none, else with 0. Some series of a file may be learning still: give what you test in a file of its own.
"""


def concluded(found: Tally, *, leaks: bool) -> int:
    """Return the exit code captured series come to, and say on standard error why they are not decided."""
    from leakwatch.cli.output import complain
    from leakwatch.report.conclusion import Outcome, conclude

    outcome = conclude(found, leaks=leaks)
    if outcome is Outcome.UNDECIDED:
        complain(f"not decided: {found.undecided} still learning, {found.decided} decided; capture for longer")
    return outcome.exit_code
