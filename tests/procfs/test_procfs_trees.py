"""What each recorded tree gives, in full where it is small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leakwatch.errors import ProcUnavailableError
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse
from leakwatch.procfs.pid.stat import PidStat, PidStatm
from leakwatch.procfs.pid.status import PidStatus

Trees = Callable[[str], Path]
KIB = 1024


def why(found: object) -> AbsenceReason:
    assert isinstance(found, Absence), found
    assert found.detail
    return found.reason


@pytest.mark.parametrize(
    ("name", "boot_id", "page_size", "pids"),
    [
        ("linux-6.18-x86_64", "1fe55aa4-fdff-468c-99ef-49a5b6df4ee4", 4096, [2, *range(18674, 18679), 18680]),
        ("linux-3.10-x86_64", "0f3d9a52-6a0e-4c53-9d5c-2d6c40f7a310", 4096, [1, 2, 1301]),
        ("linux-4.9-armv7", "7c1e0f5e-41c8-4f58-8a86-5f9e2a4c4909", 4096, [1, 61, 402]),
        ("linux-5.15-arm64-64k", "b2a9d3c4-05f1-4e4c-9a53-1c7d8f6e5150", 65536, [1, 2, 2210, 2231, 5150, 6001]),
        ("linux-6.1-ppc64", "btime-1700000610", 65536, [77]),
    ],
)
def test_each_tree_has_a_boot_a_page_size_and_processes(
    proc_tree: Trees, name: str, boot_id: str, page_size: int, pids: list[int]
) -> None:
    proc = ProcFS(str(proc_tree(name)))
    assert (proc.boot_id(), proc.page_size, proc.pids()) == (boot_id, page_size, pids)


@pytest.mark.parametrize("name", ["linux-6.18-x86_64", "linux-3.10-x86_64", "linux-4.9-armv7", "linux-5.15-arm64-64k"])
def test_no_file_of_a_whole_tree_is_malformed(proc_tree: Trees, name: str) -> None:
    proc = ProcFS(str(proc_tree(name)))
    for pid in proc.pids():
        for read in (
            proc.stat,
            proc.statm,
            proc.status,
            proc.memory,
            proc.cgroup,
            proc.cmdline,
            proc.exe,
            proc.fd_count,
        ):
            found = read(pid)
            assert not (isinstance(found, Absence) and found.reason is AbsenceReason.MALFORMED), found
    for host in (proc.meminfo(), proc.slabinfo(), proc.vmallocinfo(), proc.host_stat()):
        assert not isinstance(host, Absence)


def test_6_18_a_service(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-6.18-x86_64")))
    assert proc.cmdline(18674) == ("/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "38099")
    assert proc.exe(18674) == "/usr/bin/python3.11"
    assert proc.fd_count(18674) == 4
    groups = proc.cgroup(18674)
    assert not isinstance(groups, Absence)
    assert groups.best == "/system.slice/http-demo.service"
    assert proc.memory_limit_bytes(groups) == (512 << 20, "/system.slice/http-demo.service")


def test_6_18_a_hostile_name_is_the_same_in_stat_and_status(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-6.18-x86_64")))
    stat, status = proc.stat(18675), proc.status(18675)
    assert isinstance(stat, PidStat)
    assert isinstance(status, PidStatus)
    assert stat.comm == status.name == ") R 1 (\n\udcff\udcfe"


def test_6_18_smaps_and_rollup_agree(proc_tree: Trees) -> None:
    root = proc_tree("linux-6.18-x86_64")
    from_rollup = ProcFS(str(root)).memory(18676)
    (root / "18676" / "smaps_rollup").unlink()
    from_smaps = ProcFS(str(root)).memory(18676)
    assert isinstance(from_rollup, MemoryUse)
    assert isinstance(from_smaps, MemoryUse)
    assert (from_smaps.rss_bytes, from_smaps.uss_bytes) == (from_rollup.rss_bytes, from_rollup.uss_bytes)
    assert (from_smaps.mappings, from_rollup.mappings) == (24, None)
    assert 0 <= from_rollup.pss_bytes - from_smaps.pss_bytes < 24 * KIB


@pytest.mark.parametrize("pid", [2, 18680])
def test_6_18_kernel_threads_and_zombies_have_no_address_space(proc_tree: Trees, pid: int) -> None:
    proc = ProcFS(str(proc_tree("linux-6.18-x86_64")))
    assert why(proc.memory(pid)) is AbsenceReason.NO_ADDRESS_SPACE
    assert why(proc.statm(pid)) is AbsenceReason.NO_ADDRESS_SPACE
    assert why(proc.exe(pid)) is AbsenceReason.NO_ADDRESS_SPACE
    assert proc.cmdline(pid) == ()


def test_6_18_a_process_without_its_main_thread_keeps_its_memory(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-6.18-x86_64")))
    stat, statm, use = proc.stat(18678), proc.statm(18678), proc.memory(18678)
    assert isinstance(stat, PidStat)
    assert isinstance(statm, PidStatm)
    assert isinstance(use, MemoryUse)
    assert (stat.state, stat.is_zombie, stat.has_lost_main_thread) == ("Z", False, True)
    assert use.uss_bytes > 20 << 20
    assert statm.anonymous_pages * proc.page_size > 20 << 20


def test_6_18_kernel_memory(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-6.18-x86_64")))
    meminfo, slabs, areas = proc.meminfo(), proc.slabinfo(), proc.vmallocinfo()
    assert not isinstance(meminfo, Absence)
    assert not isinstance(slabs, Absence)
    assert not isinstance(areas, Absence)
    total = sum(cache.pages_bytes(proc.page_size) for cache in slabs)
    assert 0.9 * meminfo.fields["Slab"] < total < meminfo.fields["Slab"], "large kmallocs are in no cache"
    owned = sum(area.memory_bytes(proc.page_size) for area in areas)
    assert owned == pytest.approx(meminfo.fields["VmallocUsed"], rel=0.02)


def test_3_10_memory_comes_from_smaps(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-3.10-x86_64")))
    assert proc.memory(1301) == MemoryUse(
        rss_bytes=66924 * KIB,
        pss_bytes=65773 * KIB,
        uss_bytes=65200 * KIB,
        swap_bytes=4096 * KIB,
        swap_pss_bytes=None,
        anonymous_bytes=60000 * KIB,
        pss_anon_bytes=None,
        mappings=5,
    )
    assert why(proc.memory(2)) is AbsenceReason.NO_ADDRESS_SPACE


def test_3_10_lacks_what_came_later(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-3.10-x86_64")))
    meminfo, status = proc.meminfo(), proc.status(1301)
    assert not isinstance(meminfo, Absence)
    assert isinstance(status, PidStatus)
    assert (meminfo.get("MemAvailable"), meminfo.get("Committed_AS")) == (None, None)
    assert (status.rss_anon_bytes, status.vm_swap_bytes) == (None, 4096 * KIB)


def test_3_10_the_service_is_known_from_systemds_hierarchy_and_has_no_limit(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-3.10-x86_64")))
    groups = proc.cgroup(1301)
    assert not isinstance(groups, Absence)
    assert (groups.best, groups.memory) == ("/system.slice/mariadb.service", "/")
    assert why(proc.memory_limit_bytes(groups)) is AbsenceReason.UNSUPPORTED


def test_3_10_slab_keys_and_vmalloc_callers(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-3.10-x86_64")))
    slabs, areas = proc.slabinfo(), proc.vmallocinfo()
    assert not isinstance(slabs, Absence)
    assert not isinstance(areas, Absence)
    assert [(cache.key, cache.object_size_bytes) for cache in slabs if cache.name == "bio-1"] == [
        ("bio-1@192", 192),
        ("bio-1", 320),
    ]
    assert {area.caller: area.pages for area in areas if area.pages} == {
        "alloc_large_system_hash": 384,
        "module_alloc_update_bounds": 10,
        "0xffffffff810dd2c4": 133,
    }


def test_4_9_counts_huge_pages_as_private_though_no_rss_has_them(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-4.9-armv7")))
    assert proc.memory(402) == MemoryUse(
        rss_bytes=15760 * KIB,
        pss_bytes=15073 * KIB,
        uss_bytes=(15040 + 2048) * KIB,
        swap_bytes=0,
        swap_pss_bytes=0,
        anonymous_bytes=15000 * KIB,
        pss_anon_bytes=None,
        mappings=4,
    )


def test_4_9_has_no_control_groups_and_a_vmalloc_counter_that_lies(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-4.9-armv7")))
    meminfo, areas = proc.meminfo(), proc.vmallocinfo()
    assert not isinstance(meminfo, Absence)
    assert not isinstance(areas, Absence)
    assert why(proc.cgroup(402)) is AbsenceReason.UNSUPPORTED
    assert meminfo.get("VmallocUsed") == 0
    assert meminfo.get("HighTotal") == 270336 * KIB
    assert sum(area.memory_bytes(proc.page_size) for area in areas) == 25 * 4096
    assert proc.cmdline(1) == ("init [5]",)


def test_5_15_pages_of_64_kib(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-5.15-arm64-64k")))
    statm, status, areas = proc.statm(2210), proc.status(2210), proc.vmallocinfo()
    assert isinstance(statm, PidStatm)
    assert isinstance(status, PidStatus)
    assert not isinstance(areas, Absence)
    assert statm.resident_pages * proc.page_size == status.vm_rss_bytes
    assert {area.caller: area.memory_bytes(proc.page_size) for area in areas if area.pages} == {
        "copy_process": 2 << 16,
        "bpf_map_area_alloc": 16 << 16,
        "nft_do_load [nf_tables]": 2 << 16,
    }


def test_5_15_a_family_after_fork_shares_anonymous_memory(proc_tree: Trees) -> None:
    use = ProcFS(str(proc_tree("linux-5.15-arm64-64k"))).memory(2231)
    assert isinstance(use, MemoryUse)
    assert use.anonymous_bytes is not None
    assert use.pss_anon_bytes is not None
    assert use.anonymous_bytes > use.pss_anon_bytes


def test_5_15_limits_are_those_of_the_tightest_group_around(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-5.15-arm64-64k")))
    limits = {}
    for pid in (1, 2210, 5150):
        groups = proc.cgroup(pid)
        assert not isinstance(groups, Absence)
        limits[pid] = proc.memory_limit_bytes(groups)
    assert limits[2210] == (2 << 30, "/system.slice/system-postgresql.slice")
    assert limits[5150] == (
        512 << 20,
        "/kubepods-burstable-pod3c1f.slice:cri-containerd:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    )
    assert why(limits[1]) is AbsenceReason.UNSUPPORTED


def test_5_15_replaced_programs_overwritten_titles_and_deleted_groups(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-5.15-arm64-64k")))
    groups = proc.cgroup(6001)
    assert not isinstance(groups, Absence)
    assert proc.exe(5150) == "/app/api-server (deleted)"
    assert proc.cmdline(2231) == ("postgres: 14/main: autovacuum launcher",)
    assert (groups.best, groups.entries[0].deleted) == ("/system.slice/gone.service", True)


def test_6_1_most_files_missing_are_named_not_zero(proc_tree: Trees) -> None:
    proc = ProcFS(str(proc_tree("linux-6.1-ppc64")))
    for found in (proc.statm(77), proc.status(77), proc.memory(77), proc.cgroup(77), proc.fd_count(77)):
        assert why(found) is AbsenceReason.UNSUPPORTED
    assert why(proc.slabinfo()) is AbsenceReason.UNSUPPORTED
    assert why(proc.vmallocinfo()) is AbsenceReason.UNSUPPORTED


def test_a_tree_without_a_boot_id_and_without_stat_is_refused(proc_tree: Trees) -> None:
    root = proc_tree("linux-6.1-ppc64")
    (root / "stat").unlink()
    with pytest.raises(ProcUnavailableError, match=r"neither .*boot_id nor stat .*ENOENT"):
        ProcFS(str(root)).boot_id()


def test_a_root_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProcUnavailableError, match=r"cannot list the processes in .*is /proc mounted") as caught:
        ProcFS(str(tmp_path / "nothing")).pids()
    assert "\n" not in str(caught.value)


def test_a_root_without_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcUnavailableError, match="there is no process in"):
        ProcFS(str(tmp_path)).pids()


def test_given_zeros_the_page_size_is_not_told_by_them(proc_tree: Trees) -> None:
    root = proc_tree("linux-5.15-arm64-64k")
    for file in root.glob("[0-9]*/statm"):
        file.write_text("0 1 1 1 0 1 0\n")
    assert ProcFS(str(root)).page_size == 65536


def test_given_a_page_size_none_is_worked_out(proc_tree: Trees) -> None:
    assert ProcFS(str(proc_tree("linux-5.15-arm64-64k")), page_size=4096).page_size == 4096


def test_given_nothing_to_infer_it_from_pages_have_4_kib(proc_tree: Trees) -> None:
    root = proc_tree("linux-6.1-ppc64")
    (root / "77" / "auxv").unlink()
    assert ProcFS(str(root)).page_size == 4096


def test_a_number_that_no_process_has_is_passed_over(tmp_path: Path) -> None:
    for name in ("7", "2147483647", "2147483648", "9" * 20, "9" * 255):
        (tmp_path / name).mkdir()
    assert ProcFS(str(tmp_path)).pids() == [7, 2147483647]
