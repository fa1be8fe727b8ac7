"""Whether other users' processes are hidden from us, by what the tree says of our own mounts and capabilities."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from leakwatch.procfs.host.mounts import hides_from_us

if TYPE_CHECKING:
    from pathlib import Path

ALL, NONE = "000001ffffffffff", "0000000000000000"


def tree(root: Path, options: str, capabilities: str = NONE) -> str:
    own = root / "self"
    own.mkdir()
    (own / "mountinfo").write_text(
        f"22 28 0:21 / / rw - ext4 /dev/vda rw\n23 22 0:22 / {root} rw shared:5 - proc proc rw,{options}\n"
    )
    (own / "status").write_text(f"Name:\tx\nCapPrm:\t{ALL}\nCapEff:\t{capabilities}\n")
    return str(root)


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        ("relatime", ""),
        ("hidepid=0", ""),
        ("hidepid=off", ""),
        ("hidepid=1", ""),
        ("hidepid=2", "invisible"),
        ("hidepid=invisible", "invisible"),
        ("hidepid=ptraceable", "ptraceable"),
        (f"hidepid=2,gid={os.getgid()}", ""),
        ("hidepid=2,gid=424242", "invisible"),
        (f"hidepid=4,gid={os.getgid()}", "ptraceable"),
    ],
)
def test_what_is_hidden_without_the_capability(tmp_path: Path, options: str, hidden: str) -> None:
    assert hides_from_us(tree(tmp_path, options)) == hidden


def test_with_the_capability_nothing_is_hidden(tmp_path: Path) -> None:
    assert not hides_from_us(tree(tmp_path, "hidepid=2", ALL))


def test_the_last_of_several_mounts_counts(tmp_path: Path) -> None:
    root = tree(tmp_path, "hidepid=2")
    with (tmp_path / "self" / "mountinfo").open("a") as file:
        file.write(f"24 23 0:23 / {tmp_path} rw - proc proc rw\n")
    assert not hides_from_us(root)


def test_a_recorded_tree_hides_nothing(tmp_path: Path) -> None:
    assert not hides_from_us(str(tmp_path))
