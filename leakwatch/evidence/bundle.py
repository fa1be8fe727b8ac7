"""Writes a bundle, a directory or a packed one, that only its owner may read, whole or not at all.

The bundles that were made unasked: a directory beside the store, kept in its bounds by age, size and number.

One file of a bundle, or why it is not in there.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from leakwatch.text import outfile
from leakwatch.text.escape import printable

MOST_BYTES = 8 << 20
"""Of a file in a bundle: smaps of 20,000 mappings."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """A file of a bundle."""

    name: str
    about: str
    """What is in it, in one line."""
    data: bytes | None
    """None where it could not be had."""
    note: str = ""
    """Why it is missing, or what is left out of it."""


def bounded(name: str, about: str, data: bytes) -> BundleEntry:
    """Return a file, cut at a line where it is too large for a bundle."""
    if len(data) <= MOST_BYTES:
        return BundleEntry(name, about, data)
    kept = data[: data.rfind(b"\n", 0, MOST_BYTES) + 1]
    return BundleEntry(name, about, kept, f"cut: the first {len(kept)} of {len(data)} bytes")


PACKED = (".tar.gz", ".tgz")
_ACTS = re.compile(rb"[^\t\n\x20-\x7e]")
_ADVICE = "give another name with -o"


def write(entries: Iterable[BundleEntry], path: Path, at_s: float) -> None:
    """Write a bundle to a path that is not there yet; packed where its name says so, and into a pipe or a device.

    Raises OutputExistsError or OutputWriteError, and leaves nothing behind then.
    """
    packed = [path.name.removesuffix(suffix) for suffix in PACKED if path.name.endswith(suffix)]
    if packed or not outfile.is_replaceable(path):
        with outfile.file(path, advice=_ADVICE) as raw:
            _pack(entries, raw, packed[0] if packed else "leakwatch-evidence", at_s)
        return
    with outfile.directory(path, advice=_ADVICE) as part:
        for entry in entries:
            if entry.data is not None:
                (part / entry.name).touch(outfile.OWNER_ONLY, exist_ok=False)
                (part / entry.name).write_bytes(_readable(entry.data))


def _pack(entries: Iterable[BundleEntry], raw: BinaryIO, top: str, at_s: float) -> None:
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            if entry.data is not None:
                data = _readable(entry.data)
                info = tarfile.TarInfo(f"{top}/{entry.name}")
                info.size, info.mode, info.mtime = len(data), 0o600, int(at_s)
                tar.addfile(info, io.BytesIO(data))


def _readable(data: bytes) -> bytes:
    """Return text in which nothing acts on what shows it: the kernel prints names of files and programs as they are."""
    if not _ACTS.search(data):
        return data
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines).encode()


DIRECTORY = "evidence"
MOST = 100
"""Bundles, however small."""
_INTERRUPTED = ".part"
"""Behind the name of a bundle that an earlier version did not finish."""
_NAME = re.compile(r"(?P<incident>[a-z][0-9a-f]{8})-(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.tar\.gz")


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """One bundle."""

    path: Path
    incident_id: str
    stamp: str
    """When it was made: UTC, as ``20261126T050000Z``; sorts by time."""
    size_bytes: int


def shelf_of(store: Path) -> Path:
    """Return where the bundles of a store are."""
    return store.parent / DIRECTORY


def kept(shelf: Path) -> list[KeptBundle]:
    """Return the bundles there, oldest first; what is not one of ours is none of our business."""
    try:
        paths = list(shelf.iterdir())
    except OSError:
        return []
    found = []
    for path in paths:
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        try:
            found.append(KeptBundle(path, name["incident"], name["stamp"], path.stat().st_size))
        except OSError:
            continue
    return sorted(found, key=lambda one: (one.stamp, one.path.name))


def surplus(bundles: Sequence[KeptBundle], oldest_stamp: str, max_bytes: int, most: int = MOST) -> list[KeptBundle]:
    """Return which are to go: those made before a time, then the oldest until size and number fit. Pure."""
    too_old = [one for one in bundles if one.stamp < oldest_stamp]
    stay = [one for one in bundles if one.stamp >= oldest_stamp]
    total = sum(one.size_bytes for one in stay)
    while stay and (total > max_bytes or len(stay) > most):
        first = stay.pop(0)
        total -= first.size_bytes
        too_old.append(first)
    return too_old


def remove(bundles: Sequence[KeptBundle], shelf: Path) -> None:
    """Remove bundles, and what a bundle that was interrupted has left."""
    outfile.clear(shelf)
    left = [path for path in shelf.glob(f"*{_INTERRUPTED}") if _NAME.fullmatch(path.name.removesuffix(_INTERRUPTED))]
    for path in [one.path for one in bundles] + left:
        path.unlink(missing_ok=True)
