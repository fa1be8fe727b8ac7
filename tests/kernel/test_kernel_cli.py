"""``leakwatch kernel``: what it prints, of recorded machines and of this one, and what changed since a stored time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch import metrics
from leakwatch.cli.main import main
from leakwatch.clock import rfc3339
from leakwatch.collectors.kernel.collector import collect_meminfo
from leakwatch.collectors.result import CollectorResult
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.errors import EXIT_UNAVAILABLE, EXIT_USAGE
from leakwatch.model.sample import Tick
from leakwatch.procfs.fs import ProcFS
from leakwatch.store.files.open import open_writer

if TYPE_CHECKING:
    from collections.abc import Callable

Trees = "Callable[[str], Path]"
V618, V310, PPC = "linux-6.18-x86_64", "linux-3.10-x86_64", "linux-6.1-ppc64"
DATA = Path(__file__).parents[1] / "data" / "kernel"
MIB = 1 << 20
T0_MS = 1_795_478_400_000


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["kernel", "--format", "json", *map(str, arguments)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert sum(found["parts"].values()) + found["unaccounted_bytes"] == found["total_bytes"] + found["excess_bytes"]
    assert min(found["parts"].values()) >= 0 <= found["unaccounted_bytes"]
    return found


@pytest.mark.parametrize("name", [V618, V310, "linux-4.9-armv7", "linux-5.15-arm64-64k"])
def test_a_recorded_machine_adds_up(
    proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    found = asked(capsys, "--proc", proc_tree(name))
    assert found["schema"] == 1
    assert found["total_bytes"] == ProcFS(str(proc_tree_of(name))).meminfo().fields["MemTotal"]  # type: ignore[union-attr]
    assert 0 <= found["unaccounted_bytes"] < found["total_bytes"] // 10
    assert found["since"] is None
    assert [one["bytes"] for one in found["slab_caches"]] == sorted(
        (one["bytes"] for one in found["slab_caches"]), reverse=True
    )


def proc_tree_of(name: str) -> Path:
    return Path(__file__).parents[1] / "data" / "proc" / name / "proc"


def test_this_machine_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys)
    assert found["unaccounted_bytes"] + found["excess_bytes"] < found["total_bytes"] // 4
    assert {"free", "free_on_cpu_lists", "anon", "page_cache", "shmem", "page_tables"} <= found["parts"].keys()


def test_the_cpus_lists_are_a_part(proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = proc_tree(V618)
    without = asked(capsys, "--proc", root)
    shutil.copy(DATA / "zoneinfo-6.18", root / "zoneinfo")
    found = asked(capsys, "--proc", root)
    lists = (1 + 62 + 30982 + 16608) * 4096
    assert found["parts"]["free_on_cpu_lists"] == lists
    beyond = lists - without["unaccounted_bytes"]  # the file is another machine's
    assert (found["unaccounted_bytes"], found["excess_bytes"]) == (0, beyond)
    assert found["unaccounted_uncertainty_bytes"] == (6 * 64 + 2 * 120) * 4096 + beyond
    assert found["uncertainty"][0]["reason"]


def test_callers_name_their_module(proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--proc", proc_tree("linux-4.9-armv7"))
    assert {"caller": "load_module", "module": "nf_tables", "bytes": 32768, "areas": 1} in found["vmalloc_callers"]


def test_without_root_the_parts_are_still_told(
    proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = proc_tree(V618)
    (root / "slabinfo").unlink()
    (root / "vmallocinfo").unlink()
    found = asked(capsys, "--proc", root)
    assert (found["slab_caches"], found["vmalloc_callers"]) == (None, None)
    assert any("slabinfo" in text for text in found["absences"])
    assert any("kernel stacks" in one["reason"] for one in found["uncertainty"])
    assert main(["kernel", "--proc", str(root)]) == 0
    assert "Not read: " in capsys.readouterr().out


def test_where_vmalloc_lies_and_nobody_may_look_it_is_unaccounted(
    proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = proc_tree("linux-4.9-armv7")
    (root / "vmallocinfo").unlink()
    found = asked(capsys, "--proc", root)
    assert "vmalloc" not in found["parts"]
    assert "vmalloc memory cannot be read: it is unaccounted" in found["absences"]


def tree_of(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / name, tmp_path / "proc"))


def test_vmalloc_that_may_not_be_read_is_no_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """VmallocUsed reads 0 on kernels 4.4 to 5.2, and vmallocinfo is root's."""
    root = tree_of("vmalloc-unread", tmp_path)
    found = asked(capsys, "--proc", root)
    assert not {"vmalloc", "percpu", "compressed_swap", "secondary_page_tables"} & found["parts"].keys()
    assert found["unaccounted_uncertainty_bytes"] == found["unaccounted_bytes"] == 39759872
    assert "vmalloc memory cannot be read" in found["uncertainty"][0]["reason"]
    assert main(["kernel", "--proc", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "vmalloc" not in next(line for line in lines if line.startswith("Nothing in:"))
    unknown = next(line for line in lines if line.startswith("Unknown, so counted as unaccounted:"))
    assert "; vmalloc, without kernel stacks; " in unknown
    (root / "vmallocinfo").write_text("")  # readable, and nothing in it: that is a zero
    found = asked(capsys, "--proc", root)
    assert (found["parts"]["vmalloc"], found["uncertainty"]) == (0, [])


def test_percpu_areas_are_named_where_no_line_tells_their_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree_of("percpu-areas", tmp_path)
    module = "0xffffa1f400000000-0xffffa1f400005000   20480 load_module+0x1a4/0x1d5c pages=4 vmalloc N0=4\n"
    area = "0xffffd68d77e00000-0xffffd68d79e00000 33554432 pcpu_get_vm_areas+0x0/0x550 vmalloc\n"
    (root / "vmallocinfo").write_text(module + 260 * area)
    found = asked(capsys, "--proc", root)
    assert "percpu" not in found["parts"]
    assert found["facts"]["percpu_areas"] == 260
    assert found["unaccounted_uncertainty_bytes"] == found["facts"]["percpu_area_bytes"] == 260 << 25
    assert "pcpu_get_vm_areas (260 areas, up to 8.13 GiB)" in found["uncertainty"][0]["reason"]
    assert [one["caller"] for one in found["vmalloc_callers"]] == ["load_module"]
    with (root / "meminfo").open("a") as meminfo:
        meminfo.write("Percpu: 1000 kB\n")  # told, so the areas say nothing more
    found = asked(capsys, "--proc", root)
    assert (found["parts"]["percpu"], found["uncertainty"]) == (1024000, [])


LXCFS = {"lxcfs-119": "Active is 811 MiB", "lxcfs-120": "AnonPages is 12.1 GiB", "lxcfs-5": "KReclaimable is 2.77 GiB"}


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("name", LXCFS)
def test_meminfo_of_a_container_is_not_cut_as_a_machines(
    name: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kernel", "--format", form, "--proc", str(DATA / name)]) == EXIT_UNAVAILABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert "figures of the host and of a container are mixed and do not add up" in err
    assert LXCFS[name] in err


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Slab": 0}, "Slab is 0 B and its two parts"),
        ({"MemFree": 20_000_000}, "the parts are"),
        ({"PageTables": 99_000_000}, "PageTables is"),
    ],
)
def test_figures_that_no_machine_has(
    changes: dict[str, int], why: str, proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = proc_tree(V618)
    fields = [line.split() for line in (root / "meminfo").read_text().splitlines()]
    changes = {"MemTotal": 24_683_120, "AnonPages": 9_000_000, **changes}
    rows = [[name, str(changes.get(name.rstrip(":"), value)), *unit] for name, value, *unit in fields]
    (root / "meminfo").write_text("".join(f"{' '.join(row)}\n" for row in rows))
    assert main(["kernel", "--proc", str(root)]) == EXIT_UNAVAILABLE
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "path", "mixed"),
    [("fuse.lxcfs", "/proc/meminfo", True), ("fuse", "/proc/meminfo", True), ("fuse.lxcfs", "/proc/stat", False),
     ("tmpfs", "/proc/meminfo", False)],
)  # fmt: skip
def test_what_is_mounted_over_meminfo_tells_a_container(
    kind: str, path: str, mixed: bool, proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = proc_tree(V618)
    (root / "self").mkdir()
    (root / "self/mountinfo").write_text(
        f"21 20 0:5 / /proc rw - proc proc rw\n30 21 0:40 /proc/meminfo {path} rw - {kind} lxcfs rw\n"
    )
    assert main(["kernel", "--proc", str(root)]) == (EXIT_UNAVAILABLE if mixed else 0)
    assert (f"it is made by {kind}" in capsys.readouterr().err) is mixed


@pytest.mark.parametrize("name", LXCFS)
def test_the_daemon_takes_no_rest_from_mixed_figures(name: str) -> None:
    result = CollectorResult()
    collect_meminfo(ProcFS(str(DATA / name)), result, {}, slow=True)
    sampled = {sample.metric for sample in result.samples}
    assert metrics.KERNEL_SUNRECLAIM in sampled
    assert not {metrics.KERNEL_UNACCOUNTED, metrics.KERNEL_UNCERTAINTY, metrics.KERNEL_CPU_LISTS} & sampled


def in_no_cache(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["kernel", "--proc", str(root)]) == 0
    return next(line for line in capsys.readouterr().out.splitlines() if line[:1].isdigit() and " caches; " in line)


def test_what_is_in_no_cache_is_explained_where_it_can_be(
    proc_tree: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slab = tree_of("slab-allocator", tmp_path)
    assert in_no_cache(slab, capsys) == "3 caches; 445 MiB of slab is in no cache, unexplained."
    root = proc_tree(V618)
    assert in_no_cache(root, capsys).endswith("of slab is in no cache: single objects above 8.00 KiB.")
    slabinfo = (root / "slabinfo").read_text().splitlines(keepends=True)
    (root / "slabinfo").write_text("".join(slabinfo[: len(slabinfo) // 2]))  # cut, as by head
    assert in_no_cache(root, capsys).endswith("is in no cache, unexplained.")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--proc", "/nonexistent"], EXIT_UNAVAILABLE),
        (["--proc", str(proc_tree_of(PPC))], EXIT_UNAVAILABLE),
        (["--since", "nonsense"], EXIT_USAGE),
        (["--top", "-1"], EXIT_USAGE),
    ],
)
def test_what_cannot_be_done_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    assert main(["kernel", *arguments]) == code
    told = capsys.readouterr()
    assert not told.out
    assert len(told.err.splitlines()) == 1


# What changed


@pytest.fixture
def stored(proc_tree: Callable[[str], Path], tmp_path: Path) -> tuple[Path, str]:
    """Return a tree that grew since it was stored twice, the second time without what is sampled now and then."""
    root = proc_tree(V618)
    shutil.copy(DATA / "zoneinfo-6.18", root / "zoneinfo")
    procfs = ProcFS(str(root))
    scraper = Scraper(procfs, procfs.boot_id(), SamplingConfig())
    path = tmp_path / "store.db"
    writer = open_writer(path, T0_MS)
    for number in range(2):
        writer.write_scrape(scraper.scrape(Tick(T0_MS + number * 60_000, procfs.boot_id())), [])
    writer.close()
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{path}"\n')
    return root, str(config)


def grow(root: Path) -> None:
    """64 MiB from free to anonymous memory, 8 MiB to slab, all of it in one cache, and 2 MiB to nobody."""
    meminfo = root / "meminfo"
    for field, change in (("MemFree", -74), ("AnonPages", 64), ("Slab", 8), ("SUnreclaim", 8)):
        lines = meminfo.read_text().splitlines(keepends=True)
        meminfo.write_text(
            "".join(_moved(line, change * 1024) if line.startswith(f"{field}:") else line for line in lines)
        )
    slabinfo = root / "slabinfo"
    lines = slabinfo.read_text().splitlines(keepends=True)
    lines.append("leaky 2048 2048 4096 8 8 : tunables 0 0 0 : slabdata 256 256 0\n")
    slabinfo.write_text("".join(lines))


def _moved(line: str, kib: int) -> str:
    name, value, unit = line.split()
    return f"{name} {int(value) + kib} {unit}\n"


def test_what_changed_since_a_stored_time(stored: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    root, config = stored
    grow(root)
    since = asked(capsys, "--proc", root, "--config", config, "--since", rfc3339(T0_MS + 90_000))["since"]
    assert since["at"] == rfc3339(T0_MS + 60_000)
    moved = {name: change for name, change in since["parts"].items() if change}
    assert moved == {"free": -74 * MIB, "anon": 64 * MIB, "slab_unreclaimable": 8 * MIB}
    assert since["unaccounted_bytes"] == 2 * MIB
    assert since["slab_caches"] == {"leaky": 8 * MIB}
    assert since["vmalloc_callers"] == {}


def test_the_table_shows_the_change(stored: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    root, config = stored
    grow(root)
    assert main(["kernel", "--proc", str(root), "--config", config, "-b", f"{T0_MS // 1000 + 90}", "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("anonymous")).endswith("+64.0 MiB")
    assert next(line for line in lines if line.startswith("unaccounted")).endswith("+2.00 MiB")
    assert next(line for line in lines if line.startswith("leaky")).split()[3:5] == ["+8.00", "MiB"]


def test_what_the_store_does_not_tell_is_no_change_of_the_rest(
    stored: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon that could not read zoneinfo had those pages in its rest."""
    root, config = stored
    (root / "zoneinfo").unlink()
    since = asked(capsys, "--proc", root, "--config", config, "--since", rfc3339(T0_MS + 90_000))["since"]
    assert since["parts"]["free_on_cpu_lists"] is None
    assert since["unaccounted_bytes"] is None


def test_a_time_before_the_store_is_its_beginning(stored: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    root, config = stored
    assert main(["kernel", "--proc", str(root), "--config", config, "--since", "2020-01-01T00:00:00Z"]) == 0
    told = capsys.readouterr()
    assert rfc3339(T0_MS) in told.out
    assert "begins later" in told.err


def test_without_a_store_it_shows_now_only(
    proc_tree: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/none.db"\n')
    arguments = [
        "kernel",
        "--proc",
        str(proc_tree(V618)),
        "--config",
        str(config),
        "--since",
        "1h ago",
        "--format",
        "json",
    ]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["since"] is None
    assert "this shows now only" in told.err
