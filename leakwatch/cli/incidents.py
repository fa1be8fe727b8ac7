"""``leakwatch incidents``: what was found over time, who knows of it, and what is to be quiet."""

from __future__ import annotations

import argparse
import os
import pwd
from pathlib import Path

from leakwatch.cli.arguments import duration
from leakwatch.cli.output import emit
from leakwatch.clock import SystemClock
from leakwatch.config import load_config
from leakwatch.errors import EXIT_OK, UsageError
from leakwatch.model.incident import Acknowledgement, IncidentState, Silence
from leakwatch.model.timeline import Stamps
from leakwatch.model.verdict import Phrase, said
from leakwatch.queries.report import open_store
from leakwatch.report import incidents, phrases
from leakwatch.report.growth_words import course
from leakwatch.report.incidents import IncidentEntry, entries, find
from leakwatch.store.incident.marks import Marker
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import as_text, printable

LONGEST_SILENCE_S = 366 * 86_400
"""A year: a silence is to end before nobody remembers it; what is never to be reported belongs below [ignore]."""
LONGEST_REASON = 500

EPILOG = """\
examples:
  sudo leakwatch incidents                              what is suspected or confirmed, with who knows of it
  sudo leakwatch incidents --all --format json          the resolved ones, too
  sudo leakwatch incidents show i41b17577               everything that happened to one
  sudo leakwatch incidents ack shop.service --reason 'fixed in 2.3, rolled out on Monday'
  sudo leakwatch incidents silence i41b17577 --for 3d --reason 'load test'
  sudo leakwatch incidents unsilence i41b17577

ID is an incident's id, a finding's id or a name only one of them has. What is acknowledged is not warned of again
until it comes back after it was resolved. What is silenced is not warned of until then, and warned of again after that
if it still leaks. Both work while the daemon runs, which minds them from its next evaluation on, and while it is
stopped. An unknown ID ends with exit code 67.
"""


def add_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser, text: str
) -> None:
    """Add the verb and its actions."""
    parser = verbs.add_parser(
        "incidents",
        parents=[common],
        help=text,
        description="Lists incidents: what is suspected or leaks, over restarts and pauses until it is resolved. "
        "Acknowledges and silences them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--all", action="store_true", help="resolved ones, too")
    parser.add_argument("--name", action="append", default=[], metavar="PATTERN", help="name, service or id")
    parser.set_defaults(run=run_list)
    actions = parser.add_subparsers(metavar="ACTION")
    show = _add_action(actions, "show", "everything that happened to one", run_show)
    # Without a default of its own, which would undo what was given before the action.
    show.add_argument("--format", choices=("table", "json"), default=argparse.SUPPRESS, help="default: table")
    ack = _add_action(actions, "ack", "say that you know: no more is announced until it is resolved", run_ack)
    ack.add_argument("--reason", metavar="TEXT", default="", help="for whoever reads it later")
    silence = _add_action(actions, "silence", "announce nothing of one for a time", run_silence)
    silence.add_argument("--for", dest="duration", metavar="DURATION", required=True, help="like 90m, 12h or 3d")
    silence.add_argument("--reason", metavar="TEXT", default="", help="for whoever reads it later")
    _add_action(actions, "unsilence", "end a silence before its time", run_unsilence)


def _add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: object
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.add_argument("id", metavar="ID", help="an incident's or a finding's id, or a name only one of them has")
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="as before the action")
    parser.set_defaults(run=run)
    return parser


def run_list(args: argparse.Namespace) -> int:
    """Print the list."""
    reader, now_ms = _open(args), _now_ms()
    try:
        known = _entries(reader)
    finally:
        reader.close()
    shown = incidents.select(known, now_ms, everything=args.all, names=args.name)
    if args.format == "json":
        emit(incidents.as_json(shown, now_ms))
    else:
        resolved = len(incidents.select(known, now_ms, everything=True, names=args.name)) - len(shown)
        emit(incidents.table(shown, now_ms, resolved=resolved))
    return EXIT_OK


def run_show(args: argparse.Namespace) -> int:
    """Print one incident's history."""
    reader = _open(args)
    try:
        entry = incidents.find(_entries(reader), args.id)
        events = reader.incident_events(entry.incident.id)
    finally:
        reader.close()
    render = incidents.history_json if args.format == "json" else incidents.history
    emit(render(entry, events, _now_ms()))
    return EXIT_OK


def run_ack(args: argparse.Namespace) -> int:
    """Note that somebody knows."""
    reason = _reason(args)
    path, stamps, entry = _find(args)
    incident = entry.incident
    if incident.state is IncidentState.RESOLVED:
        raise UsageError(f"{incident.id} needs no acknowledgement: {course(incident)}")
    given = Acknowledgement(_now_ms(), _user(), reason, incident.reopened)
    marker = Marker(path, stamps)
    try:
        marker.acknowledge(incident.id, given)
    finally:
        marker.close()
    _say(f"{_title(entry)} is acknowledged: it is not announced again unless it comes back after it was resolved.")
    return EXIT_OK


def run_silence(args: argparse.Namespace) -> int:
    """Note until when nothing is to be announced."""
    seconds = duration("--for", args.duration) or 0.0
    if seconds > LONGEST_SILENCE_S:
        raise UsageError(
            f"--for: {args.duration!r} is longer than a year; what is never to be reported belongs below [ignore] in "
            "the configuration"
        )
    reason = _reason(args)
    path, stamps, entry = _find(args)
    now_ms = _now_ms()
    given = Silence(now_ms, now_ms + round(seconds * 1000), _user(), reason)
    told = Phrase("silenced", (seconds, given.until_ms))
    marker = Marker(path, stamps)
    try:
        marker.silence(entry.incident.id, given, (told, *said(reason)))
    finally:
        marker.close()
    _say(f"{_title(entry)} is silenced {phrases.text([told])}; it is announced again after that if it still leaks.")
    return EXIT_OK


def run_unsilence(args: argparse.Namespace) -> int:
    """Take a silence back; that there is none is no error."""
    path, stamps, entry = _find(args)
    now_ms = _now_ms()
    if entry.incident.silenced(now_ms) is None:
        _say(f"{_title(entry)} is not silenced.")
        return EXIT_OK
    marker = Marker(path, stamps)
    try:
        marker.unsilence(entry.incident.id, now_ms, _user())
    finally:
        marker.close()
    _say(f"{_title(entry)} is silenced no more.")
    return EXIT_OK


def _open(args: argparse.Namespace) -> Reader:
    return open_store(load_config(args.config).store.url)


def _entries(reader: Reader) -> list[IncidentEntry]:
    findings = {stored.finding.id: stored.finding for stored in reader.findings()}
    return entries(reader.incidents(), findings)


def _find(args: argparse.Namespace) -> tuple[Path, Stamps, IncidentEntry]:
    """Return the store, how its times are shown, and the incident that is meant.

    The reader is closed, so that nothing of ours is waited for.
    """
    reader = _open(args)
    try:
        return reader.path, reader.stamps, find(_entries(reader), args.id)
    finally:
        reader.close()


def _reason(args: argparse.Namespace) -> str:
    reason = as_text(args.reason.strip())
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason: {len(reason)} characters; write at most {LONGEST_REASON}")
    return reason


def _say(line: str) -> None:
    emit(f"{line}\n")


def _title(entry: IncidentEntry) -> str:
    return f"{entry.incident.id} ({printable(entry.incident.name)})"


def _now_ms() -> int:
    return SystemClock().now().wall_ms


def _user() -> str:
    """Return who does this: behind sudo, the one who called it."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        return as_text(os.environ["SUDO_USER"])
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
