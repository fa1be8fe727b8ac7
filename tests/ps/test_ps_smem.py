"""The figures are smem's, on this machine's living processes and on recorded trees.

To the last KiB: both sum ``smaps``, where the kernel rounds each mapping's PSS down and shows a page of [vsyscall].
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from leakwatch.cli.main import main

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("smem") is None, reason="smem is not installed (apt-get install smem)"),
]

Trees = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
Figures = dict[str, list[int]]
Answer = TypeVar("Answer")
SIZES = ("swap", "uss", "pss", "rss", "vss")
TRIES = 30


@pytest.fixture(scope="module")
def tag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a pattern for six processes: three families that share memory after a fork, and none with anybody else."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    directory = tmp_path_factory.mktemp("held")
    subprocess.run(
        [compiler, "-O0", "-static", "-o", directory / "held", Path(__file__).with_name("held.c")], check=True
    )
    (directory / "file").write_bytes(b"f" * (1 << 20))
    name = f"held-{uuid.uuid4().hex}"
    argv = [[directory / "held", size, directory / "file", name] for size in ("9", "24", "40")]
    started = [subprocess.Popen(one, stdout=subprocess.PIPE, process_group=0) for one in argv]
    for one in started:
        assert one.stdout is not None
        assert {one.stdout.readline(), one.stdout.readline()} == {b"parent\n", b"child\n"}
    yield f"[h]{name[1:]}"  # smem's own command line holds the pattern, and must not match it
    for one in started:
        assert one.stdout is not None
        os.killpg(one.pid, signal.SIGKILL)
        one.wait()
        one.stdout.close()


def smem(*options: str) -> list[list[str]]:
    """Return the words of smem's lines."""
    done = subprocess.run(["smem", "-H", *options], capture_output=True, text=True, check=True, timeout=120)
    return [line.split() for line in done.stdout.splitlines()]


