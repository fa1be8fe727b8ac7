"""The README of a bundle: of whom it is, what each file is, what is missing and why. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from leakwatch.evidence.entry import BundleEntry

WIDTH = 100
_SECRETS = (
    "Command lines are without secrets: values of options and variables named like a password, token, secret or key, "
    "passwords in URLs and HTTP headers, and what looks like a token by itself stand as [redacted]. A short password "
    "that stands alone cannot be told, so look through processes.tsv and steps.txt before you hand the bundle on. No "
    "environment variables were read into it, nor any memory of the process. File names the process maps are in "
    "smaps.txt and mappings.tsv."
)


def readme(title: str, lines: Sequence[str], entries: Sequence[BundleEntry]) -> BundleEntry:
    """Return README.txt; ``lines`` say what was found."""
    there = [entry for entry in entries if entry.data is not None]
    missing = [entry for entry in entries if entry.data is None]
    widest = max((len(entry.name) for entry in entries), default=0)
    out = [title, "=" * len(title), "", *lines, "", "Files, as they were read at that time:", ""]
    for entry in there:
        about = f"{entry.about}{f' ({entry.note})' if entry.note else ''}"
        out += textwrap.wrap(
            about, WIDTH, initial_indent=f"  {entry.name:<{widest}}  ", subsequent_indent=" " * (widest + 4)
        )
    if missing:
        out += ["", "Missing:", ""]
        for entry in missing:
            out += textwrap.wrap(
                entry.note, WIDTH, initial_indent=f"  {entry.name:<{widest}}  ", subsequent_indent=" " * (widest + 4)
            )
    out += ["", *textwrap.wrap(_SECRETS, WIDTH)]
    return BundleEntry("README.txt", "what this is", ("\n".join(out) + "\n").encode())
