"""``/proc/PID/cgroup`` and ``cmdline``."""

from __future__ import annotations

import pytest

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid import cgroup, status
from leakwatch.procfs.pid.cgroup import CgroupPath

V1 = b"11:cpu,cpuacct:/system.slice/a.service\n4:memory:/system.slice\n1:name=systemd:/system.slice/a.service\n"
HYBRID = b"4:memory:/m\n1:name=systemd:/\n0::/system.slice/a.service\n"


def test_given_version_1_each_hierarchy_is_an_entry() -> None:
    paths = cgroup.parse(V1)
    assert paths.entries[0] == CgroupPath(11, ("cpu", "cpuacct"), "/system.slice/a.service", deleted=False)
    assert paths.entries[2].controllers == ("name=systemd",)
    assert (paths.unified, paths.memory, paths.systemd) == (None, "/system.slice", "/system.slice/a.service")


@pytest.mark.parametrize(
    ("data", "best"),
    [
        (V1, "/system.slice/a.service"),
        (HYBRID, "/system.slice/a.service"),
        (b"4:memory:/m\n1:name=systemd:/\n0::/\n", "/m"),
        (b"4:memory:/\n1:name=systemd:/\n0::/\n", "/"),
        (b"0::/init.scope\n", "/init.scope"),
        (b"5:devices:/x\n", None),
        (b"", None),
    ],
)
def test_the_best_path_is_the_first_that_is_not_the_root(data: bytes, best: str | None) -> None:
    assert cgroup.parse(data).best == best


@pytest.mark.parametrize(
    ("line", "path", "deleted"),
    [
        (b"0::/k.slice:cri-containerd:9f86\n", "/k.slice:cri-containerd:9f86", False),
        (b"0::/system.slice/gone.service (deleted)\n", "/system.slice/gone.service", True),
        (b"0::/../outside\n", "/../outside", False),
        (b"0::/with blank and \xff\n", "/with blank and \udcff", False),
    ],
)
def test_odd_paths_are_kept(line: bytes, path: str, deleted: bool) -> None:
    entry = cgroup.parse(line).entries[0]
    assert (entry.path, entry.deleted) == (path, deleted)


@pytest.mark.parametrize("data", [b"x\n", b"1:memory\n", b"one:memory:/\n", b"0::relative\n", b"0::\n"])
def test_given_something_else_cgroup_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        cgroup.parse(data)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (b"/bin/sleep\x0060\0", ("/bin/sleep", "60")),
        (b"", ()),
        (b"\0\0\0", ()),
        (b"no-final-nul\0cut", ("no-final-nul", "cut")),
        (b"sh\0-c\0\0end\0", ("sh", "-c", "", "end")),
        (b"nginx: worker process" + b"\0" * 30, ("nginx: worker process",)),
        (b"init [5]  \0", ("init [5]",)),
        (b"echo\0trailing \0", ("echo", "trailing ")),
        (b"\xff\xfe\0", ("\udcff\udcfe",)),
        (b"   \0", ("",)),
    ],
)
def test_command_lines_plain_overwritten_and_padded(data: bytes, arguments: tuple[str, ...]) -> None:
    assert status.parse_cmdline(data) == arguments