def ours(capsys: Capture, *options: str) -> list[list[str]]:
    """Return the words of our lines."""
    assert main(["ps", "-H", *options]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def quiet(ask: Callable[[], Answer], other: Callable[[], Answer]) -> tuple[Answer, Answer]:
    """Return two answers to compare: ours was the same before and after, so nothing has changed in between."""
    for _ in range(TRIES):
        before, theirs, after = ask(), other(), ask()
        if before == after:
            return before, theirs
    pytest.fail(f"what is held has changed during each of {TRIES} comparisons")


def figures(rows: list[list[str]]) -> Figures:
    return {row[0]: [int(word) for word in row[1:]] for row in rows}


def test_every_process_has_smems_figures(tag: str, capsys: Capture) -> None:
    options = ("-P", tag, "-c", "pid uss rss swap pss vss maps")
    found, theirs = quiet(lambda: figures(ours(capsys, *options)), lambda: figures(smem(*options)))
    assert len(found) == 6
    assert found == theirs


def test_the_json_has_them_too(tag: str, capsys: Capture) -> None:
    def whole() -> Figures:
        assert main(["ps", "--format", "json", "-P", tag]) == 0
        found = json.loads(capsys.readouterr().out)
        return {str(one["pid"]): [one[f"{size}_bytes"] // 1024 for size in SIZES] for one in found}

    found, theirs = quiet(whole, lambda: figures(smem("-P", tag, "-c", f"pid {' '.join(SIZES)}")))
    assert len(found) == 6
    assert found == theirs


def test_filtered_by_mapping_it_is_equal(tag: str, capsys: Capture) -> None:
    options = ("-P", tag, "-M", r"heap|anonymous", "-c", "pid uss pss rss swap vss")
    found, theirs = quiet(lambda: figures(ours(capsys, *options)), lambda: figures(smem(*options)))
    assert found == theirs
    assert min(pss for _, pss, *_ in found.values()) > 8 << 10, "what the processes were made to hold"


def by_first_word(rows: list[list[str]]) -> Figures:
    """Return sums by the first word of the name: smem knows no more of one with blanks."""
    sums: Figures = defaultdict(lambda: [0, 0, 0, 0, 0, 0])
    for row in rows:
        sums[row[0]] = [
            before + int(word) for before, word in zip(sums[row[0]], row[-6:], strict=True)
        ]  # blanks in a name make more words, all before the numbers
    return dict(sums)


def test_every_mapping_has_smems_figures(tag: str, capsys: Capture) -> None:
    options = ("-m", "-P", tag, "-c", "map count uss pss rss swap vss")

    def whole() -> Figures:
        assert main(["ps", "--format", "json", *options]) == 0
        found = json.loads(capsys.readouterr().out)
        rows = [
            [one["map"].split()[0], str(one["count"]), *(str(one[f"{size}_bytes"] // 1024) for size in sizes)]
            for one in found
        ]
        return by_first_word(rows)

    sizes = ("uss", "pss", "rss", "swap", "vss")
    # smem cuts names at 40 characters; what is cut is matched by the beginning.
    found, theirs = quiet(whole, lambda: by_first_word(smem(*options)))
    cut: Figures = by_first_word([[name[:40], *map(str, numbers)] for name, numbers in found.items()])
    assert cut == theirs
    assert {"<anonymous>", "[heap]", "[stack]", "/dev/zero"} <= cut.keys()
    assert sum(numbers[0] for name, numbers in cut.items() if name.startswith("/")) >= 3 * 6, "program, file, /dev/zero"


def test_users_have_smems_figures(tag: str, capsys: Capture) -> None:
    options = ("-u", "-P", tag, "-c", "user count uss rss swap pss")
    found, theirs = quiet(lambda: ours(capsys, *options), lambda: smem(*options))
    assert found == theirs


@pytest.mark.parametrize("tree", ["linux-3.10-x86_64", "linux-4.9-armv7"])
@pytest.mark.parametrize(
    "options",
    [
        ("-c", "pid maps swap uss pss rss"),
        ("-r", "-c", "pid pss"),
        ("-s", "rss", "-c", "pid rss"),
        ("-k", "-c", "pid uss pss rss"),
        ("-p", "-c", "pid uss pss rss"),
        ("-n", "-c", "pid uss", "-M", "heap"),
        ("-m", "-c", "pids count avgpss pss swap"),
        ("-m", "-c", "pids avgrss vss", "-s", "vss", "-r"),
        ("-w", "-c", "used cache noncache"),
        ("-w", "-k", "-c", "used cache noncache", "-s", "used"),
        ("-w", "-p", "-c", "used cache noncache", "-R", "2048M"),
    ],
    ids=" ".join,
)
def test_on_a_recorded_tree_it_is_equal_line_for_line(
    tree: str, options: tuple[str, ...], proc_tree: Trees, capsys: Capture
) -> None:
    proc = proc_tree(tree)
    theirs = smem("-S", str(proc.parent), *options)
    assert len(theirs) >= 2
    found = ours(capsys, "--proc", str(proc), *options)
    huge = tree == "linux-4.9-armv7" and "uss" in " ".join(options)
    if huge:  # USS has the 2 MiB of huge pages that process 402 holds, which smem leaves out
        found, theirs = without_uss(options, found), without_uss(options, theirs)
    assert found == theirs


def without_uss(options: tuple[str, ...], rows: list[list[str]]) -> list[list[str]]:
    columns = options[options.index("-c") + 1].split()
    return [[word for name, word in zip(columns, row, strict=True) if name != "uss"] for row in rows]


def test_its_own_list_of_columns_is_known(capsys: Capture) -> None:
    done = subprocess.run(["smem", "-c", "nothing"], capture_output=True, text=True, check=False, timeout=120)
    known = re.findall(r"^(\w+) +\S", done.stdout.partition("known fields:\n")[2], re.MULTILINE)
    assert len(known) >= 10
    assert main(["ps", "--pid", "1", "-c", " ".join(known)]) == 0
