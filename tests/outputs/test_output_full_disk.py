"""A full disk under an output: 74, one sentence, no half file, and what was there is there still."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli.main import main
from tests.outputs.hostile_store import PLAIN, make_store, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.root]
MANY = tuple(b"name%d" % number for number in range(300))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the mount point of a file system of 16 KiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "leakwatch-test", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the privilege to mount a tmpfs")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("full")
    config = root / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{make_store(root / "leakwatch.db", MANY)}"\n')
    return str(config), str(make_tree(root / "tree", PLAIN))


@pytest.mark.parametrize(
    "arguments",
    [
        ("db", "export", "-o", "{out}"),
        ("db", "export", "-o", "{out}", "--force"),
        ("db", "export", "--format", "jsonl", "-o", "{out}"),
        ("db", "backup", "{out}"),
        ("db", "backup", "{out}", "--force"),
        ("evidence", "name0", "-o", "{out}"),
        ("evidence", "name0", "-o", "{out}.tar.gz"),
        ("ps", "--proc", "{tree}", "--bar", "-o", "{out}.png"),
    ],
    ids=" ".join,
)
def test_a_full_disk_is_74_and_leaves_no_half_file(
    small_disk: Path, made: tuple[str, str], arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if "ps" in arguments:
        pytest.importorskip("matplotlib", reason="needs matplotlib, an extra")
    config, tree = made
    out = small_disk / "out"
    if "--force" in arguments:
        out.write_bytes(b"old")
    else:
        (small_disk / "filler").write_bytes(b"x" * 12288)
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    filled = [one.replace("{out}", str(out)).replace("{tree}", tree) for one in arguments]
    assert main([*filled, "--config", config]) == 74
    _, err = capsys.readouterr()
    assert err.startswith(f"leakwatch: {out}")
    assert err.endswith("cannot be written: No space left on device\n")
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before
