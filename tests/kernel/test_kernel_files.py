"""The files beside meminfo: free pages of the CPUs, sockets, dying control groups, merged slab caches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.cgroup.dying import FIRST_NAMESPACE
from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host import meminfo, stat

DATA = Path(__file__).parents[1] / "data" / "kernel"
ZONEINFO, SOCKSTAT = ((DATA / name).read_bytes() for name in ("zoneinfo-6.18", "sockstat-6.18"))
OLD_ZONEINFO = b"""\
Node 0, zone   Normal
  pages free     250
    nr_free_pages 250
  pagesets
    cpu: 0
              count: 170
              high:  186
              batch: 31
  vm stats threshold: 30
Node 1, zone   Normal
  pagesets
    cpu: 0
              count: 3
  vm stats threshold: 12
"""


def test_zoneinfo_sums_over_zones_and_cpus() -> None:
    found = meminfo.parse_zoneinfo(ZONEINFO)
    assert found.cpu_list_pages == 1 + 62 + 30982 + 16608
    assert found.zspages == 0
    assert found.node_threshold_pages == 32 + 32, "the largest zone's counts for its node"
    assert found.zone_threshold_pages == 2 * (4 + 24 + 32)


def test_zoneinfo_of_an_old_kernel_and_two_nodes() -> None:
    found = meminfo.parse_zoneinfo(OLD_ZONEINFO)
    assert (found.cpu_list_pages, found.zspages) == (173, None)
    assert (found.node_threshold_pages, found.zone_threshold_pages) == (42, 42)


def test_sockstat_of_a_real_machine() -> None:
    found = stat.parse_sockstat(SOCKSTAT)
    assert (found.used, found.pages, found.fragment_bytes) == (17, 85, 0)
    assert found.memory_bytes(4096) == 85 * 4096


def test_a_count_a_little_below_zero_is_none() -> None:
    assert stat.parse_sockstat(b"TCP: inuse 1 mem -3\nUDP: inuse 0 mem 2\n").pages == 2


@pytest.mark.parametrize("parse", [meminfo.parse_zoneinfo, stat.parse_sockstat])
def test_an_empty_file_is_malformed(parse: object) -> None:
    with pytest.raises(MalformedError):
        parse(b"")  # type: ignore[operator]


@given(st.data())
def test_damaged_files_give_numbers_or_are_malformed(data: st.DataObject) -> None:
    for whole, parse in ((ZONEINFO, meminfo.parse_zoneinfo), (SOCKSTAT, stat.parse_sockstat)):
        at = data.draw(st.integers(0, len(whole)))
        damaged = whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + data.draw(st.integers(0, 40)) :]
        try:
            found = parse(damaged)  # type: ignore[operator]
        except MalformedError:
            continue
        assert all(number is None or number >= 0 for number in (getattr(found, name) for name in found.__slots__))


def tree(tmp_path: Path, files: dict[str, str]) -> ProcFS:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "sys").mkdir(exist_ok=True)
    return ProcFS(str(tmp_path / "proc"), page_size=4096)


def test_sockets_are_those_of_the_first_process_and_of_both_protocols(tmp_path: Path) -> None:
    files = {
        "proc/1/net/sockstat": "sockets: used 9\nTCP: inuse 1 mem 10\nFRAG: inuse 1 memory 100\n",
        "proc/1/net/sockstat6": "TCP6: inuse 3\nFRAG6: inuse 0 memory 11\n",
        "proc/net/sockstat": "sockets: used 0\n",
    }
    found = tree(tmp_path, files).sockets()
    assert not isinstance(found, Absence)
    assert (found.used, found.memory_bytes(4096)) == (9, 40960 + 111)


def test_sockets_that_cannot_be_seen_are_an_absence(tmp_path: Path) -> None:
    found = tree(tmp_path, {"proc/net/sockstat": "sockets: used 0\n"}).sockets()
    assert isinstance(found, Absence)
    assert found.reason is AbsenceReason.UNSUPPORTED


def test_version_2_tells_the_dying_groups(tmp_path: Path) -> None:
    files = {
        "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t90\t1\n",
        "sys/fs/cgroup/cgroup.stat": "nr_descendants 80\nnr_dying_descendants 41\n",
    }
    assert tree(tmp_path, files).dying_cgroups() == 41


@pytest.mark.parametrize("where", ["sys/fs/cgroup", "sys/fs/cgroup/unified"])
def test_version_2_where_no_file_tells_of_version_1(tmp_path: Path, where: str) -> None:
    assert tree(tmp_path, {f"{where}/cgroup.stat": "nr_dying_descendants 3\n"}).dying_cgroups() == 3


@pytest.mark.parametrize("text", ["nr_descendants 80\n", "nr_dying_descendants many\n"])
def test_a_number_that_is_not_told_is_an_absence(tmp_path: Path, text: str) -> None:
    assert isinstance(tree(tmp_path, {"sys/fs/cgroup/cgroup.stat": text}).dying_cgroups(), Absence)


def version_1(tmp_path: Path, namespace: str, root: str) -> ProcFS:
    mount = tmp_path / "sys/fs/cgroup/memory"
    (mount / "a" / "b").mkdir(parents=True)
    (mount / "c").mkdir()
    files = {
        "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t9\t1\nmemory\t4\t12\t1\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
        "proc/self/mountinfo": f"31 25 0:26 {root} {mount} rw - cgroup cgroup rw,memory\n",
    }
    procfs = tree(tmp_path, files)
    (tmp_path / "proc/self/ns").mkdir()
    os.symlink(namespace, tmp_path / "proc/self/ns/cgroup")  # noqa: PTH211
    return procfs


def test_version_1_counts_what_no_directory_is_of(tmp_path: Path) -> None:
    assert version_1(tmp_path, FIRST_NAMESPACE, "/").dying_cgroups() == 12 - 4


@pytest.mark.parametrize(("namespace", "root"), [("cgroup:[4026532222]", "/"), (FIRST_NAMESPACE, "/docker/1234")])
def test_version_1_says_nothing_from_inside_a_container(tmp_path: Path, namespace: str, root: str) -> None:
    found = version_1(tmp_path, namespace, root).dying_cgroups()
    assert isinstance(found, Absence)
    assert "only a part" in found.detail


def test_merged_caches_know_one_another(tmp_path: Path) -> None:
    procfs = tree(tmp_path, {"sys/kernel/slab/:0000192/aliases": "2\n", "sys/kernel/slab/dentry/aliases": "0\n"})
    for name in ("cred_jar", "kiocb", "aio"):
        os.symlink(":0000192", tmp_path / "sys/kernel/slab" / name)  # noqa: PTH211
    aliases = procfs.slab_aliases()
    assert aliases["kiocb"] == ("aio", "cred_jar")
    assert "dentry" not in aliases


def test_without_sysfs_nothing_is_known_of_merged_caches(tmp_path: Path) -> None:
    assert tree(tmp_path, {}).slab_aliases() == {}
