"""``leakwatch explain``: every test behind one verdict, in sentences, and what would change it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from leakwatch.analysis.replay.capture import settings_of
from leakwatch.cli.captures import add_unit, captured
from leakwatch.cli.output import emit, shows_colours
from leakwatch.clock import SystemClock
from leakwatch.config import PrivacyConfig, load_config
from leakwatch.errors import EXIT_OK, UsageError
from leakwatch.explain import captured as captured_case
from leakwatch.explain import next_text, text
from leakwatch.explain.case import Case
from leakwatch.explain.stored import case_of, find
from leakwatch.model.identity import ProcessInfo
from leakwatch.model.verdict import FindingKind, Verdict
from leakwatch.nextsteps.locate import patient_or_nobody
from leakwatch.nextsteps.toolbox import facts_here
from leakwatch.procfs.fs import ProcFS
from leakwatch.queries.report import open_store, read_report
from leakwatch.report.build import Filters, ReportRow
from leakwatch.report.summary import alarm
from leakwatch.store.read.reader import Reader

EPILOG = """\
examples:
  sudo leakwatch explain shop.service               why it is, or is not, called a leak; what comes next
  sudo leakwatch explain shop.service --next        what to do: the commands, what each needs, costs and risks
  sudo leakwatch explain s41b17577 --format json    by the id a report shows; for programs
  leakwatch explain --file capture.csv 'proc/shop[812]'

ID is a finding's id, its incident's, a process id, or a name only one of them has, as "leakwatch report --verdict all"
lists them. What is called leak is consistent with a leak: from outside nobody can tell more. A name that is unknown,
or that of several findings, ends with exit code 67.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "explain",
        parents=[common],
        help=text,
        description="Explains one verdict: every test with what was measured and what was asked for, which window "
        "decided, what confirmation waits for, what would change the verdict and when at the earliest, and where to "
        "look next.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="ID|NAME", help="finding; with --file, the series")
    parser.add_argument("--file", metavar="FILE", help="explain a captured series instead: tidy CSV, - for stdin")
    add_unit(parser)
    parser.add_argument("--next", action="store_true", help="what to do next, in full: commands, tools, cost and risk")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    if args.unit is not None and args.file is None:
        raise UsageError("--unit is for --file; stored history is in bytes")
    now_ms = SystemClock().now().wall_ms
    case = _stored(args, now_ms) if args.file is None else _captured(args)
    if args.next:
        emit(next_text.as_json(case, now_ms) if args.format == "json" else next_text.render(case))
    elif args.format == "json":
        emit(text.render_json(case, now_ms))
    else:
        emit(text.render(case, now_ms, colour=shows_colours()), colour=shows_colours())
    return EXIT_OK


def _captured(args: argparse.Namespace) -> Case:
    settings = settings_of(load_config(args.config))
    (file,) = captured([args.file], args.unit)
    return captured_case.case_of(file.captures, args.name, settings)


def _stored(args: argparse.Namespace, now_ms: int) -> Case:
    if args.name is None:
        raise UsageError("explain: which one; give a finding's id or a name, as leakwatch report --verdict all lists")
    config = load_config(args.config)
    reader: Reader = open_store(config.store.url)
    try:
        report = read_report(reader, Filters(verdicts=frozenset(Verdict)), now_ms)
        row, processes = find(report.rows, args.name), reader.processes()
        case = case_of(
            row,
            config,
            report.host,
            suspicions=reader.suspicions(),
            processes=processes,
            every_s=reader.states().get("evaluation", {}).get("every_s"),
            alarm=alarm(report),
            offset_ms=reader.stamps.offset_ms,
        )
        return _looked_into(case, row, processes, config.privacy)
    finally:
        reader.close()


def _looked_into(case: Case, row: ReportRow, processes: Sequence[ProcessInfo], privacy: PrivacyConfig) -> Case:
    """Return the case with what this machine tells about the process or the kernel, for the next steps."""
    finding = row.finding
    if finding.kind is FindingKind.KERNEL:
        return replace(case, facts=facts_here(finding.name.partition("@")[0]))
    procfs = ProcFS(command_lines=privacy.command_lines)
    return replace(case, patient=patient_or_nobody(procfs, finding, processes))
